import nbformat
import pandas as pd
import pytest

from cmgan.study.notebook_text import (
    FINDING,
    first_sentences,
    numbered,
    question_of,
    said,
    shown_table,
    text_of_tag,
)

new = nbformat.v4


def _written(path, *cells):
    nbformat.write(new.new_notebook(cells=list(cells)), path)
    return path


def _showing(text, *tags):
    output = new.new_output("display_data", data={"text/markdown": text, "text/plain": "<Markdown>"})
    return new.new_code_cell("said(...)", metadata={"tags": list(tags)}, outputs=[output])


def test_one_sentence_is_a_paragraph_several_are_points_and_none_says_so():
    assert said("One.").data == "One."
    assert said(["One.", "", "Two."]).data == "- One.\n- Two."
    assert said(["", "One."]).data == "One."
    assert said([], none="Nothing.").data == "Nothing."
    assert said("", none="Nothing.").data == "Nothing."
    assert numbered(["One.", "Two."]).data == "1. One.\n1. Two."
    assert numbered([], none="Nothing.").data == "Nothing."


def test_a_table_of_text_shows_no_row_numbers_and_keeps_its_columns():
    table = shown_table(pd.DataFrame({"claim": ["C1", "a|b"], "says": ["one\ntwo", ""]})).data
    assert table.splitlines() == ["| claim | says |", "| --- | --- |", "| C1 | one<br>two |", r"| a\|b |  |"]


def test_the_question_is_read_without_what_follows_it(tmp_path):
    text = "# 3. Title\n\n**Question.** Does the *loss* ask for it?\n\nPeople see PESQ fall."
    notebook = _written(tmp_path / "a.ipynb", new.new_code_cell("1"), new.new_markdown_cell(text))
    assert question_of(notebook) == "Does the loss ask for it?"
    assert question_of(_written(tmp_path / "b.ipynb", new.new_markdown_cell("# Title"))) == ""


def test_the_finding_is_what_the_cell_of_that_tag_showed_in_one_plain_line(tmp_path):
    cells = _showing("Not this."), _showing("- **2** of `published`'s\n- and 3 × 4.", "finding")
    assert text_of_tag(_written(tmp_path / "a.ipynb", *cells), FINDING) == "2 of published's and 3 × 4."


def test_a_notebook_without_that_tag_or_not_yet_executed_has_no_finding(tmp_path):
    assert text_of_tag(_written(tmp_path / "a.ipynb", _showing("Not this.")), FINDING) == ""
    waiting = new.new_code_cell("said(...)", metadata={"tags": ["finding"]})
    assert text_of_tag(_written(tmp_path / "b.ipynb", waiting), FINDING) == ""


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        (100, "PESQ is 2.1 dB. It fell by 95 %! Why?"),
        (32, "PESQ is 2.1 dB. It fell by 95 %!"),
        (3, "PESQ is 2.1 dB."),
    ],
)
def test_a_text_is_cut_between_sentences_and_never_within_the_first(longest, expected):
    assert first_sentences("PESQ is 2.1 dB. It fell by 95 %! Why?", longest) == expected
