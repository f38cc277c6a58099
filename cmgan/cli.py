"""The `cmgan` command: enhance recordings and train one arm without notebooks."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="CMGAN for one's own recordings. `make study` runs the whole study.",
)


@app.command(epilog="Example: cmgan enhance generator.pt noisy.wav enhanced.wav")
def enhance(
    weights: Annotated[Path, typer.Argument(help="generator.pt with the public state-dict names")],
    source: Annotated[Path, typer.Argument(help="recording (.wav, .flac) or folder of recordings")],
    target: Annotated[Path, typer.Argument(help="where the enhanced recording or folder goes")],
) -> None:
    """Enhance a recording or every recording of a folder, at its own sample rate and channels."""
    from cmgan.enhancement_files import enhance_file, enhance_folder
    from cmgan.weights import generator_from_file

    try:
        model = generator_from_file(weights)
        results = (
            enhance_folder(model, source, target)
            if source.is_dir()
            else iter([enhance_file(model, source, target)])
        )
        failed = 0
        for result in results:
            failed += bool(result.error)
            typer.echo(result.error or f"{result.source} → {result.target} ({result.seconds:.1f} s)")
    except (ValueError, OSError) as error:
        _stop(error)
    if failed:
        raise typer.Exit(1)


@app.command(
    epilog="Example: cmgan train results/laptop/data/manifest.csv my_run --arm recommended --epochs 20"
)
def train(
    manifest: Annotated[
        Path, typer.Argument(help="manifest.csv of python -m data_prep or 01_data_preparation")
    ],
    output: Annotated[Path, typer.Argument(help="folder for logs and weights; an interrupted run goes on")],
    arm: Annotated[str, typer.Option(help="a name in cmgan/study/arms.py")] = "recommended",
    seed: Annotated[int, typer.Option(help="seed of weights, order, crops and dropout")] = 0,
    channels: Annotated[int, typer.Option(help="width of the generator")] = 64,
    blocks: Annotated[int, typer.Option(help="two-stage conformer blocks")] = 4,
    epochs: Annotated[int, typer.Option(help="passes over the training utterances")] = 120,
    batch_size: Annotated[int, typer.Option(help="crops a step")] = 4,
    crop_seconds: Annotated[float, typer.Option(help="length of a crop in seconds")] = 2.0,
    pesq_workers: Annotated[int, typer.Option(help="processes that score PESQ during the backward pass")] = 2,
) -> None:
    """Train one arm on the utterances of a manifest."""
    from cmgan.recipe import Budget
    from cmgan.study.arms import arm as recipe_of
    from cmgan.training import TrainingRun
    from cmgan.training import train as train_run

    try:
        budget = Budget(
            channels=channels,
            blocks=blocks,
            epochs=epochs,
            batch_size=batch_size,
            crop_seconds=crop_seconds,
            pesq_workers=pesq_workers,
        )
        folder = train_run(
            TrainingRun(manifest, output, recipe_of(arm), budget, seed, f"{arm}-{seed}"), typer.echo
        )
    except (ValueError, OSError) as error:
        _stop(error)
    typer.echo(f"Trained: {folder / 'generator.pt'}")


def _stop(error: Exception) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2) from None
