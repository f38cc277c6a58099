"""Figures of training: of a run, arms side by side, logs diagnosed. Each takes one frame, which its CSV holds."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from cmgan.statistics import HEALTHY_BAND
from cmgan.study.arms import WHITE_EDGE, arm_label, arm_rows, arm_style
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.training.tables import LABELS, LOSSES, SPEECH
from cmgan.study.wording import counted

STEP_LOSSES = ("loss_real_imaginary", "loss_magnitude", "loss_time", "loss_metric", "loss_discriminator")
EPOCH_TERMS = ("pesq", "gain", "ssnr", "inconsistency", "phase_error", "loss_magnitude")
RIGHT = {"pesq": ": higher is better", "gain": ": 1 is right", "inconsistency": ": 0 is right"}
PANELS = (*SPEECH, *LOSSES)
RUNNING_MEAN_STEPS = 20
DECADE = 10  # values that span less are drawn on a linear axis
# More arms than this in one panel cannot be told apart.
OVERLAID_ARMS = 6
PANEL_COLUMNS = 4
COURSES = {
    "pesq": "validation PESQ",
    "validation_loss": "validation loss",
    "train_loss": "training loss",
    "disc_loss": "discriminator loss",
}
# More runs than this share a colour with another one; then a legend would only mislead.
NAMED_RUNS = 10


def step_curves(steps: pd.DataFrame) -> Figure:
    """Loss terms and gradient norm of one run against step, with running means; gaps where a step was skipped."""
    figure, axes = plt.subplots(2, 3, figsize=(TEXT_WIDTH, 3.7), sharex=True)
    for axis, column in zip(axes.flat, (*STEP_LOSSES, "gradient_norm_generator"), strict=True):
        values = steps[column]
        axis.plot(steps["step"], values, color="0.75", linewidth=0.6)
        axis.plot(steps["step"], values.rolling(RUNNING_MEAN_STEPS, min_periods=1).mean(), color="C0")
        axis.set_title(f"{LABELS[column]}\n(n = {values.count()} steps)")
        if 0 < DECADE * values.min() < values.max():
            axis.set_yscale("log")
            axis.yaxis.set_minor_formatter(NullFormatter())
    for axis in axes[-1]:
        axis.set_xlabel("step")
    return figure


def epoch_curves(epochs: pd.DataFrame) -> Figure:
    """Validation means of one run against epoch."""
    figure, axes = plt.subplots(2, 3, figsize=(TEXT_WIDTH, 3.4), sharex=True)
    for axis, column in zip(axes.flat, EPOCH_TERMS, strict=True):
        axis.plot(epochs["epoch"], epochs[column], marker="o", markersize=3, color="C0")
        axis.set_title(LABELS[column])
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 1].axhline(1, color="0.4", linestyle=":", linewidth=1)
    for axis in axes[-1]:
        axis.set_xlabel(f"epoch (means of {epochs['utterances'].iloc[0]} utterances)")
    return figure


def validation_pesq(frame: pd.DataFrame) -> Figure:
    """Mean PESQ of the validation utterances against epoch; thin lines are seeds, bold ones their mean.

    Columns: arm, seed, epoch, pesq, utterances. More than `OVERLAID_ARMS` arms get a panel each.
    """
    arms = list(frame["arm"].unique())
    if len(arms) <= OVERLAID_ARMS:
        figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.9))
        _curves(axis, frame, "pesq", seeds=True)
        axis.set(xlabel=_epoch_label(frame), ylabel="PESQ (wide band, MOS-LQO)")
        _legend(figure, arms)
        return figure
    rows = -(-len(arms) // PANEL_COLUMNS)
    size = (TEXT_WIDTH, 1.3 * rows + 0.3)
    figure, grid = plt.subplots(rows, PANEL_COLUMNS, figsize=size, sharex=True, sharey=True)
    means = frame.pivot_table(index="epoch", columns="arm", values="pesq", dropna=False)[arms]
    for axis, arm in zip(grid.flat, arms, strict=False):
        axis.plot(means.index, means, color="0.85", linewidth=0.6)
        _curves(axis, frame[frame["arm"] == arm], "pesq", seeds=True)
        axis.set_title(arm_label(arm))
    for axis in grid.flat[len(arms) :]:
        axis.set_visible(False)
    figure.supylabel("PESQ (wide band, MOS-LQO)")
    figure.supxlabel(_epoch_label(frame) + "; grey: the other arms")
    return figure


def mechanism(frame: pd.DataFrame) -> Figure:
    """The enhanced speech (upper row) and the losses (lower row) against epoch; bands span the seeds.

    Columns: arm, seed, epoch, utterances and the names of `PANELS`.
    """
    figure, axes = plt.subplots(2, 3, figsize=(TEXT_WIDTH, 4.0), sharex=True)
    for axis, column in zip(axes.flat, PANELS, strict=True):
        _curves(axis, frame, column, seeds=False)
        axis.set_title(LABELS[column] + RIGHT.get(column, ""))
    axes[0, 1].axhline(1, color="0.3", linestyle=":", linewidth=1)
    axes[0, 0].set_ylabel("enhanced speech")
    axes[1, 0].set_ylabel("losses: lower is better")
    for axis in axes[1]:
        axis.set_ylim(bottom=0)
    axes[1, 1].set_xlabel(_epoch_label(frame) + "; bands: lowest to highest seed")
    _legend(figure, frame["arm"].unique())
    return figure


def discriminator_losses(frame: pd.DataFrame) -> Figure:
    """Distribution of the discriminator's loss over steps by arm, with the share of steps skipped.

    Columns: those of `tables.distribution` and share, low, high of `tables.skip_rates`.
    """
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.8 + 0.24 * len(frame)))
    axis.axvspan(*HEALTHY_BAND, color="0.9", zorder=0, linewidth=0)
    shares = [
        "no discriminator"
        if np.isnan(row.share)
        else f"{_percent(row.share)} [{_percent(row.low)}, {_percent(row.high)}] of {row.steps}"
        for row in frame.itertuples()
    ]
    _distributions(axis, frame, "steps skipped", shares)
    _plain_log_scale(axis)
    low, high = HEALTHY_BAND
    axis.set_xlabel(
        f"discriminator loss of the steps not skipped (grey: {low} to {high}, said to be healthy)"
    )
    return figure


def label_spread(frame: pd.DataFrame) -> Figure:
    """Standard deviation of the PESQ labels within a batch by arm: what the discriminator can learn to tell apart.

    Columns: those of `tables.distribution` and labels, the policy.
    """
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.8 + 0.24 * len(frame)))
    _distributions(axis, frame, "label policy", frame["labels"].str.replace("_", " "))
    axis.set_xlabel("standard deviation of the labels within a batch (PESQ scaled to 0…1)")
    axis.set_xlim(left=-0.02 * max(frame["maximum"].max(), 1e-3))
    return figure


def gradient_norms(frame: pd.DataFrame) -> Figure:
    """Gradient norms of both networks over steps by arm, with the clipping limit and how often it is exceeded.

    Columns: those of `tables.gradient_norms`.
    """
    size = (TEXT_WIDTH, 0.9 + 0.24 * frame["arm"].nunique())
    figure, axes = plt.subplots(1, 2, figsize=size, sharey=True)
    limit = frame["limit"].iloc[0]
    for axis, (network, rows) in zip(axes, frame.groupby("network", sort=False), strict=True):
        shares = [
            f"{_percent(row.share_above)}{' (clips)' if row.clipped else ''}" for row in rows.itertuples()
        ]
        _distributions(axis, rows, "steps above", shares)
        axis.axvline(limit, color="0.2", linestyle="--", linewidth=1)
        _plain_log_scale(axis)
        axis.set(title=network, xlabel=f"gradient norm before clipping (dashed: {limit:g})")
    return figure


def courses(frame: pd.DataFrame) -> Figure:
    """PESQ and losses by epoch, a line a run; frame of `cmgan.diagnosis.reading.courses`.

    The epoch of a run's highest PESQ is marked in every panel.
    """
    shown = [name for name in COURSES if (frame["quantity"] == name).any()]
    scores = frame[frame["quantity"] == "pesq"].reset_index(drop=True)
    peaks = scores.loc[scores.groupby("run")["value"].idxmax()].set_index("run")["epoch"]
    figure, axes = plt.subplots(1, max(len(shown), 1), figsize=(TEXT_WIDTH, 2.4), squeeze=False)
    for axis, quantity in zip(axes[0], shown, strict=False):
        rows = frame[frame["quantity"] == quantity]
        for number, run in enumerate(frame["run"].unique()):
            own = rows[rows["run"] == run].sort_values("epoch")
            colour = f"C{number % NAMED_RUNS}"
            axis.plot(own["epoch"], own["value"], color=colour, marker=".", markersize=3, label=run)
            peak = own[own["epoch"] == peaks.get(run)]
            axis.scatter(peak["epoch"], peak["value"], s=28, facecolors="none", edgecolors=colour, zorder=3)
        axis.set(xlabel="epoch", title=COURSES[quantity])
    runs = frame["run"].nunique()
    if 0 < runs <= NAMED_RUNS:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(runs, 4), frameon=False)
    return figure


def _curves(axis: Axes, frame: pd.DataFrame, column: str, seeds: bool) -> None:
    """Each arm's mean over seeds against epoch, with a thin line for each seed or else a band that spans them."""
    arms = list(frame["arm"].unique())
    for position, arm in enumerate(arms):
        style = arm_style(arm)
        by_seed = frame[frame["arm"] == arm].pivot(index="epoch", columns="seed", values=column)
        if seeds:
            axis.plot(by_seed.index, by_seed, color=style["color"], linewidth=0.5, alpha=0.6)
        elif by_seed.shape[1] > 1:
            low, high = by_seed.min(axis=1), by_seed.max(axis=1)
            axis.fill_between(by_seed.index, low, high, color=style["color"], alpha=0.15, linewidth=0)
        # Markers of arms whose curves coincide fall on different epochs, so that none hides another.
        spacing = max(len(arms), len(by_seed) // 6)
        # Later arms are thinner and on top, so that equal curves show as nested lines.
        look = style | {"linewidth": 1.2 + 0.3 * (len(arms) - 1 - position), "markersize": 4} | WHITE_EDGE
        every = (position * spacing // len(arms), spacing)
        axis.plot(by_seed.index, by_seed.mean(axis=1), markevery=every, **look)
    axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def _distributions(axis: Axes, frame: pd.DataFrame, title: str, texts: Sequence[str]) -> None:
    """One row an arm: line from 5 to 95 %, bar over the middle half, marker at the median, dots at the extremes.

    texts: what stands to the right of each row, under `title`.
    """
    arm_rows(axis, list(frame["arm"]))
    for position, row in enumerate(frame.itertuples()):
        if row.n:
            style = arm_style(row.arm)
            colour = style["color"]
            axis.hlines(position, row.p05, row.p95, color=colour, linewidth=1)
            axis.hlines(position, row.p25, row.p75, color=colour, linewidth=4.5, alpha=0.55)
            axis.plot([row.minimum, row.maximum], [position] * 2, ".", color=colour, markersize=2)
            axis.plot(row.median, position, style["marker"], color=colour, markersize=5, **WHITE_EDGE)
    right = axis.secondary_yaxis("right")
    right.set_yticks(range(len(texts)), texts)
    right.tick_params(length=0)
    above = {"xytext": (5, 4), "xycoords": "axes fraction", "textcoords": "offset points"}
    axis.annotate(title, (1, 1), style="italic", **above)


def _plain_log_scale(axis: Axes) -> None:
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=20))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


def _legend(figure: Figure, arms: Sequence[str]) -> None:
    handles = [
        Line2D([], [], **arm_style(arm), label=arm_label(arm), markersize=4, **WHITE_EDGE) for arm in arms
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(arms), 3), frameon=False)


def _epoch_label(frame: pd.DataFrame) -> str:
    seeds = counted(frame["seed"].nunique(), "seed")
    return f"epoch (mean of {frame['utterances'].max()} utterances; {seeds})"
