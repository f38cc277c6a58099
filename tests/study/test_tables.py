"""What LaTeX needs of a table: every cell escaped, as many cells as columns, a width that fits."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmgan.study.tables import Table, escaped, latex

INTERVAL_TABLE = {"arm": ["a_b", "c"], "PESQ": ["1.0 [0.9, 1.1]", "–"], "loss": ["3 → 2", "1 & 2"]}


def table(cells: dict[str, list[str]]) -> Table:
    return Table("name", "Title", "Caption", None, pd.DataFrame(cells))


def widened(cells: dict[str, list[str]]) -> Table:
    """The same with so many empty columns that intervals go to a line of their own."""
    return table(cells | {f"column {number}": ["x"] * len(cells["arm"]) for number in range(6)})


def body(text: str) -> list[str]:
    return text.split("\\midrule\n")[1].split(r"\bottomrule")[0].splitlines()


@given(st.text(st.sampled_from([*r"&%$#_{}~^\−±×→≠Δ–…“”‘’a[0"])))
def test_no_character_that_latex_reads_as_a_command_is_left_alone(text):
    text = escaped(text)
    assert text.isascii()
    bare = re.sub(r"\\(text\w+|ldots)\{\}|\$(-|\\\w+)\$|\\[&%$#_{}]", "", text)
    assert not set(bare) & set(r"&%$#_{}~^\\")


@pytest.mark.parametrize(
    ("columns", "environment"), [(3, "table"), (4, "table*"), (9, "table*"), (10, "sidewaystable*")]
)
def test_the_more_columns_the_more_of_the_page(columns, environment):
    text = latex(table({f"column {number}": ["cell"] for number in range(columns)}))
    assert text.startswith(rf"\begin{{{environment}}}")
    assert text.rstrip().endswith(rf"\end{{{environment}}}")


@pytest.mark.parametrize(("made", "lines"), [(table, 2), (widened, 4)])
def test_every_row_has_as_many_cells_as_columns(made, lines):
    shown = made(INTERVAL_TABLE)
    rows = [line for line in body(latex(shown)) if line.endswith(r"\\")]
    assert len(rows) == lines
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {shown.text.shape[1]}


def test_intervals_and_ends_stand_below_their_numbers_in_a_wide_table_alone():
    assert table(INTERVAL_TABLE).rows[0] == ["a_b", "1.0 [0.9, 1.1]", "3 → 2"]
    wide = widened(INTERVAL_TABLE)
    assert wide.rows[0][:3] == ["a_b", "1.0\n[0.9, 1.1]", "3\n→ 2"]
    first, second, *_ = body(latex(wide))
    assert first.strip().startswith(r"a\_b & 1.0 & 3 &")
    assert second.strip().startswith(r"& \scriptsize [0.9, 1.1] & \scriptsize $\to$ 2 &")


def test_only_tables_wider_than_the_page_break_their_longest_cells():
    narrow = {"claim": ["words " * 6], "n": ["81"]}
    assert "p{" not in latex(table(narrow))
    shares = re.findall(r"p\{(0\.\d+)\\linewidth\}", latex(table(narrow | {"found": ["more words " * 12]})))
    assert len(shares) == 2
    assert sum(map(float, shares)) < 1
