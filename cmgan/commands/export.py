"""`cmgan export`: a trained generator as the public code of its system reads it."""

from pathlib import Path
from typing import Annotated

import typer

from cmgan.commands.outcome import epilog, input_errors

EPILOG = epilog("cmgan export results/laptop/training/recommended-0/generator.pt ckpt")


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
