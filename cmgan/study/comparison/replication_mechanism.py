"""What goes along with the PESQ that normalising the target gains, seed by seed, over several runs.

Exploratory: looked for after the runs were seen. It tells which quantity changes where PESQ does, not what causes it.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cmgan.study.comparison.words import bounds, number
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.paths import training_folder
from cmgan.study.rank_correlation import cluster_rank_correlation

ARM, REFERENCE = "normalised_target", "published"
QUANTITIES = {
    "inconsistency": "spectral inconsistency",
    "phase_error": "phase error (rad)",
    "loss_magnitude": "magnitude loss",
}
BOOTSTRAP_SEED = 0
MARKERS = ("o", "s", "^", "D", "v", "P")


def mechanism_by_seed(runs: Sequence[Path], differences: pd.DataFrame) -> pd.DataFrame:
    """Rows run, seed, pesq and a column for each of QUANTITIES: ARM − REFERENCE of the same seed.

    differences: of `seed_differences`, for PESQ on the test utterances; the other columns are means over the
    validation utterances after the last epoch.
    """
    rows = []
    for run in runs:
        of_run = differences[(differences["run"] == run.name) & (differences["arm"] == ARM)]
        for seed, pesq in zip(of_run["seed"], of_run["difference"], strict=True):
            last, other = (_last_epoch(run, arm, seed) for arm in (ARM, REFERENCE))
            changes = {quantity: last[quantity] - other[quantity] for quantity in QUANTITIES}
            rows.append({"run": run.name, "seed": seed, "pesq": pesq} | changes)
    return pd.DataFrame(rows)


def correlation_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each quantity with PESQ over seeds: quantity, correlation, low, high, seeds.

    frame: of `mechanism_by_seed`. 95 % bootstrap intervals over seeds; missing below three seeds.
    """
    rows = []
    for quantity in QUANTITIES:
        found = cluster_rank_correlation(frame[quantity], frame["pesq"], range(len(frame)), BOOTSTRAP_SEED)
        rows.append((quantity, found.estimate, found.low, found.high, found.n))
    return pd.DataFrame(rows, columns=["quantity", "correlation", "low", "high", "seeds"])


def plot_mechanism_by_seed(frame: pd.DataFrame) -> Figure:
    """PESQ gained against the change of each quantity, a mark a seed, a shape a run; frame of `mechanism_by_seed`."""
    figure, axes = plt.subplots(1, len(QUANTITIES), figsize=(TEXT_WIDTH, 2.5), sharey=True)
    found = correlation_table(frame).set_index("quantity")
    for axis, (quantity, label) in zip(axes, QUANTITIES.items(), strict=True):
        for (run, rows), marker in zip(frame.groupby("run", sort=False), MARKERS, strict=False):
            axis.scatter(
                rows[quantity],
                rows["pesq"],
                marker=marker,
                s=22,
                color="#0b4f9e",
                alpha=0.8,
                linewidths=0,
                label=run.replace("_", " "),
            )
        axis.axvline(0, color="0.4", linewidth=0.8)
        axis.axhline(0, color="0.4", linewidth=0.8)
        axis.set_xlabel(f"change of {label}")
        row = found.loc[quantity]
        axis.set_title(f"ρ = {number(row['correlation'])} {bounds(row['low'], row['high'])}")
    axes[0].set_ylabel("PESQ gained on the test\nby normalising the target")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=frame["run"].nunique()
    )
    figure.supxlabel(f"n = {len(frame)} seeds; rank correlations with 95 % intervals over seeds", fontsize=7)
    return figure


def _last_epoch(run: Path, arm: str, seed: int) -> pd.Series:
    return pd.read_csv(training_folder(run, arm, seed) / "epochs.csv").iloc[-1]
