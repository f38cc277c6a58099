"""The tables of a comparison: what a run's numbers look like as text, to be shown and to be printed."""

from collections.abc import Mapping

import pandas as pd

from cmgan.metrics.speech import METRICS
from cmgan.study.comparison.evaluation import Comparison
from cmgan.study.comparison.words import NAMES, falls_over_seeds
from cmgan.study.run_results import NOISY
from cmgan.study.tables import Table
from cmgan.study.wording import bounds, number

SHOWN_PATIENCES = (5, 15)
STOPPED_BY = {"loss": "validation loss", "pesq": "PESQ"}


def comparison_tables(compared: Comparison) -> dict[str, Table]:
    """Every table of the comparison that has rows, by name."""
    final = compared.final_metrics
    against = {compared.baseline: compared.differences, NOISY: compared.differences_from_noisy}
    tables = (
        (
            "pesq_falls",
            "Fall of validation PESQ",
            "Highest and last epoch of each run. The fall is measured on utterances that did not choose the highest "
            "epoch, with its 95 % interval over utterances, so it can differ from the two means beside it.",
            compared.pesq_falls,
            _falls,
        ),
        (
            "since_peak",
            "From the highest epoch to the last",
            "Validation means at the epoch of the highest PESQ → at the last epoch, averaged over seeds.",
            compared.since_peak,
            _changes,
        ),
        (
            "early_stopping",
            "Early stopping replayed",
            "Validation PESQ at the end of each training, and where it would have been stopped; means over seeds, "
            "and in brackets how many of them would have been stopped. The CSV has every seed, more patiences and "
            "the best checkpoint.",
            compared.early_stopping,
            _replays,
        ),
        (
            "final_metrics",
            "Test scores",
            f"Mean over {final['utterances'].max()} utterances and {final['seeds'].max()} seeds with its 95 % "
            "interval over seeds (Student's t: with two seeds it is wide, since two seeds say little); of noisy "
            "speech over utterances.",
            final,
            lambda frame: _metrics(frame, "mean", ""),
        ),
        *(
            (
                f"differences_from_{baseline}",
                f"Differences from {baseline}",
                f"Paired difference of each arm from {baseline}, by utterance and seed: mean and 95 % interval over "
                "seeds.",
                frame,
                lambda frame: _metrics(frame, "difference", "+"),
            )
            for baseline, frame in against.items()
        ),
        (
            "skipped_steps",
            "Skipped steps",
            "Share of steps in which the discriminator did not learn, all seeds together, with its exact 95 % "
            "interval (Clopper–Pearson).",
            compared.skip_rates,
            _skips,
        ),
        (
            "failure_reasons",
            "Why PESQ failed in training",
            "Number of training samples by the reason that the PESQ computation gave; “injected” were made to fail.",
            compared.failures_by_reason,
            lambda frame: frame.astype(str),
        ),
    )
    return {
        name: Table(name, title, caption, numbers, text_of(numbers))
        for name, title, caption, numbers, text_of in tables
        if len(numbers)
    }


def _falls(falls: pd.DataFrame) -> pd.DataFrame:
    verdicts = falls_over_seeds(falls)["verdict"]
    return pd.DataFrame(
        {
            "arm": falls["arm"],
            "seed": falls["seed"].astype(str),
            "peak": [f"{row.peak:.2f} (epoch {row.peak_epoch})" for row in falls.itertuples()],
            "end": [f"{row.final:.2f} (epoch {row.final_epoch})" for row in falls.itertuples()],
            "fall": [_estimate(row.fall, row.low, row.high, ".2f") for row in falls.itertuples()],
            "utterances": falls["utterances"].astype(str),
            "the arm": [verdicts[arm] for arm in falls["arm"]],
        }
    )


def _changes(changes: pd.DataFrame) -> pd.DataFrame:
    means = changes.groupby(["arm", "quantity"], sort=False)[["at_peak", "final"]].mean().reset_index()
    cells = [f"{row.at_peak:#.3g} → {row.final:#.3g}" for row in means.itertuples()]
    return _arms_by(means, "quantity", cells, {"pesq": "PESQ"} | NAMES)


def _replays(replays: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for arm, runs in replays.groupby("arm", sort=False):
        cells = {"arm": arm, "PESQ at the end": f"{runs['pesq_end'].mean():.2f}"}
        shown = runs[runs["patience"].isin(SHOWN_PATIENCES)]
        for (criterion, patience), stops in shown.groupby(["criterion", "patience"], sort=False):
            text = f"{stops['pesq_stopped'].mean():.2f} ({stops['stopped'].sum()} of {len(stops)})"
            cells[f"stopped by {STOPPED_BY[criterion]}, patience {patience}"] = text
        rows.append(cells)
    return pd.DataFrame(rows)


def _metrics(frame: pd.DataFrame, value: str, sign: str) -> pd.DataFrame:
    styles = [f"{sign}.{3 if metric == 'stoi' else 2}f" for metric in frame["metric"]]
    cells = map(_estimate, frame[value], frame["low"], frame["high"], styles)
    return _arms_by(frame, "metric", list(cells), METRICS)


def _skips(skips: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "arm": skips["arm"],
            "label policy": skips["labels"].str.replace("_", " "),
            "steps": skips["steps"].astype(str),
            "steps skipped": [
                "–" if pd.isna(row.share) else _estimate(row.share, row.low, row.high, ".1%")
                for row in skips.itertuples()
            ],
            "samples whose PESQ failed": skips["failures"].astype(str),
            "of these on purpose": skips["injected"].astype(str),
        }
    )


def _estimate(value: float, low: float, high: float, style: str) -> str:
    return f"{number(value, style)} {bounds(low, high, style)}"


def _arms_by(frame: pd.DataFrame, column: str, cells: list[str], labels: Mapping[str, str]) -> pd.DataFrame:
    """A row an arm, in the frame's order, and a column for each value of `column` that has a label."""
    text = frame.assign(cell=cells).pivot(index="arm", columns=column, values="cell")
    text = text.reindex(index=frame["arm"].unique(), columns=list(labels))
    return text.rename(columns=labels).rename_axis(columns=None).reset_index()
