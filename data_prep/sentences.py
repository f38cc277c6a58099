"""The sentences that synthetic speakers say: written for this corpus, none shared between splits."""

from functools import cache
from pathlib import Path

# Of every six sentences in the file, which positions go where: three fifths train, the rest evaluates.
_POSITIONS = {"train": (0, 1, 3), "validation": (4,), "test": (2, 5)}


@cache
def sentences_of(split: str) -> tuple[tuple[str, str], ...]:
    """Sentences of a split, each as the two halves between which a speaker may pause."""
    lines = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").splitlines()
    chosen = (line for number, line in enumerate(lines) if number % 6 in _POSITIONS[split])
    return tuple(tuple(half.strip() for half in line.split("/")) for line in chosen)
