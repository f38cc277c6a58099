"""Figures of the published evidence: discriminator losses by run, and results by code version."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.margins import HEALTHY_BAND, NEARLY_ZERO

FAMILIES = {
    "before": "code before the refactoring",
    "after": "code after it",
    "fixed": "after it, batch-mean fix",
}
MARKERS = {"before": "o", "after": "s", "fixed": "^", "other": "D"}
OTHER_LABEL = "unknown or other code"


def losses_by_run(losses: pd.DataFrame) -> Figure:
    """Logged discriminator losses by run on a log axis, best run on top; frame of `losses_with_results`.

    Losses of exactly zero are set as crosses at the left edge.
    """
    runs = losses.groupby("run", sort=False).first().sort_values("final_pesq", na_position="first")
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.75 + 0.36 * len(runs)))
    axis.axvspan(*HEALTHY_BAND, color="C2", alpha=0.18, linewidth=0, label="called healthy")
    axis.axvline(NEARLY_ZERO, color="C3", linestyle="--", label=f"called skipped: below {NEARLY_ZERO:g}")
    positive = losses.loc[losses["disc_loss"] > 0, "disc_loss"]
    edge = positive.min() / 4 if len(positive) else NEARLY_ZERO / 10
    labels = []
    for row, (run, first) in enumerate(runs.iterrows()):
        values = losses.loc[losses["run"] == run, "disc_loss"].to_numpy()
        zero = values == 0
        # Lines at a few heights keep equal losses apart.
        height = row + 0.24 * (np.arange(len(values)) % 3 - 1)
        axis.scatter(values[~zero], height[~zero], s=11, alpha=0.65, linewidth=0, color="C0")
        axis.scatter(np.full(zero.sum(), edge), height[zero], s=22, marker="x", color="C0")
        axis.plot([np.median(values)] * 2, [row - 0.36, row + 0.36], color="C1", linewidth=2)
        reported = "not reported" if np.isnan(first["final_pesq"]) else f"{first['final_pesq']:.2f}"
        labels.append(f"{run} (n = {len(values)})\nPESQ {reported}")
    axis.plot([], [], color="C1", linewidth=2, label="median")
    axis.scatter([], [], s=11, color="C0", label="logged step")
    axis.set_xscale("log")
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="logged discriminator loss", ylim=(-0.6, len(labels) - 0.4))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def results_by_version(results: pd.DataFrame) -> Figure:
    """Published PESQ by run, coloured by code version; frame of `read_results`."""
    rows = results[results["pesq"].notna()].sort_values("pesq").reset_index(drop=True)
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.75 + 0.2 * len(rows)))
    families = rows["code_version"].map(code_family)
    for number, (family, marker) in enumerate(MARKERS.items()):
        chosen = rows[families == family]
        if chosen.empty:
            continue
        label = f"{FAMILIES.get(family, OTHER_LABEL)} (n = {len(chosen)})"
        axis.scatter(
            chosen["pesq"], chosen.index, s=22, color=f"C{number}", marker=marker, label=label, zorder=3
        )
    axis.set_yticks(rows.index, [f"{row.run} · {row.source}" for row in rows.itertuples()])
    axis.set(xlabel="PESQ", ylim=(-0.7, len(rows) - 0.3))
    axis.grid(axis="y", linestyle=":")
    axis.legend(loc="lower right")
    return figure


def code_family(version: str) -> str:
    """before, after, fixed or other, from a code_version of the tables."""
    if version.startswith("before-refactor"):
        return "before"
    if version.startswith("after-refactor"):
        return "fixed" if "fix" in version else "after"
    return "other"
