"""`cmgan watch`: losses, PESQ and the time left of trainings, in the terminal, while they run."""

import dataclasses
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from cmgan.commands.outcome import epilog, input_errors, print_json

EPILOG = epilog(
    "cmgan watch results/laptop                  # all trainings of a run, until it is stopped with Ctrl-C",
    "cmgan watch my_run --once                   # one training, as it stands now",
    "cmgan watch results/laptop --json",
)
CLEARED = "\033[H\033[2J"


def watch(
    folder: Annotated[Path, typer.Argument(help="results/RUN, or the folder of one or more trainings.")],
    once: Annotated[
        bool, typer.Option("--once", help="Print once and stop, as when the output is no terminal.")
    ] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.5)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print once, as JSON.")] = False,
) -> None:
    """Show epoch, step, last losses, last and best PESQ and the time left of every training, until all are done."""
    from cmgan.study.training.watching import as_text, planned, standings_of, summary

    live = sys.stdout.isatty() and not once and not as_json
    while True:
        with input_errors():
            standings = standings_of(folder)
        if as_json:
            print_json([dataclasses.asdict(one) for one in standings])
            return
        lines = [*as_text(standings).splitlines(), summary(standings, folder)]
        if not live:
            typer.echo("\n".join(lines))
            return
        # The unfinished trainings stand first; what does not fit the terminal is left out.
        height = shutil.get_terminal_size().lines - 2
        typer.echo("\n".join([CLEARED + lines[0], *lines[1:-1][: height - 1], lines[-1]]))
        if all(one.finished for one in standings) and len(standings) >= planned(folder):
            return
        time.sleep(every)
