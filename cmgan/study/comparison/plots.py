"""Figures of test scores: of one arm, and of all arms of a run. Each takes one frame, which its CSV holds."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from matplotlib.transforms import ScaledTranslation

from cmgan.metrics.speech import METRICS
from cmgan.statistics import MARGIN_PESQ
from cmgan.study.arms import NOISY_COLOUR, WHITE_EDGE, arm_label, arm_rows, arm_style
from cmgan.study.comparison.evaluation import FAMILIES
from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.run_results import NOISY

INCHES_ASIDE = 0.07


def improvement_by_utterance(frame: pd.DataFrame) -> Figure:
    """Enhanced against noisy value of each utterance; above the diagonal is better. Frame of `improvements`."""
    figure, axes = plt.subplots(1, 4, figsize=(TEXT_WIDTH, 2.0))
    for axis, (metric, values) in zip(axes, frame.groupby("metric", sort=False), strict=True):
        rows = values.dropna()
        sns.scatterplot(rows, x="noisy", y="enhanced", ax=axis, s=14, color="C0")
        if len(rows):
            ends = (rows[["noisy", "enhanced"]].min().min(), rows[["noisy", "enhanced"]].max().max())
            axis.plot(ends, ends, color="0.4", linestyle=":", linewidth=1)
        axis.set_title(f"{METRICS[metric]}\n(n = {len(rows)} utterances)")
        axis.set(xlabel="noisy", ylabel="enhanced" if axis is axes[0] else "")
    return figure


def final_metrics(frame: pd.DataFrame) -> Figure:
    """Mean of each metric on the test utterances by arm: interval over seeds, ticks at the seeds' extremes.

    The grey band is the noisy files' interval over utterances.

    Columns: those of `evaluation.final_metrics`.
    """
    enhanced = frame[frame["arm"] != NOISY]
    figure, axes = _metric_axes(enhanced["arm"].unique())
    for metric, axis in axes.items():
        for noisy in frame[(frame["metric"] == metric) & (frame["arm"] == NOISY)].itertuples():
            axis.axvspan(noisy.low, noisy.high, color="0.88", zorder=0, linewidth=0)
            axis.axvline(noisy.mean, color=NOISY_COLOUR, linestyle=":", linewidth=1)
        axis.set_title(METRICS[metric])
        _arms(axis, enhanced[enhanced["metric"] == metric], "mean")
    figure.supxlabel(
        f"mean and 95 % interval over {enhanced['seeds'].max()} seeds, {enhanced['utterances'].max()} utterances "
        "each\nticks: lowest and highest seed; grey: noisy input",
    )
    return figure


def differences(frame: pd.DataFrame) -> Figure:
    """Paired differences from the baseline arm by metric: intervals over seeds, ticks at the seeds' extremes.

    Columns: those of `evaluation.differences`, for one baseline.
    """
    figure, axes = _metric_axes(frame["arm"].unique())
    axes["pesq"].axvspan(-MARGIN_PESQ, MARGIN_PESQ, color="0.9", zorder=0, linewidth=0)
    for metric, axis in axes.items():
        axis.axvline(0, color="0.3", linewidth=0.8)
        axis.set_title(f"Δ {METRICS[metric]}")
        _arms(axis, frame[frame["metric"] == metric], "difference")
    figure.supxlabel(
        f"difference from {arm_label(frame['baseline'].iloc[0])}: mean and 95 % interval over "
        f"{frame['seeds'].max()} seeds\nticks: lowest and highest seed; grey: PESQ within ±{MARGIN_PESQ}",
    )
    return figure


def _metric_axes(arms: Sequence[str]) -> tuple[Figure, dict[str, Axes]]:
    height = 2 * (0.45 + 0.2 * max(len(arms), 2)) + 0.3
    figure, axes = plt.subplots(2, 4, figsize=(TEXT_WIDTH, height), sharey=True)
    for axis in axes.flat:
        axis.locator_params(axis="x", nbins=4)
        arm_rows(axis, arms)
    return figure, dict(zip(METRICS, axes.flat, strict=True))


def _arms(axis: Axes, rows: pd.DataFrame, value: str) -> None:
    """A row an arm: a dot at its value, its interval, and ticks at its lowest and highest seed."""
    for position, row in enumerate(rows.to_dict("records")):
        style = arm_style(row["arm"])
        axis.hlines(position, row["low"], row["high"], color=style["color"], linewidth=1.6)
        axis.plot([row["smallest"], row["largest"]], [position] * 2, "|", color=style["color"], markersize=8)
        axis.plot(row[value], position, style["marker"], color=style["color"], markersize=5, **WHITE_EDGE)


def plot_failure_doses(frame: pd.DataFrame) -> Figure:
    """Final PESQ against the share of batches made to fail; frame of `evaluation.doses`."""
    percent = frame.assign(dose=100 * frame["dose"])
    return _plot_doses(percent, "batches whose PESQ is made to fail (%)")


def plot_batch_sizes(frame: pd.DataFrame) -> Figure:
    """Final PESQ against crops a batch, at equally many epochs; frame of `evaluation.doses`."""
    figure = _plot_doses(frame, "crops a batch (equally many epochs)")
    (axis,) = figure.axes
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(frame["dose"].unique()))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.xaxis.set_minor_formatter(NullFormatter())
    return figure


def _plot_doses(frame: pd.DataFrame, dose: str) -> Figure:
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.7))
    families = frame["family"].nunique()
    for place, (family, rows) in enumerate(frame.groupby("family", sort=False)):
        style = arm_style(family)
        # Beside each other: at one place the later interval would hide the earlier one.
        aside = ScaledTranslation((place - (families - 1) / 2) * INCHES_ASIDE, 0, figure.dpi_scale_trans)
        at = axis.transData + aside
        look = style | WHITE_EDGE | {"markersize": 5, "label": FAMILIES[family]}
        axis.plot(rows["dose"], rows["mean"], transform=at, **look)
        ends = (rows["low"], rows["high"])
        axis.vlines(rows["dose"], *ends, color=style["color"], linewidth=1.3, transform=at)
    # What is drawn aside does not count for the limits.
    for end in ("low", "high"):
        axis.update_datalim(frame[["dose", end]].to_numpy())
    axis.autoscale_view()
    some = frame.iloc[0]
    counts = f"n = {some['seeds']} seeds, {some['utterances']} utterances each"
    axis.set(xlabel=f"{dose}\n{counts}", ylabel="final test PESQ")
    axis.margins(x=0.08)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
