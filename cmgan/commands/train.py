"""`cmgan train`: one arm with one seed, without notebooks."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from cmgan.commands.outcome import Outcome, epilog, input_errors, print_json, stop
from cmgan.recipe import Budget, budget_for
from cmgan.settings import declared

EPILOG = epilog(
    "python -m data_prep --corpus folder --path recordings/ --output data",
    "cmgan train data/manifest.csv my_run",
    "cmgan train data/manifest.csv my_run --arm published --channels 16 --blocks 1 --epochs 20 --seed 1",
    "cmgan train data/manifest.csv my_run --tracker tensorboard   # then: tensorboard --logdir my_run/events",
    "torchrun --standalone --nproc_per_node 2 -m cmgan train data/manifest.csv my_run   # two GPUs",
    "cmgan diagnose my_run",
)


def _setting(name: str) -> OptionInfo:
    meaning = declared(Budget)[name].said.meaning
    return typer.Option(help=f"{meaning[0].upper()}{meaning[1:]}.")


def train(
    manifest: Annotated[
        Path, typer.Argument(help="manifest.csv written by python -m data_prep or 01_data_preparation.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder for logs and weights; an interrupted run goes on.")],
    arm: Annotated[
        str, typer.Option(help="Name of the recipe; an unknown one lists them all.")
    ] = "recommended",
    seed: Annotated[int, typer.Option(help="Seed of weights, order, crops and dropout.")] = 0,
    channels: Annotated[int, _setting("channels")] = Budget.channels,
    blocks: Annotated[int, _setting("blocks")] = Budget.blocks,
    epochs: Annotated[int, _setting("epochs")] = Budget.epochs,
    batch_size: Annotated[int, _setting("batch_size")] = Budget.batch_size,
    crop_seconds: Annotated[float, _setting("crop_seconds")] = Budget.crop_seconds,
    pesq_workers: Annotated[int, _setting("pesq_workers")] = 2,
    mixed_precision: Annotated[str, _setting("mixed_precision")] = Budget.mixed_precision,
    gradient_accumulation: Annotated[int, _setting("gradient_accumulation")] = Budget.gradient_accumulation,
    compile_backend: Annotated[str, _setting("compile_backend")] = Budget.compile_backend,
    tracker: Annotated[
        str,
        typer.Option(
            help="Watch the run: tensorboard (events and a sound each epoch, in OUTPUT/events), or "
            "another of Accelerate's trackers that is installed."
        ),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the last epoch as JSON; progress to stderr.")
    ] = False,
) -> None:
    """Train one arm on the utterances of a manifest: logs, config.json, generator.pt and generator_best.pt."""
    import pandas as pd

    from cmgan.study.arms import arm as recipe_of
    from cmgan.training.loop import TrainingRun
    from cmgan.training.loop import train as train_run

    try:
        recipe = recipe_of(arm)
        budget = Budget(
            channels=channels,
            blocks=blocks,
            epochs=epochs,
            batch_size=batch_size,
            crop_seconds=crop_seconds,
            pesq_workers=pesq_workers,
            mixed_precision=mixed_precision,
            gradient_accumulation=gradient_accumulation,
            compile_backend=compile_backend,
            # torchrun and accelerate launch say how many they started.
            processes=int(os.environ.get("WORLD_SIZE", "1")),
        )
    except ValueError as error:
        stop(str(error), Outcome.USAGE)
    run = TrainingRun(manifest, output, recipe, budget_for(recipe, budget), seed, f"{arm}-{seed}", tracker)
    with input_errors():
        folder = train_run(run, partial(typer.echo, err=as_json))
    if not as_json:
        typer.echo(f"Trained: {folder / 'generator.pt'}")
        return
    epochs_log = pd.read_csv(folder / "epochs.csv")
    print_json(
        {
            "generator": folder / "generator.pt",
            "generator_best": folder / "generator_best.pt",
            "best_pesq": float(epochs_log["pesq"].max()),
            "last_epoch": epochs_log.iloc[-1].to_dict(),
        }
    )
