"""The `cmgan` command: enhance and evaluate recordings, train one arm and watch it, export it, diagnose a log."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from cmgan.commands import diagnose, enhance, evaluate, train, watch
from cmgan.commands.outcome import epilog, input_errors

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.command(epilog=enhance.EPILOG)(enhance.enhance)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=train.EPILOG)(train.train)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cmgan {version('cmgan-study')}")
        raise typer.Exit


@app.callback()
def cmgan(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """CMGAN for one's own recordings and training runs. `make study` runs the whole study."""


@app.command(epilog=epilog("cmgan export results/laptop/training/recommended-0/generator.pt ckpt"))
def export(
    weights: Annotated[Path, typer.Argument(help="generator.pt of CMGAN or MP-SENet, ours or published.")],
    target: Annotated[Path, typer.Argument(help="The file to write.")],
) -> None:
    """Write a generator's weights for the public code: CMGAN's state dict, or MP-SENet's under `generator`."""
    from cmgan.models.weights import generator_from_file, save_public_weights

    with input_errors():
        generator = generator_from_file(weights)
        save_public_weights(generator, target)
    typer.echo(f"{type(generator).__name__}: {target}")


app.command(epilog=diagnose.EPILOG)(diagnose.diagnose)
app.command(epilog=watch.EPILOG)(watch.watch)
