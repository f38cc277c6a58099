"""How every command ends: exit codes that scripts can use, one line for what went wrong, JSON for machines."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer


class Outcome(IntEnum):
    """Exit codes. INCOMPLETE: the command ran, and there is something to look at (see the command's help)."""

    DONE = 0
    INPUT_ERROR = 1
    USAGE = 2
    INCOMPLETE = 3


EXIT_CODES = "Exit codes: 0 done; 1 the input cannot be used; 2 wrong usage"


def epilog(*examples: str, incomplete: str = "") -> str:
    """The end of a command's help: its exit codes (incomplete: what 3 means there) and examples, a line each."""
    return "\n\n".join([f"{EXIT_CODES}{incomplete and f'; 3 {incomplete}'}.", "Examples:", *examples])


@contextmanager
def input_errors() -> Iterator[None]:
    """Turn a ValueError or OSError about the input into one line on stderr and exit code 1."""
    try:
        yield
    except (ValueError, OSError) as error:
        stop(str(error), Outcome.INPUT_ERROR)


def stop(message: str, outcome: Outcome) -> NoReturn:
    """End the command with one line on stderr."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(outcome) from None


def print_json(value: dict | Sequence[dict]) -> None:
    """JSON on stdout; numbers that are not finite become null, which NaN is not in JSON."""
    typer.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, default=str))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
