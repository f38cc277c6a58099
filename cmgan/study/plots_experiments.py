"""Figures of the experiments that need no training: labels, validation noise, skipping ranks, inflated ratings."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmgan.labels import INVENTED_LABEL, normalised_pesq
from cmgan.study.composite_inflation import LABELS, MARGIN_RATING, RATINGS, mean_inflation
from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.rank_correlation import cluster_rank_correlation
from cmgan.study.rank_experiment import SCENARIO_TITLES
from cmgan.study.rank_skip import STEPS
from cmgan.study.silence_findings import MARGIN_PESQ
from cmgan.study.validation_noise import CLAIMED_COLLAPSE

POLICY_TITLES = {
    "skip_batch": "skip the batch\n(public code)",
    "batch_mean": "batch's mean\n(debugging effort)",
    "mask": "mask the sample",
    "fill": "fill in 0.5",
}
FOOT = -0.09


def label_scatter(samples: pd.DataFrame) -> Figure:
    """Label against the sample's own PESQ, a column for each policy and a row for each batch size.

    Frame of `label_samples` for one failure rate. A failed sample stands at the PESQ that was hidden from the policy.
    """
    sizes = sorted(samples["batch_size"].unique())
    figure, axes = plt.subplots(
        len(sizes),
        len(POLICY_TITLES),
        figsize=(TEXT_WIDTH, 0.7 + 1.75 * len(sizes)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for row, size in zip(axes, sizes, strict=True):
        for axis, policy in zip(row, POLICY_TITLES, strict=True):
            chosen = (samples["batch_size"] == size) & (samples["policy"] == policy)
            _labels(axis, samples[chosen & samples["pesq"].notna()])
        row[0].set_ylabel(f"batches of {size}\nlabel")
    for axis, title in zip(axes[0], POLICY_TITLES.values(), strict=True):
        axis.set_title(title)
    for axis in axes[-1]:
        axis.set_xlabel("PESQ of the sample")
    axes[0, 0].set(ylim=(FOOT - 0.07, 1.06), yticks=[FOOT, 0, 0.5, 1])
    axes[0, 0].set_yticklabels(["none", "0", "0.5", "1"])
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False, handletextpad=0.1)
    return figure


def visible_drop(drops: pd.DataFrame) -> Figure:
    """The drop between two epochs that is no accident of the crops, by utterances; frame of `visible_drops`."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.7))
    axis.fill_between(drops["utterances"], drops["low"], drops["high"], color="C0", alpha=0.2, linewidth=0)
    axis.plot(drops["utterances"], drops["drop"], color="C0", label="drop seen with 95 %, and interval")
    axis.axhline(
        CLAIMED_COLLAPSE, color="C3", linestyle="--", label=f"claimed collapse ({CLAIMED_COLLAPSE:g})"
    )
    axis.axhline(MARGIN_PESQ, color="0.4", linestyle=":", label=f"a drop that matters ({MARGIN_PESQ:g})")
    for number, row in enumerate(drops[drops["mark"].fillna("") != ""].itertuples()):
        label = f"{row.mark}: {row.utterances} utterances, {row.drop:.2g}"
        axis.plot(row.utterances, row.drop, "os"[number], markersize=5, color=f"C{number + 1}", label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks([1, 10, 100, 800], ["1", "10", "100", "800"])
    axis.set_yticks([0.02, 0.1, 0.5, 2], ["0.02", "0.1", "0.5", "2"])
    axis.minorticks_off()
    axis.set(xlabel="utterances in an epoch's mean", ylabel="drop of mean PESQ")
    figure.legend(loc="outside upper center", ncols=1, frameon=False)
    return figure


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


def _labels(axis: Axes, rows: pd.DataFrame) -> None:
    own = np.isclose(rows["label"], normalised_pesq(rows["pesq"]))
    none = rows["label"].isna()
    kinds = {
        "its own score": (own, "o", "C0"),
        "its batch's mean": (~own & ~none & ~rows["failed"], "s", "C1"),
        "invented: its score failed": (~none & rows["failed"], "^", "C3"),
        "no label": (none, "x", "0.4"),
    }
    for name, (chosen, marker, color) in kinds.items():
        heights = rows.loc[chosen, "label"].fillna(FOOT)
        lines = {"linewidth": 0.7} if marker == "x" else {"linewidth": 0}
        axis.scatter(
            rows.loc[chosen, "pesq"], heights, s=9, alpha=0.7, marker=marker, color=color, label=name, **lines
        )
    axis.axhline(INVENTED_LABEL, color="0.6", linewidth=0.7, linestyle=":")
    labelled = rows[~none]
    correlation = cluster_rank_correlation(labelled["label"], labelled["pesq"], labelled["batch"], 0).estimate
    text = "too few labels" if np.isnan(correlation) else f"rank correlation {correlation:.2f}"
    axis.text(0.96, 0.94, text, transform=axis.transAxes, ha="right", va="top", fontsize=6.5)
