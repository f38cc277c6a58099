"""Figures of training, arm beside arm. Each takes one frame, which its CSV holds, and returns a figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from cmgan.study.arm_styles import WHITE_EDGE, arm_label, arm_rows, arm_style
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.margins import HEALTHY_BAND

# More arms than this in one panel cannot be told apart.
OVERLAID_ARMS = 6
PANELS = {
    "pesq": "PESQ: higher is better",
    "gain": "gain of the estimate: 1 is right",
    "inconsistency": "spectral inconsistency: 0 is right",
    "loss_magnitude": "magnitude loss",
    "loss_time_published": "time loss, published target",
    "loss_time_normalised": "time loss, normalised target",
}


def validation_pesq(frame: pd.DataFrame) -> Figure:
    """Mean PESQ of the validation utterances against epoch; thin lines are seeds, bold ones their mean.

    Columns: arm, seed, epoch, pesq, utterances. More than `OVERLAID_ARMS` arms get a panel each.
    """
    arms = list(frame["arm"].unique())
    if len(arms) <= OVERLAID_ARMS:
        figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.9))
        for position, arm in enumerate(arms):
            _curves(axis, frame[frame["arm"] == arm], "pesq", position, len(arms), seeds=True)
        axis.set(xlabel=_epoch_label(frame), ylabel="PESQ (wide band, MOS-LQO)")
        _legend(figure, arms)
        return figure
    columns = 4
    rows = -(-len(arms) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(TEXT_WIDTH, 1.3 * rows + 0.3), sharex=True, sharey=True, squeeze=False
    )
    for axis, arm in zip(grid.flat, arms, strict=False):
        for other in arms:
            mean = frame[frame["arm"] == other].groupby("epoch")["pesq"].mean()
            axis.plot(mean.index, mean, color="0.85", linewidth=0.6)
        _curves(axis, frame[frame["arm"] == arm], "pesq", 0, 1, seeds=True)
        axis.set_title(arm_label(arm))
    for axis in list(grid.flat)[len(arms) :]:
        axis.set_visible(False)
    figure.supylabel("PESQ (wide band, MOS-LQO)")
    figure.supxlabel(_epoch_label(frame) + "; grey: the other arms")
    return figure


def mechanism(frame: pd.DataFrame) -> Figure:
    """The enhanced speech (upper row) and the losses (lower row) against epoch; bands span the seeds.

    Columns: arm, seed, epoch, utterances and the names of `PANELS`.
    """
    arms = list(frame["arm"].unique())
    figure, axes = plt.subplots(2, 3, figsize=(TEXT_WIDTH, 4.0), sharex=True)
    for axis, (column, label) in zip(axes.flat, PANELS.items(), strict=True):
        for position, arm in enumerate(arms):
            _curves(axis, frame[frame["arm"] == arm], column, position, len(arms), seeds=False)
        axis.set_title(label)
    axes[0, 1].axhline(1, color="0.3", linestyle=":", linewidth=1)
    axes[0, 0].set_ylabel("the enhanced speech")
    axes[1, 0].set_ylabel("the losses: lower is better")
    for axis in axes[1]:
        axis.set_ylim(bottom=0)
    axes[1, 1].set_xlabel(_epoch_label(frame) + "; bands: lowest to highest seed")
    _legend(figure, arms)
    return figure


def discriminator_losses(frame: pd.DataFrame) -> Figure:
    """Distribution of the discriminator's loss over steps by arm, with the share of steps skipped.

    Columns: those of `comparison.distribution` and share, low, high of `comparison.skip_rates`.
    """
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.8 + 0.24 * len(frame)))
    axis.axvspan(*HEALTHY_BAND, color="0.9", zorder=0, linewidth=0)
    _distribution_rows(axis, frame)
    _plain_log_scale(axis)
    low, high = HEALTHY_BAND
    axis.set_xlabel(
        f"discriminator loss of the steps not skipped (grey: {low} to {high}, said to be healthy)"
    )
    _right_labels(axis, "steps skipped", [_share(row) for row in frame.itertuples()])
    return figure


def label_spread(frame: pd.DataFrame) -> Figure:
    """Standard deviation of the PESQ labels within a batch by arm: what the discriminator can learn to tell apart.

    Columns: those of `comparison.distribution` and labels, the policy.
    """
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.8 + 0.24 * len(frame)))
    _distribution_rows(axis, frame)
    axis.set_xlabel("standard deviation of the labels within a batch (PESQ scaled to 0…1)")
    axis.set_xlim(left=-0.02 * max(frame["maximum"].max(), 1e-3))
    _right_labels(axis, "label policy", [row.labels.replace("_", " ") for row in frame.itertuples()])
    return figure


def gradient_norms(frame: pd.DataFrame) -> Figure:
    """Gradient norms of both networks over steps by arm, with the clipping limit and how often it is exceeded.

    Columns: those of `comparison.gradient_norms`.
    """
    arms = list(frame["arm"].unique())
    networks = ("generator", "discriminator")
    figure, axes = plt.subplots(1, 2, figsize=(TEXT_WIDTH, 0.9 + 0.24 * len(arms)), sharey=True)
    limit = frame["limit"].iloc[0]
    for axis, network in zip(axes, networks, strict=True):
        rows = frame[frame["network"] == network]
        _distribution_rows(axis, rows)
        axis.axvline(limit, color="0.2", linestyle="--", linewidth=1)
        _plain_log_scale(axis)
        axis.set(title=network, xlabel=f"gradient norm before clipping (dashed: {limit:g})")
        shares = [
            _percent(row.share_above) + (" (clips)" if row.clipped else "") for row in rows.itertuples()
        ]
        _right_labels(axis, "steps above", shares)
    return figure


def _curves(axis: Axes, run: pd.DataFrame, column: str, position: int, arms: int, seeds: bool) -> None:
    arm = run["arm"].iloc[0]
    style = arm_style(arm)
    by_seed = run.pivot(index="epoch", columns="seed", values=column)
    if seeds:
        for seed in by_seed:
            values = by_seed[seed]
            axis.plot(values.index, values, color=style["color"], linewidth=0.5, alpha=0.6)
    elif by_seed.shape[1] > 1:
        low, high = by_seed.min(axis=1), by_seed.max(axis=1)
        axis.fill_between(by_seed.index, low, high, color=style["color"], alpha=0.15, linewidth=0)
    mean = by_seed.mean(axis=1)
    # Markers of arms whose curves coincide fall on different epochs, so that none hides another.
    spacing = max(arms, len(mean) // 6)
    every = (position * spacing // arms, spacing)
    # Later arms are thinner and on top, so that equal curves show as nested lines.
    axis.plot(
        mean.index,
        mean,
        **style,
        linewidth=1.2 + 0.3 * (arms - 1 - position),
        markersize=4,
        markevery=every,
        **WHITE_EDGE,
    )
    axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _distribution_rows(axis: Axes, frame: pd.DataFrame) -> None:
    """One row an arm: line from 5 to 95 %, bar over the middle half, marker at the median, dots at the extremes."""
    arm_rows(axis, list(frame["arm"]))
    for position, row in enumerate(frame.itertuples()):
        if row.n == 0:
            continue
        style = arm_style(row.arm)
        colour = style["color"]
        axis.hlines(position, row.p05, row.p95, color=colour, linewidth=1)
        axis.hlines(position, row.p25, row.p75, color=colour, linewidth=4.5, alpha=0.55)
        axis.plot([row.minimum, row.maximum], [position] * 2, ".", color=colour, markersize=2)
        axis.plot(row.median, position, style["marker"], color=colour, markersize=5, **WHITE_EDGE)


def _plain_log_scale(axis: Axes) -> None:
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    steps = (1, 2, 5) if high < 100 * low else (1,)
    axis.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _right_labels(axis: Axes, title: str, texts: Sequence[str]) -> None:
    right = axis.secondary_yaxis("right")
    right.set_yticks(range(len(texts)), texts)
    right.tick_params(length=0)
    axis.annotate(
        title,
        (1, 1),
        (5, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        style="italic",
    )


def _share(row: tuple) -> str:
    if np.isnan(row.share):
        return "no discriminator"
    return f"{_percent(row.share)} [{_percent(row.low)}, {_percent(row.high)}] of {row.steps}"


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


def _legend(figure: Figure, arms: Sequence[str]) -> None:
    handles = [
        Line2D([], [], **arm_style(arm), label=arm_label(arm), markersize=4, **WHITE_EDGE) for arm in arms
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(arms), 3), frameon=False)


def _epoch_label(frame: pd.DataFrame) -> str:
    seeds = frame["seed"].nunique()
    return f"epoch (mean of {frame['utterances'].max()} utterances; {seeds} seed{'s' * (seeds > 1)})"
