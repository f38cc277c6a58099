"""Figures of the silence survey: where PESQ fails and what a failing crop costs a batch."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.margins import CLAIMED_SKIP_SHARE
from cmgan.study.silence.formulas import needed_crop_share
from cmgan.study.silence.survey import SIDES

TRAINING_BATCH = 4
CLAIM = f"{100 * CLAIMED_SKIP_SHARE:.0f} %"
SIDE_LABELS = {"reference": "reference only", "estimate": "estimate only", "both": "both"}
MARKERS = ("o", "s", "^")


def failure_by_length(shares: pd.DataFrame) -> Figure:
    """Share of crops whose PESQ fails against crop length; frame of `failure_shares` by crop_seconds."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.5))
    position = np.arange(len(shares))
    _points(axis, position, shares, color="C0", marker="o", label="observed, 95 % interval")
    needed = needed_crop_share(CLAIMED_SKIP_SHARE, TRAINING_BATCH)
    axis.axhline(
        needed,
        color="C3",
        linestyle="--",
        label=f"needed for {CLAIM} of batches of {TRAINING_BATCH}",
    )
    labels = [f"{row.crop_seconds:g} s\n{row.failed} of {row.n}" for row in shares.itertuples()]
    axis.set_xticks(position, labels)
    axis.set(xlabel="crop length, and crops that failed", ylabel="share of crops without PESQ")
    axis.set(xlim=(-0.5, len(shares) - 0.5), ylim=(-0.01, max(needed, shares["high"].max()) * 1.35))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
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
        _points(axis, sizes, rows, color="C1", marker="s", label="observed, 95 % interval")
        axis.axhline(CLAIMED_SKIP_SHARE, color="C3", linestyle="--", label=f"claimed share ({CLAIM})")
        axis.set_xscale("log", base=2)
        labels = [f"{size}\n{n}" for size, n in zip(sizes, rows["batches"], strict=True)]
        axis.set_xticks(sizes, labels)
        axis.minorticks_off()
        axis.set(title=f"crops of {seconds:g} s", xlabel="batch size, and batches seen", ylim=(-0.03, 1.0))
    axes[0, 0].set_ylabel("share of batches with a failure")
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure


def failure_by_dose(shares: pd.DataFrame) -> Figure:
    """Share of crops whose PESQ fails against the speech left; frame of `failure_shares` by side and dose_ms."""
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.7))
    doses = np.sort(shares["dose_ms"].unique())
    for number, side in enumerate(SIDES):
        rows = shares[shares["side"] == side].sort_values("dose_ms")
        # Sides that agree would hide each other: set them side by side.
        position = np.searchsorted(doses, rows["dose_ms"]) + 0.16 * (number - 1)
        label = f"silenced: {SIDE_LABELS[side]}"
        axis.plot(position, rows["share"], color=f"C{number}", alpha=0.35)
        _points(axis, position, rows, color=f"C{number}", marker=MARKERS[number], label=label)
    axis.set_xticks(range(len(doses)), [f"{dose:g}" for dose in doses])
    counts = shares["n"].unique()
    axis.set_xlabel(
        f"speech left in a crop of 2 s (ms); n = {' to '.join(map(str, sorted(counts)))} crops a point"
    )
    axis.set(ylabel="share of crops without PESQ", ylim=(-0.04, 1.04))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axis.legend(loc="upper right")
    return figure


def score_by_activity(crops: pd.DataFrame) -> Figure:
    """PESQ of the noisy crops against the speech in them, failures at the foot; frame of `survey_crops`."""
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.8))
    lengths = sorted(crops["crop_seconds"].unique())
    for number, seconds in enumerate(lengths):
        rows = crops[crops["crop_seconds"] == seconds]
        label = f"{seconds:g} s crops (n = {len(rows)}, {rows['pesq'].isna().sum()} failed)"
        axis.scatter(
            rows["active_ms"],
            rows["pesq"],
            s=9,
            alpha=0.6,
            linewidth=0,
            color=f"C{number}",
            marker=MARKERS[number % len(MARKERS)],
            label=label,
        )
        failed = rows[rows["pesq"].isna()]
        axis.scatter(failed["active_ms"], np.full(len(failed), 0.8), s=22, color=f"C{number}", marker="x")
    axis.axhline(1.0, color="0.5", linewidth=0.8)
    axis.set_yticks([0.8, 1, 2, 3, 4], ["failed", "1", "2", "3", "4"])
    axis.set(xlabel="active speech in the crop (ms)", ylabel="PESQ of noisy speech", ylim=(0.6, 4.7))
    figure.legend(loc="outside upper center", ncols=len(lengths), frameon=False, handletextpad=0.1)
    return figure


def _points(
    axis: Axes, position: np.ndarray, rows: pd.DataFrame, color: str, marker: str, label: str
) -> None:
    """Shares with their intervals: columns share, low, high."""
    error = rows["share"] - rows["low"], rows["high"] - rows["share"]
    axis.errorbar(
        position,
        rows["share"],
        yerr=error,
        fmt=marker,
        markersize=4,
        capsize=2,
        linewidth=1,
        color=color,
        label=label,
    )
