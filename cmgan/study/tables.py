"""A table, made once: numbers for CSV, and the same as text for notebook, page, document and LaTeX."""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_prep.whole_files import write_table, write_text

NARROW_COLUMNS = 7
INTERVAL = re.compile(r"(?<=\S) (\[.+\]|→ .+)$")
LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
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
# Cells longer than this break into lines where the table is wider than the page; both in characters.
UNBROKEN, PAGE = 28, 120
HEADER = 13  # characters of a line in LaTeX's header
# A table of more columns than the first takes both columns of the paper, of more than the second a page on its side.
COLUMN_TABLE, PAGE_TABLE = 3, 9


@dataclass(frozen=True)
class Table:
    """numbers go to CSV; text, the same formatted, is shown everywhere under `title` and `caption`."""

    name: str
    title: str
    caption: str
    numbers: pd.DataFrame
    text: pd.DataFrame

    @property
    def wide(self) -> bool:
        """Whether intervals need a line of their own for the table to fit a page."""
        return self.text.shape[1] > NARROW_COLUMNS

    @property
    def rows(self) -> list[list[str]]:
        """The cells as they are set: in a wide table an interval, or what follows an arrow, in a second line."""
        rows = self.text.to_numpy().tolist()
        return [[INTERVAL.sub(r"\n\1", cell) for cell in row] for row in rows] if self.wide else rows


def write_tables(tables: Iterable[Table], folder: Path) -> None:
    """Write NAME.csv with the numbers and NAME.tex with the text of every table."""
    for table in tables:
        write_table(table.numbers, folder / f"{table.name}.csv")
        write_text(latex(table), folder / f"{table.name}.tex")


def latex(table: Table) -> str:
    """A table environment labelled tab:NAME for a two-column paper, with booktabs and, for the widest, rotating.

    In ASCII. The second line of a cell is set small, in a row of its own.
    """
    columns = table.text.shape[1]
    environment = (
        "sidewaystable*" if columns > PAGE_TABLE else "table*" if columns > COLUMN_TABLE else "table"
    )
    headers = [r" \\ ".join(map(escaped, textwrap.wrap(column, HEADER))) for column in table.text.columns]
    lines = [" & ".join(rf"\shortstack{{{header}}}" for header in headers) + r" \\", r"\midrule"]
    for row in table.rows:
        parts = [cell.partition("\n") for cell in row]
        lines.append(" & ".join(escaped(first) for first, _, _ in parts) + r" \\")
        if table.wide:
            small = (rf"\scriptsize {escaped(second)}" if second else "" for _, _, second in parts)
            lines += [" & ".join(small) + r" \\", r"\addlinespace"]
    return "\n".join(
        [
            rf"\begin{{{environment}}}{'' if columns > PAGE_TABLE else '[t]'}",
            r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"  \caption{{{escaped(f'{table.title}. {table.caption}')}}}",
            rf"  \label{{tab:{table.name}}}",
            rf"  \begin{{tabular}}{{{_latex_columns(table)}}}",
            *(f"    {line}" for line in (r"\toprule", *lines, r"\bottomrule")),
            r"  \end{tabular}",
            rf"\end{{{environment}}}",
            "",
        ]
    )


def escaped(text: str) -> str:
    """Text as LaTeX shows it."""
    return text.translate(str.maketrans(LATEX))


def _latex_columns(table: Table) -> str:
    if table.wide:
        return "l" + "c" * (table.text.shape[1] - 1)
    longest = [int(table.text[column].str.len().max()) for column in table.text]
    excess = sum(longest) - PAGE
    breaking = sum(length for length in longest if length > UNBROKEN)
    return "".join(
        rf"p{{{length * (1 - excess / breaking) / PAGE:.2f}\linewidth}}"
        if excess > 0 and length > UNBROKEN
        else "l"
        for length in longest
    )
