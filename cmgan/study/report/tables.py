"""The report's tables: numbers as CSV, and the same as text for the page and for LaTeX."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmgan.study.comparison.plots import METRIC_LABELS
from cmgan.study.comparison.tables import Comparison
from cmgan.study.comparison.words import NAMES, bounds, fall_verdicts, number
from cmgan.study.report.latex_tables import latex_table
from data_prep.whole_files import write_table

NARROW_COLUMNS = 7
DECIMALS = {"stoi": 3}
SHOWN_PATIENCES = (5, 15)
STOPPED_BY = {"loss": "validation loss", "pesq": "PESQ"}
SHOWN_METRICS = ("pesq", "ssnr", "si_sdr", "stoi", "csig", "cbak", "covl", "gain")


@dataclass(frozen=True)
class Table:
    """numbers go to CSV; text, the same formatted, to the page and to LaTeX under `title` and `caption`."""

    name: str
    title: str
    caption: str
    numbers: pd.DataFrame
    text: pd.DataFrame

    @property
    def wide(self) -> bool:
        """Whether intervals need a line of their own for the table to fit a page."""
        return self.text.shape[1] > NARROW_COLUMNS


def final_table(final: pd.DataFrame) -> Table:
    """Arms × metrics, each with its interval over utterances; frame of `comparison.final_metrics`."""
    return Table(
        "final_metrics",
        "Test scores",
        f"Mean and 95 % interval over {final['utterances'].max()} utterances (BCa bootstrap), each averaged over "
        f"{final['seeds'].max()} seeds. The CSV holds the intervals over seeds too.",
        final,
        _metrics_text(final, "mean", ""),
    )


def difference_table(table: pd.DataFrame) -> Table:
    """Arms × metrics, paired differences; for PESQ over utterances and over seeds. Frame of `differences`."""
    baseline = table["baseline"].iloc[0]
    text = _metrics_text(table, "difference", "+")
    pesq = table[table["metric"] == "pesq"]
    over_seeds = [bounds(row.seed_low, row.seed_high, "+.2f") for row in pesq.itertuples()]
    text.insert(2, "PESQ, interval over seeds", over_seeds)
    return Table(
        f"differences_from_{baseline}",
        f"Differences from {baseline}",
        f"Paired difference of each arm from {baseline}: mean and 95 % interval over utterances; for PESQ also over "
        "seeds (Student's t: with two seeds it is wide, since two seeds say little).",
        table,
        text,
    )


def fall_table(falls: pd.DataFrame) -> Table:
    """Peak, end and fall of each run with the arm's verdict; frame of `comparison.pesq_falls`."""
    verdicts = fall_verdicts(falls)
    text = pd.DataFrame(
        {
            "arm": falls["arm"],
            "seed": falls["seed"].astype(str),
            "peak": [f"{row.peak:.2f} (epoch {row.peak_epoch})" for row in falls.itertuples()],
            "end": [f"{row.final:.2f} (epoch {row.final_epoch})" for row in falls.itertuples()],
            "fall": [f"{number(row.fall)} {bounds(row.low, row.high)}" for row in falls.itertuples()],
            "utterances": falls["utterances"].astype(str),
            "the arm": [verdicts[arm] for arm in falls["arm"]],
        }
    )
    return Table(
        "pesq_falls",
        "Fall of validation PESQ",
        "Highest and last epoch of each run. The fall is measured on utterances that did not choose the highest "
        "epoch, with its 95 % interval over utterances, so it can differ from the two means beside it.",
        falls,
        text,
    )


def change_table(changes: pd.DataFrame) -> Table:
    """Peak → end of losses, gain and inconsistency, means over seeds; frame of `comparison.since_peak`."""
    means = changes.groupby(["arm", "quantity"], sort=False)[["at_peak", "final"]].mean().reset_index()
    cells = [f"{row.at_peak:#.3g} → {row.final:#.3g}" for row in means.itertuples()]
    text = means.assign(cell=cells).pivot(index="arm", columns="quantity", values="cell")
    text = text.reindex(index=changes["arm"].unique(), columns=["pesq", *NAMES])
    names = {"pesq": "PESQ"} | NAMES
    return Table(
        "since_peak",
        "From the highest epoch to the last",
        "Validation means at the epoch of the highest PESQ → at the last epoch, averaged over seeds.",
        changes,
        text.rename(columns=names).rename_axis(columns=None).reset_index(),
    )


def skip_table(skips: pd.DataFrame) -> Table:
    """Skipped steps and failures by arm; frame of `comparison.skip_rates`."""
    text = pd.DataFrame(
        {
            "arm": skips["arm"],
            "label policy": skips["labels"].str.replace("_", " "),
            "steps": skips["steps"].astype(str),
            "steps skipped": [
                "–"
                if pd.isna(row.share)
                else f"{number(row.share, '.1%')} {bounds(row.low, row.high, '.1%')}"
                for row in skips.itertuples()
            ],
            "samples whose PESQ failed": skips["failures"].astype(str),
            "of these on purpose": skips["injected"].astype(str),
        }
    )
    return Table(
        "skipped_steps",
        "Skipped steps",
        "Share of steps in which the discriminator did not learn, all seeds together, with its exact 95 % interval "
        "(Clopper–Pearson).",
        skips,
        text,
    )


def reason_table(reasons: pd.DataFrame) -> Table:
    """Failed PESQ computations by reason; frame of `comparison.failures_by_reason`."""
    return Table(
        "failure_reasons",
        "Why PESQ failed in training",
        "Number of training samples by the reason that the PESQ computation gave; “injected” were made to fail.",
        reasons,
        reasons.astype(str),
    )


def replay_table(replays: pd.DataFrame) -> Table:
    """Where early stopping would have ended each arm; frame of `early_stopping.replay`."""
    rows = []
    for arm, runs in replays.groupby("arm", sort=False):
        cells = {"arm": arm, "PESQ at the end": f"{runs['pesq_end'].mean():.2f}"}
        for (criterion, patience), stops in runs.groupby(["criterion", "patience"], sort=False):
            if patience in SHOWN_PATIENCES:
                text = f"{stops['pesq_stopped'].mean():.2f} ({stops['stopped'].sum()} of {len(stops)})"
                cells[f"stopped by {STOPPED_BY[criterion]}, patience {patience}"] = text
        rows.append(cells)
    return Table(
        "early_stopping",
        "Early stopping replayed",
        "Validation PESQ at the end of each training, and where it would have been stopped; means over seeds, and in "
        "brackets how many of them would have been stopped. The CSV has every seed, more patiences and the best "
        "checkpoint.",
        replays,
        pd.DataFrame(rows),
    )


def report_tables(compared: Comparison) -> list[Table]:
    """Every table of the report that has rows."""
    tables = [
        fall_table(compared.pesq_falls),
        change_table(compared.since_peak),
        final_table(compared.final_metrics),
        skip_table(compared.skip_rates),
        reason_table(compared.failures_by_reason),
        replay_table(compared.early_stopping),
    ]
    for frame in (compared.differences, compared.differences_from_noisy):
        if len(frame):
            tables.append(difference_table(frame))
    return [table for table in tables if len(table.numbers)]


def write_tables(tables: list[Table], folder: Path) -> None:
    """Write NAME.csv with the numbers and NAME.tex with the text of every table."""
    for table in tables:
        write_table(table.numbers, folder / f"{table.name}.csv")
        write_latex(table, folder)


def write_latex(table: Table, folder: Path) -> None:
    """Write NAME.tex with the text of a table."""
    latex = latex_table(table.name, f"{table.title}. {table.caption}", table.text, table.wide)
    (folder / f"{table.name}.tex").write_text(latex)


def _metrics_text(frame: pd.DataFrame, value: str, sign: str) -> pd.DataFrame:
    rows = {}
    for row in frame.itertuples():
        style = f"{sign}.{DECIMALS.get(row.metric, 2)}f"
        cell = f"{number(getattr(row, value), style)} {bounds(row.low, row.high, style)}"
        rows.setdefault(row.arm, {})[METRIC_LABELS[row.metric]] = cell
    columns = [METRIC_LABELS[metric] for metric in SHOWN_METRICS]
    return pd.DataFrame.from_dict(rows, orient="index")[columns].rename_axis("arm").reset_index()
