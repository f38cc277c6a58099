"""`cmgan evaluate`: score enhanced speech against the clean recordings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmgan.commands.outcome import Outcome, epilog, input_errors, print_json, stop

if TYPE_CHECKING:
    from cmgan.statistics import Interval

EPILOG = epilog(
    "cmgan evaluate clean/ enhanced/ --csv scores.csv",
    "cmgan evaluate clean.wav enhanced.wav",
    "cmgan evaluate clean/ enhanced/ --json > scores.json",
    incomplete="some files could not be scored (they are named, and have a row with the reason)",
)


def evaluate(
    clean: Annotated[
        Path, typer.Argument(help="Clean recording (.wav, .flac; 16 kHz mono) or folder of them.")
    ],
    enhanced: Annotated[
        Path, typer.Argument(help="Enhanced recording, or folder with files of the same names.")
    ],
    csv: Annotated[Path | None, typer.Option(help="Write a row per file here.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes; default: one per core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score enhanced against clean speech: PESQ, CSIG, CBAK, COVL, SSNR, STOI, SI-SDR and gain.

    Shows each metric's mean with its 95 % interval over files (BCa bootstrap) and the number of files behind it.
    A score that cannot be computed is missing with its reason, never 0.
    """
    from cmgan.metrics.evaluation import SCORES, evaluate_files
    from cmgan.metrics.speech import METRICS
    from cmgan.statistics import mean_interval
    from data_prep.whole_files import write_table

    with input_errors():
        table = evaluate_files(clean, enhanced, workers, quiet=as_json)
    summary = {metric: mean_interval(table[metric], seed=0) for metric in SCORES}
    unscored = table[table["reasons"] != ""]
    if as_json:
        metrics = {
            metric: {"mean": value.estimate, "low": value.low, "high": value.high, "files": value.n}
            for metric, value in summary.items()
        }
        print_json({"files": len(table), "metrics": metrics, "rows": table.to_dict("records")})
    else:
        typer.echo(f"{'metric':<12}{'mean':>9}{'95 % interval':>22}{'files':>8}")
        for metric, interval in summary.items():
            typer.echo(_line(f"{metric} (dB)" if METRICS[metric].endswith(" (dB)") else metric, interval))
        for row in unscored.itertuples():
            typer.echo(f"{row.id}: {row.reasons}", err=True)
    if csv is not None:
        with input_errors():
            write_table(table, csv)
    if table[list(SCORES)].isna().all(axis=None):
        stop("no file could be scored", Outcome.INPUT_ERROR)
    if len(unscored):
        raise typer.Exit(Outcome.INCOMPLETE)


def _line(name: str, interval: "Interval") -> str:
    bounds = "-" if interval.low != interval.low else f"[{interval.low:.3f}, {interval.high:.3f}]"
    mean = "-" if not interval.n else f"{interval.estimate:.3f}"
    return f"{name:<12}{mean:>9}{bounds:>22}{interval.n:>8}"
