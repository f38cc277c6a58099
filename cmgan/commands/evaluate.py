"""`cmgan evaluate`: score enhanced speech against the clean recordings."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmgan.commands.outcome import Outcome, epilog, input_errors, print_json, stop

if TYPE_CHECKING:
    import pandas as pd

    from cmgan.study.statistics import Interval

METRICS = ("pesq", "csig", "cbak", "covl", "ssnr", "stoi", "si_sdr", "gain")
UNITS = {"ssnr": "dB", "si_sdr": "dB"}
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
    from cmgan.metrics.scoring_files import pair_files, score_pairs
    from cmgan.study.statistics import mean_interval
    from data_prep.whole_files import write_table

    with input_errors():
        pairs = pair_files(clean, enhanced)
        table = _with_progress(score_pairs, pairs, workers, quiet=as_json)
        if csv is not None:
            write_table(table, csv)
    summary = {metric: mean_interval(table[metric], seed=0) for metric in METRICS}
    unscored = table[table["reasons"] != ""]
    if as_json:
        print_json(_as_dictionary(summary, table))
    else:
        typer.echo(_as_text(summary))
        for row in unscored.itertuples():
            typer.echo(f"{row.id}: {row.reasons}", err=True)
    if table[list(METRICS)].isna().all(axis=None):
        stop("no file could be scored", Outcome.INPUT_ERROR)
    if len(unscored):
        raise typer.Exit(Outcome.INCOMPLETE)


def _with_progress(score, pairs, workers: int | None, quiet: bool) -> "pd.DataFrame":
    from tqdm import tqdm

    with tqdm(
        total=len(pairs), unit="file", file=sys.stderr, disable=quiet or not sys.stderr.isatty()
    ) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return score(pairs, workers, progress)


def _as_text(summary: dict[str, "Interval"]) -> str:
    lines = [f"{'metric':<12}{'mean':>9}{'95 % interval':>22}{'files':>8}"]
    for metric, interval in summary.items():
        name = f"{metric} ({UNITS[metric]})" if metric in UNITS else metric
        bounds = "-" if interval.low != interval.low else f"[{interval.low:.3f}, {interval.high:.3f}]"
        mean = "-" if not interval.n else f"{interval.estimate:.3f}"
        lines.append(f"{name:<12}{mean:>9}{bounds:>22}{interval.n:>8}")
    return "\n".join(lines)


def _as_dictionary(summary: dict[str, "Interval"], table: "pd.DataFrame") -> dict:
    metrics = {
        metric: {"mean": value.estimate, "low": value.low, "high": value.high, "files": value.n}
        for metric, value in summary.items()
    }
    return {"files": len(table), "metrics": metrics, "rows": table.to_dict("records")}
