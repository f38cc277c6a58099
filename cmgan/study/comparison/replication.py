"""How far each arm ends from `published`, seed by seed, over several runs.

python -m cmgan.study.comparison.replication FOLDER results/RUN… writes seeds.csv and mechanism.csv there,
each with its figure, arms.csv, arms.md and correlations.csv.
Utterances tell how sure a difference between two networks is, seeds whether two trainings would show it again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
import typer
from matplotlib.figure import Figure

from cmgan.study.arm_styles import arm_label, arm_style
from cmgan.study.arms import ARMS
from cmgan.study.comparison.replication_mechanism import (
    ARM,
    REFERENCE,
    correlation_table,
    mechanism_by_seed,
    plot_mechanism_by_seed,
)
from cmgan.study.comparison.words import bounds, number
from cmgan.study.figure_files import TEXT_WIDTH, draw
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.paths import evaluation_table
from cmgan.study.run_results import found_arms_and_seeds
from cmgan.study.statistics import seed_interval
from data_prep.whole_files import write_table, write_text

_SPREAD = 0.5
STYLES = {
    "other arms, un-normalised target": {"color": "#e66100", "marker": "o", "s": 9},
    "other arms, normalised target": {"color": "#4393c3", "marker": "D", "s": 9},
    f"{arm_label(ARM)} alone": {"color": arm_style(ARM)["color"], "marker": "D", "s": 40},
}


def seed_differences(runs: Sequence[Path]) -> pd.DataFrame:
    """Rows run, arm, seed, difference (mean test PESQ, ARM − its baseline of the same seed), utterances.

    runs: folders of finished or kept runs. Raises FileNotFoundError for one that trained no baseline.
    """
    return pd.concat([_of_run(run) for run in runs], ignore_index=True)


def baseline_of(arm: str) -> str:
    """`published`, with the arm's own batch size where it has one."""
    size = ARMS[arm].batch_size
    return f"{REFERENCE}_batch_{size}" if size else REFERENCE


def _of_run(run: Path) -> pd.DataFrame:
    scores = {
        (arm, seed): pd.read_csv(evaluation_table(run, arm, seed)).set_index("id")["pesq"]
        for arm, seed in found_arms_and_seeds(run)
    }
    rows = [
        {
            "run": run.name,
            "arm": arm,
            "seed": seed,
            "difference": (pesq - scores[baseline_of(arm), seed]).mean(),
            "utterances": (pesq - scores[baseline_of(arm), seed]).count(),
        }
        for (arm, seed), pesq in scores.items()
        if arm != baseline_of(arm) and (baseline_of(arm), seed) in scores
    ]
    if not rows:
        raise FileNotFoundError(f"{run}: no arm beside {REFERENCE} with the same seed; nothing to compare")
    return pd.DataFrame(rows)


def arm_table(differences: pd.DataFrame) -> pd.DataFrame:
    """For each run, and for all of them together, each arm's mean over seeds with a 95 % t interval.

    differences: of `seed_differences`. Columns run, arm, time_target, seeds, mean, low, high, seeds_above and
    seeds_below `published`. An interval of one seed is missing.
    """
    together = pd.concat([differences, differences.assign(run="all")])
    rows = []
    for (run, arm), group in together.groupby(["run", "arm"], sort=False):
        values = group["difference"].to_numpy()
        interval = seed_interval(values)
        rows.append(
            {
                "run": run,
                "arm": arm,
                "time_target": ARMS[arm].time_target,
                "seeds": len(values),
                "mean": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "seeds_above": int((values > 0).sum()),
                "seeds_below": int((values < 0).sum()),
            }
        )
    return pd.DataFrame(rows)


def arm_markdown(table: pd.DataFrame) -> str:
    """Markdown table of all runs together, by number of seeds, then mean; table of `arm_table`."""
    together = table[table["run"] == "all"]
    rows = [
        f"| {row.arm} | {row.time_target} | {_interval_in_words(row)} | {row.seeds_above} of {row.seeds} |"
        for row in together.sort_values(["seeds", "mean"], ascending=False).itertuples()
    ]
    head = f"| arm | time target | final PESQ − {REFERENCE}, mean over seeds | seeds above |"
    return "\n".join([head, "|---|---|---|---|", *rows]) + "\n"


def _interval_in_words(row: NamedTuple) -> str:
    mean = number(row.mean, "+.2f")
    return f"{mean} {bounds(row.low, row.high, '+.2f')}" if row.seeds > 1 else mean


def plot_seed_differences(frame: pd.DataFrame) -> Figure:
    """A dot for each seed and arm, a row a run; frame of `seed_differences`."""
    runs = list(dict.fromkeys(frame["run"]))
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.9 + 0.5 * len(runs)))
    axis.axvspan(-MARGIN_PESQ, MARGIN_PESQ, color="0.9", linewidth=0)
    axis.axvline(0, color="0.4", linewidth=0.8)
    for row, run in enumerate(runs):
        of_run = frame[frame["run"] == run]
        seeds = sorted(of_run["seed"].unique())
        for label, style in STYLES.items():
            rows = of_run[of_run["arm"].map(_label) == label]
            # Rows of dots by seed, so that those of one seed stand above one another.
            places = [row + _SPREAD * ((seeds.index(seed) + 0.5) / len(seeds) - 0.5) for seed in rows["seed"]]
            axis.scatter(rows["difference"], places, label=label if row == 0 else None, linewidths=0, **style)
    axis.set_yticks(range(len(runs)), [_row_label(run, frame[frame["run"] == run]) for run in runs])
    axis.set_ylim(len(runs) - 0.5, -0.5)
    axis.set_xlabel(f"final test PESQ, difference from {REFERENCE} with the same seed (grey: ±{MARGIN_PESQ})")
    axis.grid(visible=False, axis="y")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _label(arm: str) -> str:
    other = f"other arms, {'un-' if ARMS[arm].time_target == 'published' else ''}normalised target"
    return f"{arm_label(ARM)} alone" if arm == ARM else other


def _row_label(run: str, rows: pd.DataFrame) -> str:
    return f"{run.replace('_', ' ')}\n{rows['seed'].nunique()} seeds, {rows['utterances'].max()} utterances"


def main(
    folder: Annotated[Path, typer.Argument(help="where the tables and the figure go")],
    runs: Annotated[list[Path], typer.Argument(help="folders of finished or kept runs")],
) -> None:
    """Set the runs' seeds beside one another."""
    try:
        differences = seed_differences(runs)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    draw(plot_seed_differences, differences, folder, "seeds")
    mechanism = mechanism_by_seed(runs, differences)
    if not mechanism.empty:
        draw(plot_mechanism_by_seed, mechanism, folder, "mechanism")
        write_table(correlation_table(mechanism), folder / "correlations.csv")
    table = write_table(arm_table(differences), folder / "arms.csv")
    text = arm_markdown(table)
    write_text(text, folder / "arms.md")
    print(text)


if __name__ == "__main__":
    typer.run(main)
