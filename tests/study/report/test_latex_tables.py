"""What LaTeX needs of a table: every cell escaped, as many cells as columns, a width that fits."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmgan.study.report.latex_tables import COMMANDS, escaped, latex_table


@given(st.text(st.sampled_from([*COMMANDS, "a", "[", "0"])))
def test_no_character_that_latex_reads_as_a_command_is_left_alone(text):
    latex = escaped(text)
    assert latex.isascii()
    for command in sorted(COMMANDS.values(), key=len, reverse=True):
        latex = latex.replace(command, "")
    assert not set(latex) & set(r"&%$#_{}~^\\")


@pytest.mark.parametrize(
    ("columns", "environment"), [(3, "table"), (4, "table*"), (9, "table*"), (10, "sidewaystable*")]
)
def test_the_more_columns_the_more_of_the_page(columns, environment):
    text = pd.DataFrame({f"column {number}": ["cell"] for number in range(columns)})
    latex = latex_table("name", "Caption", text)
    assert latex.startswith(rf"\begin{{{environment}}}")
    assert latex.rstrip().endswith(rf"\end{{{environment}}}")


@pytest.mark.parametrize("two_lines", [False, True])
def test_every_row_has_as_many_cells_as_columns(two_lines):
    text = pd.DataFrame({"arm": ["a_b", "c"], "PESQ": ["1.0 [0.9, 1.1]", "–"], "loss": ["3 → 2", "1 & 2"]})
    body = latex_table("name", "Caption", text, two_lines).split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == (4 if two_lines else 2)
    assert all(len(re.findall(r"(?<!\\)&", row)) == 2 for row in rows)


def test_intervals_stand_below_their_numbers_when_lines_are_broken():
    text = pd.DataFrame({"arm": ["a"], "PESQ": ["1.0 [0.9, 1.1]"]})
    first, second, *_ = (
        latex_table("name", "Caption", text, two_lines=True).split("\\midrule\n")[1].splitlines()
    )
    assert first.strip() == r"a & 1.0 \\"
    assert second.strip() == r"& \scriptsize [0.9, 1.1] \\"


def test_only_tables_wider_than_the_page_break_their_longest_cells():
    narrow = pd.DataFrame({"claim": ["words " * 6], "n": ["81"]})
    wide = narrow.assign(found="so many more words " * 8)
    assert "p{" not in latex_table("name", "Caption", narrow)
    shares = re.findall(r"p\{(0\.\d+)\\linewidth\}", latex_table("name", "Caption", wide))
    assert len(shares) == 2
    assert sum(map(float, shares)) < 1
