"""Figures of the silence survey: where PESQ fails, what labels come of it, and the noise of random crops."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cmgan.labels import INVENTED_LABEL, normalised_pesq
from cmgan.statistics import (
    CLAIMED_SKIP_SHARE,
    MARGIN_PESQ,
    cluster_rank_correlation,
    needed_crop_share,
)
from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.silence.survey import PUBLISHED_BATCH, SIDES
from cmgan.study.silence.validation_noise import CLAIMED_COLLAPSE

CLAIM = f"{100 * CLAIMED_SKIP_SHARE:.0f} %"
MARKERS = ("o", "s", "^")
POLICY_TITLES = {
    "skip_batch": "skip the batch\n(public code)",
    "batch_mean": "batch's mean\n(debugging effort)",
    "mask": "mask the sample",
    "fill": "fill in 0.5",
}
FOOT = -0.09


def failure_by_length(shares: pd.DataFrame) -> Figure:
    """Share of crops whose PESQ fails against crop length; frame of `failure_shares` by crop_seconds."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.5))
    position = np.arange(len(shares))
    _points(axis, position, shares, color="C0", fmt="o", label="observed, 95 % interval")
    needed = needed_crop_share(CLAIMED_SKIP_SHARE, PUBLISHED_BATCH)
    axis.axhline(
        needed, color="C3", linestyle="--", label=f"needed for {CLAIM} of batches of {PUBLISHED_BATCH}"
    )
    labels = [f"{row.crop_seconds:g} s\n{row.failed} of {row.n}" for row in shares.itertuples()]
    axis.set_xticks(position, labels)
    axis.set(xlabel="crop length, and crops that failed", ylabel="share of crops without PESQ")
    axis.set(xlim=(-0.5, len(shares) - 0.5), ylim=(-0.01, max(needed, shares["high"].max()) * 1.35))
    axis.legend(loc="upper right")
    return figure


def failure_by_batch(batches: pd.DataFrame) -> Figure:
    """Share of batches with a failure against batch size, observed and predicted; frame of `batch_failures`."""
    lengths = sorted(batches["crop_seconds"].unique())
    figure, axes = plt.subplots(
        1, len(lengths), figsize=(TEXT_WIDTH, 2.5), sharey=True, sharex=True, squeeze=False
    )
    for axis, seconds in zip(axes[0], lengths, strict=True):
        rows = batches[batches["crop_seconds"] == seconds].sort_values("batch_size")
        sizes = rows["batch_size"].to_numpy()
        axis.fill_between(
            sizes, rows["predicted_low"], rows["predicted_high"], color="C0", alpha=0.2, linewidth=0
        )
        axis.plot(sizes, rows["predicted"], color="C0", label="predicted from single crops, 95 % band")
        _points(axis, sizes, rows, color="C1", fmt="s", label="observed, 95 % interval")
        axis.axhline(CLAIMED_SKIP_SHARE, color="C3", linestyle="--", label=f"claimed share ({CLAIM})")
        axis.set_xscale("log", base=2)
        labels = [f"{size}\n{n}" for size, n in zip(sizes, rows["batches"], strict=True)]
        axis.set_xticks(sizes, labels)
        axis.minorticks_off()
        axis.set(title=f"crops of {seconds:g} s", xlabel="batch size, and batches seen", ylim=(-0.03, 1.0))
    axes[0, 0].set_ylabel("share of batches with a failure")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def failure_by_dose(shares: pd.DataFrame) -> Figure:
    """Share of crops whose PESQ fails against the speech left; frame of `failure_shares` by side and dose_ms."""
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.7))
    doses = np.sort(shares["dose_ms"].unique())
    for number, side in enumerate(SIDES):
        rows = shares[shares["side"] == side].sort_values("dose_ms")
        # Sides that agree would hide each other: set them side by side.
        position = np.searchsorted(doses, rows["dose_ms"]) + 0.16 * (number - 1)
        label = f"silenced: {side}" + " only" * (side != "both")
        axis.plot(position, rows["share"], color=f"C{number}", alpha=0.35)
        _points(axis, position, rows, color=f"C{number}", fmt=MARKERS[number], label=label)
    axis.set_xticks(range(len(doses)), [f"{dose:g}" for dose in doses])
    counts = " to ".join(map(str, sorted(shares["n"].unique())))
    axis.set_xlabel(f"speech left in a crop of 2 s (ms); n = {counts} crops a point")
    axis.set(ylabel="share of crops without PESQ", ylim=(-0.04, 1.04))
    axis.legend(loc="upper right")
    return figure


def score_by_activity(crops: pd.DataFrame) -> Figure:
    """PESQ of the noisy crops against the speech in them, failures at the foot; frame of `scored_crops`."""
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.8))
    lengths = sorted(crops["crop_seconds"].unique())
    for number, seconds in enumerate(lengths):
        rows = crops[crops["crop_seconds"] == seconds]
        failed = rows[rows["pesq"].isna()]
        look = {
            "color": f"C{number}",
            "label": f"{seconds:g} s crops (n = {len(rows)}, {len(failed)} failed)",
        }
        marker = MARKERS[number % len(MARKERS)]
        axis.scatter(rows["active_ms"], rows["pesq"], s=9, alpha=0.6, linewidth=0, marker=marker, **look)
        axis.scatter(failed["active_ms"], np.full(len(failed), 0.8), s=22, color=f"C{number}", marker="x")
    axis.axhline(1.0, color="0.5", linewidth=0.8)
    axis.set_yticks([0.8, 1, 2, 3, 4], ["failed", "1", "2", "3", "4"])
    axis.set(xlabel="active speech in the crop (ms)", ylabel="PESQ of noisy speech", ylim=(0.6, 4.7))
    figure.legend(
        loc="outside upper center", ncols=len(lengths), frameon=False, handletextpad=0.1, markerscale=2
    )
    return figure


def label_scatter(samples: pd.DataFrame) -> Figure:
    """Label against the sample's own PESQ, a column for each policy and a row for each batch size.

    Frame of `label_samples` for one failure rate. A failed sample stands at the PESQ that was hidden from the policy.
    """
    sizes = sorted(samples["batch_size"].unique())
    shape, figsize = (len(sizes), len(POLICY_TITLES)), (TEXT_WIDTH, 0.7 + 1.75 * len(sizes))
    figure, axes = plt.subplots(*shape, figsize=figsize, sharex=True, sharey=True, squeeze=False)
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
    figure.legend(
        handles, names, loc="outside upper center", ncols=4, frameon=False, handletextpad=0.1, markerscale=2
    )
    return figure


def visible_drop(drops: pd.DataFrame) -> Figure:
    """The drop between two epochs that is no accident of the crops, by utterances; frame of `visible_drops`."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.7))
    axis.fill_between(drops["utterances"], drops["low"], drops["high"], color="C0", alpha=0.2, linewidth=0)
    axis.plot(drops["utterances"], drops["drop"], color="C0", label="drop seen with 95 %, and interval")
    claimed = f"claimed collapse ({CLAIMED_COLLAPSE:g})"
    axis.axhline(CLAIMED_COLLAPSE, color="C3", linestyle="--", label=claimed)
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


def _points(axis: Axes, position: np.ndarray, rows: pd.DataFrame, **look: str) -> None:
    """Shares with their intervals, columns share, low, high; in percent."""
    error = rows["share"] - rows["low"], rows["high"] - rows["share"]
    axis.errorbar(position, rows["share"], yerr=error, markersize=4, capsize=2, linewidth=1, **look)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


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
