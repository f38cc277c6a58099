"""A command called as from a shell."""

from collections.abc import Callable

from typer import Typer
from typer.testing import CliRunner, Result


def called(command: Typer | Callable, *words: object) -> Result:
    """What comes out of an application, or of a function that becomes one, given these words."""
    if not isinstance(command, Typer):
        function, command = command, Typer()
        command.command()(function)
    return CliRunner().invoke(command, [str(word) for word in words])
