"""What a notebook says: sentences and tables as it shows them; its question and its finding, read from the file."""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import Markdown

if TYPE_CHECKING:  # what runs notebooks reads them by this module, and needs no tables
    import pandas as pd

# Tags of the one cell whose output answers the notebook's question, and of that which sums up a run's branches.
FINDING, BRANCHES = "finding", "branches"
QUESTION = re.compile(r"\*\*Question\.\*\*\s*(.+)")


def said(sentences: str | Sequence[str], none: str = "None.") -> Markdown:
    """A sentence (Markdown) as a paragraph, several as points of a list; `none` where there is nothing to say.

    HTML in it, such as the name of a recording may hold, shows as it is written.
    """
    given = [sentences] if isinstance(sentences, str) else sentences
    said_ones = [sentence.replace("<", "&lt;") for sentence in given if sentence]
    if len(said_ones) > 1:
        return Markdown("\n".join(f"- {sentence}" for sentence in said_ones))
    return Markdown(said_ones[0] if said_ones else none)


def numbered(sentences: Sequence[str], none: str = "None.") -> Markdown:
    """Sentences (Markdown, HTML shows as it is written) as a numbered list; `none` where there is nothing to say."""
    return Markdown("\n".join(f"1. {sentence}" for sentence in sentences).replace("<", "&lt;") or none)


def shown_table(frame: "pd.DataFrame") -> Markdown:
    """A table of text, whatever characters are in it, without its row numbers.

    As Markdown, which is set from the left: styles of an HTML table are taken away from a notebook that somebody else
    executed, in JupyterLab and where it is browsed.
    """
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    cells = [[_in_a_cell(str(cell)) for cell in row] for row in rows]
    return Markdown("\n".join(f"| {' | '.join(row)} |" for row in cells))


def _in_a_cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", r"\|").replace("\n", "<br>")


def question_of(notebook: Path) -> str:
    """The notebook's question as plain text in one line, empty where it asks none."""
    for cell in _cells(notebook):
        if cell["cell_type"] == "markdown" and (found := QUESTION.search("".join(cell["source"]))):
            return _plain(found[1])
    return ""


def text_of_tag(executed: Path, tag: str) -> str:
    """What the cell of that tag showed, as plain text in one line; empty where there is none."""
    for cell in _cells(executed):
        if tag in cell["metadata"].get("tags", []):
            shown = (output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", []))
            return _plain(" ".join(map("".join, filter(None, shown))))
    return ""


def _cells(notebook: Path) -> list[dict]:
    # Without nbformat, whose import takes every kernel longer than all else that this module needs; text is a string
    # or its lines.
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]


def first_sentences(text: str, longest: int = 400) -> str:
    """As many whole sentences of a text as have `longest` characters together, the first in any case."""
    first, *others = re.split(r"(?<=[.?!]) (?=[A-Z])", text)
    for sentence in others:
        if len(first) + 1 + len(sentence) > longest:
            break
        first = f"{first} {sentence}"
    return first


def _plain(markdown: str) -> str:
    """Without emphasis, code marks and list marks, on one line."""
    lines = (re.sub(r"^(-|\d+\.) ", "", line.strip()) for line in markdown.splitlines())
    return html.unescape(re.sub(r"[*`]", "", " ".join(filter(None, lines))))
