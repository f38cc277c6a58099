"""How every command ends: exit codes that scripts can use, one line for what went wrong, JSON for machines."""

import json
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


def epilog(*examples: str, incomplete: str = "") -> str:
    """The end of a command's help: its exit codes (incomplete: what 3 means there) and examples, a line each."""
    codes = "Exit codes: 0 done; 1 the input cannot be used; 2 wrong usage"
    return "\n\n".join([f"{codes}{incomplete and f'; 3 {incomplete}'}.", "Examples:", *examples])


@contextmanager
def input_errors() -> Iterator[None]:
    """Turn a ValueError or OSError about the input into one line on stderr and exit code 1."""
    try:
        yield
    except (ValueError, OSError) as error:
        stop(str(error), Outcome.INPUT_ERROR)


def stop(message: str, outcome: Outcome) -> NoReturn:
    """End the command with one line on stderr."""
    typer.echo(f"error: {printable(message)}", err=True)
    raise typer.Exit(outcome) from None


def printable(text: str) -> str:
    """One line that every terminal takes, of text with file names, which may hold line ends and bytes of any kind."""
    return " ".join(text.splitlines()).encode(errors="replace").decode()


def print_json(value: dict | Sequence[dict]) -> None:
    """JSON on stdout; numbers that are not finite become null, which NaN is not in JSON."""
    finite = json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
    typer.echo(json.dumps(finite, indent=2, ensure_ascii=False).encode(errors="replace"))
