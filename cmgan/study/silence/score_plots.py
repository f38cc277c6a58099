"""Figures of what PESQ scores are used for: labels by policy and validation on random crops."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmgan.labels import INVENTED_LABEL, normalised_pesq
from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.rank_correlation import cluster_rank_correlation
from cmgan.study.silence.validation_noise import CLAIMED_COLLAPSE

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
    axis.text(0.96, 0.94, text, transform=axis.transAxes, ha="right", va="top", fontsize=7)
