"""How numbers, intervals, lists and tables are written, in every sentence of the study (Markdown)."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cmgan.statistics import Interval


def number(value: float, style: str = ".2f") -> str:
    """A number with a true minus sign, no negative zero, and a space before a percent sign."""
    text = f"{value:{style}}"
    if not text.strip("+-0.%"):
        text = text.lstrip("+-")
    return text.replace("-", "−").replace("%", " %")


def bounds(low: float, high: float, style: str = ".2f") -> str:
    """`[low, high]`; says so when there is no interval."""
    if isnan(low) or isnan(high):
        return "[no interval]"
    return f"[{number(low, style)}, {number(high, style)}]"


def mean_in_words(found: "Interval", style: str = ".2f") -> str:
    """Mean over seeds with its interval."""
    return f"{number(found.estimate, style)} {bounds(found.low, found.high, style)}"


def in_words(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def counted(count: int, unit: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {unit}{'' if count == 1 else 's'}"


def code(arm: str) -> str:
    """An arm's name as Markdown code."""
    return f"`{arm}`"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown, every line ended."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "".join(f"{line}\n" for line in (*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)))
