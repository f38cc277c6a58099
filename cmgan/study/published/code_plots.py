"""Figures of two habits of the public code: a process that skips its step, and ratings at the wrong scale."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.published.composite_inflation import LABELS, MARGIN_RATING, RATINGS, mean_inflation
from cmgan.study.published.rank_experiment import SCENARIO_TITLES
from cmgan.study.published.rank_skip import STEPS


def rank_reductions(reductions: pd.DataFrame) -> Figure:
    """The step of every gradient reduction, in each rank's own order; frame of `reduction_table`."""
    scenarios = list(reductions["scenario"].unique())
    figure, axes = plt.subplots(
        1, len(scenarios), figsize=(TEXT_WIDTH, 2.4), sharex=True, sharey=True, squeeze=False
    )
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        for rank, rows in reductions[reductions["scenario"] == scenario].groupby("rank"):
            # Ranks in step would hide each other: set them side by side.
            height = rows["step"] + 0.12 * (2 * rank - 1)
            paired = rows["step"] == rows["other_step"]
            color = f"C{rank}"
            axis.plot(rows["number"], height, color=color, alpha=0.4)
            axis.scatter(
                rows.loc[paired, "number"],
                height[paired],
                s=14,
                marker="os"[rank],
                color=color,
                label=f"process {rank}: same step",
            )
            axis.scatter(
                rows.loc[~paired, "number"],
                height[~paired],
                s=20,
                marker="x",
                color=color,
                label=f"process {rank}: another step's gradients",
            )
        axis.set_title(SCENARIO_TITLES.get(scenario, scenario).replace(", ", ",\n"))
        axis.set_xlabel("gradient reduction")
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set(ylabel="training step it was in", yticks=range(1, STEPS + 1), ylim=(0.6, STEPS + 0.4))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    return figure


def composite_inflation(inflation: pd.DataFrame) -> Figure:
    """How far the public evaluation moves each rating, an utterance a dot; frame of `composite_inflation`."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.4))
    means = mean_inflation(inflation, seed=0).set_index("metric")
    for place, metric in enumerate(RATINGS):
        changes = inflation.loc[inflation["metric"] == metric, "inflation"].dropna().to_numpy()
        # A fixed fan keeps equal dots apart without chance.
        spread = 0.22 * (np.arange(len(changes)) % 5 - 2) / 2
        axis.scatter(place + spread, changes, s=10, alpha=0.6, linewidth=0, color="C0", label="one file")
        mean = means.loc[metric]
        axis.errorbar(
            place + 0.36,
            mean["inflation"],
            [[mean["inflation"] - mean["low"]], [mean["high"] - mean["inflation"]]],
            fmt="D",
            markersize=4,
            capsize=2,
            color="C1",
            label="mean, 95 % interval",
        )
    axis.axhline(0, color="0.5", linewidth=0.8)
    axis.axhline(
        MARGIN_RATING, color="C3", linestyle="--", label=f"a change that matters ({MARGIN_RATING:g})"
    )
    axis.set_xticks(range(len(RATINGS)), [LABELS[metric] for metric in RATINGS])
    files = inflation["id"].nunique()
    axis.set(xlabel=f"rating ({files} noisy files)", ylabel="public scale − original scale")
    handles, names = axis.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=2, frameon=False)
    return figure
