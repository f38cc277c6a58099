"""Figures of the finished arms: final metrics and differences between arms, with their intervals."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cmgan.study.arm_styles import NOISY_COLOUR, WHITE_EDGE, arm_label, arm_rows, arm_style
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.run_results import NOISY

METRIC_LABELS = {
    "pesq": "PESQ",
    "ssnr": "segmental SNR (dB)",
    "si_sdr": "SI-SDR (dB)",
    "stoi": "STOI",
    "csig": "CSIG",
    "cbak": "CBAK",
    "covl": "COVL",
    "gain": "gain of the estimate",
}


def final_metrics(frame: pd.DataFrame) -> Figure:
    """Mean of each metric on the test utterances by arm, with its interval over utterances; noisy is the baseline.

    Columns: those of `comparison.final_metrics`.
    """
    arms = [arm for arm in frame["arm"].unique() if arm != NOISY]
    figure, axes = _metric_grid(len(arms))
    for axis, (metric, label) in zip(axes.flat, METRIC_LABELS.items(), strict=True):
        rows = frame[frame["metric"] == metric].set_index("arm")
        if NOISY in rows.index:
            noisy = rows.loc[NOISY]
            axis.axvspan(noisy["low"], noisy["high"], color="0.88", zorder=0, linewidth=0)
            axis.axvline(noisy["mean"], color=NOISY_COLOUR, linestyle=":", linewidth=1)
        arm_rows(axis, arms)
        for position, arm in enumerate(arms):
            _dot(axis, position, arm, *rows.loc[arm, ["mean", "low", "high"]])
        axis.set_title(label)
    counts = frame[frame["arm"] != NOISY]
    figure.supxlabel(
        f"mean and 95 % interval over {counts['utterances'].max()} utterances, "
        f"each averaged over {counts['seeds'].max()} seeds; grey: noisy input",
    )
    return figure


def differences(frame: pd.DataFrame) -> Figure:
    """Paired differences from the baseline arm by metric: intervals over utterances, ticks at the seeds' extremes.

    Columns: those of `comparison.differences`, for one baseline.
    """
    arms = list(frame["arm"].unique())
    figure, axes = _metric_grid(len(arms))
    for axis, (metric, label) in zip(axes.flat, METRIC_LABELS.items(), strict=True):
        rows = frame[frame["metric"] == metric].set_index("arm")
        if metric == "pesq":
            axis.axvspan(-MARGIN_PESQ, MARGIN_PESQ, color="0.9", zorder=0, linewidth=0)
        axis.axvline(0, color="0.3", linewidth=0.8)
        arm_rows(axis, arms)
        for position, arm in enumerate(arms):
            row = rows.loc[arm]
            _dot(axis, position, arm, row["difference"], row["low"], row["high"])
            ends = [row["smallest"], row["largest"]]
            axis.plot(ends, [position] * 2, "|", color=arm_style(arm)["color"], markersize=8)
        axis.set_title(f"Δ {label}")
    figure.supxlabel(
        f"difference from {arm_label(frame['baseline'].iloc[0])}: mean and 95 % interval over "
        f"{frame['utterances'].max()} utterances\n"
        f"ticks: lowest and highest of {frame['seeds'].max()} seeds; grey: PESQ within ±{MARGIN_PESQ}",
    )
    return figure


def _metric_grid(arms: int) -> tuple[Figure, list]:
    height = 2 * (0.45 + 0.2 * max(arms, 2)) + 0.3
    figure, axes = plt.subplots(2, 4, figsize=(TEXT_WIDTH, height), sharey=True)
    for axis in axes.flat:
        axis.locator_params(axis="x", nbins=4)
    return figure, axes


def _dot(axis: Axes, position: int, arm: str, mean: float, low: float, high: float) -> None:
    style = arm_style(arm)
    axis.hlines(position, low, high, color=style["color"], linewidth=1.6)
    axis.plot(mean, position, style["marker"], color=style["color"], markersize=5, **WHITE_EDGE)
