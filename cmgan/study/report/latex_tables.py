"""Tables for a two-column paper: LaTeX with booktabs (and rotating for the widest), in ASCII."""

import re
import textwrap
from collections.abc import Iterable

import pandas as pd

COMMANDS = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\to$",
    "≠": r"$\neq$",
    "Δ": r"$\Delta$",
    "–": "--",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
}
INTERVAL = re.compile(r"(?<=\S) (\[.+\]|→ .+)$")
# Cells longer than this break into lines where the table is wider than the page; both in characters.
UNBROKEN, PAGE = 28, 120
HEADER = 13  # characters of a line in the header
# A table of more columns than the first takes both columns of the paper, of more than the second a page on its side.
COLUMN_TABLE, PAGE_TABLE = 3, 9


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(COMMANDS.get(character, character) for character in text)


def latex_table(name: str, caption: str, text: pd.DataFrame, two_lines: bool = False) -> str:
    """A table environment around the cells of `text` (strings), labelled tab:NAME.

    two_lines: a cell's interval, or what follows its arrow, is set small in a line of its own, so that wide tables
    fit the page.
    """
    environment, place = _environment(text.shape[1])
    header = " & ".join(map(_header, text.columns))
    rows = [line for row in text.itertuples(index=False) for line in _lines(row, two_lines)]
    return "\n".join(
        [
            rf"\begin{{{environment}}}{place}",
            r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"  \caption{{{escaped(caption)}}}",
            rf"  \label{{tab:{name}}}",
            rf"  \begin{{tabular}}{{{_columns(text, two_lines)}}}",
            r"    \toprule",
            rf"    {header} \\",
            r"    \midrule",
            *rows,
            r"    \bottomrule",
            r"  \end{tabular}",
            rf"\end{{{environment}}}",
            "",
        ]
    )


def _environment(columns: int) -> tuple[str, str]:
    if columns > PAGE_TABLE:
        return "sidewaystable*", ""
    return ("table*" if columns > COLUMN_TABLE else "table"), "[t]"


def _lines(row: tuple[str, ...], two_lines: bool) -> list[str]:
    if not two_lines:
        return [_line(map(escaped, row))]
    parts = [INTERVAL.split(cell) if INTERVAL.search(cell) else [cell, ""] for cell in row]
    small = [rf"\scriptsize {escaped(below[1])}" if below[1] else "" for below in parts]
    return [_line(escaped(above[0]) for above in parts), _line(small), r"    \addlinespace"]


def _line(cells: Iterable[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _header(column: str) -> str:
    lines = r" \\ ".join(map(escaped, textwrap.wrap(column, HEADER)))
    return rf"\shortstack{{{lines}}}"


def _columns(text: pd.DataFrame, two_lines: bool) -> str:
    if two_lines:
        return "l" + "c" * (text.shape[1] - 1)
    longest = [int(text[column].str.len().max()) for column in text]
    excess = max(0, sum(longest) - PAGE)
    breaking = sum(length for length in longest if length > UNBROKEN)
    return "".join(
        rf"p{{{length * (1 - excess / breaking) / PAGE:.2f}\linewidth}}"
        if excess and length > UNBROKEN
        else "l"
        for length in longest
    )
