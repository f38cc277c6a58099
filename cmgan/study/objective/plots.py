"""Figures of the objective's minima. Each takes one frame, which its CSV holds, and returns a figure."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from cmgan.statistics import seed_interval
from cmgan.study.arms import NOISY_COLOUR, arm_label, arm_line, arm_style
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.objective.minima import setting_label

PANELS = {"pesq": "PESQ", "gain": "gain of the estimate", "inconsistency": "inconsistency"}
# The two time targets look as the arms do that train with them.
STYLE_OF = {"published": "published", "normalised": "normalised_target"}
LEAST_OBJECTIVE = 1e-4


def objective_descent(frame: pd.DataFrame) -> Figure:
    """PESQ, gain and inconsistency against the objective, a column a start; thin lines clips, bold ones their means.

    Columns: setting, start, clip, iteration, loss_total, and those of `PANELS`. A dot marks where a mean begins.
    """
    starts = list(frame["start"].unique())
    figure, grid = plt.subplots(
        len(PANELS), len(starts), figsize=(TEXT_WIDTH, 4.8), sharex="col", sharey="row", squeeze=False
    )
    for column, start in enumerate(starts):
        for axis, (quantity, name) in zip(grid[:, column], PANELS.items(), strict=True):
            for setting, rows in frame[frame["start"] == start].groupby("setting", sort=False):
                look = arm_line(STYLE_OF[setting])
                # A descent that starts at its minimum has an objective of 0, which no logarithm shows.
                rows = rows[rows["loss_total"] > LEAST_OBJECTIVE].sort_values("iteration")
                for _, way in rows.groupby("clip"):
                    axis.plot(way["loss_total"], way[quantity], linewidth=0.5, alpha=0.3, **look)
                mean = rows.groupby("iteration")[["loss_total", quantity]].mean()
                label = f"{setting} target"
                axis.plot(mean["loss_total"], mean[quantity], linewidth=2, label=label, **look)
                axis.plot(*mean.iloc[0], "o", color=look["color"], markersize=4)
            axis.set_xscale("log")
            axis.xaxis.set_minor_formatter(NullFormatter())
            if column == 0:
                axis.set_ylabel(name)
        clips = frame.loc[frame["start"] == start, "clip"].nunique()
        grid[0, column].set_title(f"from the {start} speech, n = {clips} clips")
        grid[0, column].invert_xaxis()
    figure.supxlabel("objective that is minimised (lower is further to the right)")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def objective_doses(frame: pd.DataFrame) -> Figure:
    """PESQ and gain at the minimum against the normalisation's gain and against the time loss's weight.

    Columns: sweep (gain or time weight), value, clip, pesq, gain, predicted_gain; value NaN marks the minima of the
    normalised target (sweep "normalised") as the level to compare with.
    """
    figure, grid = plt.subplots(2, 2, figsize=(TEXT_WIDTH, 3.9), sharey="row", sharex="col")
    best = frame[frame["sweep"] == "normalised"]
    sweeps = {
        "gain": "gain of the normalisation (time weight 0.2)",
        "time weight": "weight of the time loss (each file's gain)",
    }
    for axes, (sweep, label) in zip(grid.T, sweeps.items(), strict=True):
        rows = frame[frame["sweep"] == sweep]
        for axis, quantity in zip(axes, ("pesq", "gain"), strict=True):
            _dose_curve(axis, rows, quantity)
            level, colour = best[quantity].mean(), arm_style("normalised_target")["color"]
            axis.axhline(level, color=colour, linestyle="--", label="normalised target")
            if sweep == "gain":
                axis.set_xscale("log", base=2)
                axis.set_xticks(rows["value"].unique(), [f"{value:g}" for value in rows["value"].unique()])
        scaled = rows.groupby("value")["predicted_gain"].mean()
        look = {"color": "0.3", "linestyle": ":", "marker": "x"}
        axes[1].plot(scaled.index, scaled, label="theory: clean speech, only scaled", **look)
        axes[1].set_xlabel(label)
    grid[0, 0].set_ylabel("PESQ at the minimum")
    grid[1, 0].set_ylabel("gain at the minimum")
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def objective_settings(frame: pd.DataFrame) -> Figure:
    """PESQ at the minimum of every setting, a row each: dots are clips, the bar the mean with its 95 % interval.

    Columns: setting, clip, pesq, pesq_start.
    """
    settings = list(frame["setting"].unique())
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.24 * len(settings) + 0.9))
    for row, setting in enumerate(settings):
        values = frame.loc[frame["setting"] == setting, "pesq"].dropna()
        target = "normalised_target" if "normalised" in setting else "published"
        colour = arm_style(target)["color"]
        axis.plot(values, np.full(len(values), row), ".", color=colour, alpha=0.35, markersize=4)
        interval = seed_interval(values)
        axis.plot([interval.low, interval.high], [row, row], color=colour, linewidth=2.5)
        axis.plot(interval.estimate, row, "|", color=colour, markersize=9, markeredgewidth=2)
    noisy = frame.groupby("clip")["pesq_start"].first().mean()
    axis.axvline(noisy, color=NOISY_COLOUR, linestyle=":", label="noisy speech, mean")
    axis.set_yticks(range(len(settings)), list(map(setting_label, settings)))
    axis.set_ylim(len(settings) - 0.5, -0.5)
    axis.set_xlabel(f"PESQ at the objective's minimum, n = {frame['clip'].nunique()} clips")
    figure.legend(loc="outside upper center", frameon=False)
    return figure


def objective_plane(frame: pd.DataFrame) -> Figure:
    """Epochs of trained networks beside the descent: PESQ, gain and inconsistency against the published objective.

    Columns: kind (descent, or network), label, seed, order (iteration or epoch), objective, and those of `PANELS`.
    """
    figure, axes = plt.subplots(1, len(PANELS), figsize=(TEXT_WIDTH, 2.9), sharex=True)
    networks = frame[frame["kind"] == "network"]
    descents = frame[frame["kind"] == "descent"]

    def dark_line(target: str) -> dict:
        return arm_line(STYLE_OF[target]) | {"color": "0.15"}

    for axis, (quantity, label) in zip(axes, PANELS.items(), strict=True):
        for (arm, _), rows in networks.sort_values("order").groupby(["label", "seed"], sort=False):
            style = arm_style(arm)
            axis.plot(rows["objective"], rows[quantity], color=style["color"], linewidth=0.7, alpha=0.6)
            last = rows.iloc[-1]
            axis.plot(last["objective"], last[quantity], style["marker"], color=style["color"], markersize=4)
        for setting, rows in descents.sort_values("order").groupby("label", sort=False):
            axis.plot(rows["objective"], rows[quantity], linewidth=1.6, **dark_line(setting))
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.invert_xaxis()
        axis.set(title=label)
    figure.supxlabel("published objective without its metric term (lower is what training asks for)")
    targets, arms = descents["label"].unique(), networks["label"].unique()
    styles = list(map(dark_line, targets))
    styles += [{"marker": "o", "markersize": 4} | arm_style(arm) | {"linestyle": "-"} for arm in arms]
    handles = [Line2D([], [], **style) for style in styles]
    labels = [f"descent, {name} target" for name in targets] + list(map(arm_label, arms))
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _dose_curve(axis: Axes, rows: pd.DataFrame, quantity: str) -> None:
    table = rows.pivot(index="value", columns="clip", values=quantity)
    intervals = [seed_interval(values.dropna()) for _, values in table.iterrows()]
    means = [interval.estimate for interval in intervals]
    # Student's interval reaches equally far to both sides; that of a single clip has no end.
    reach = np.nan_to_num([interval.high - interval.estimate for interval in intervals])
    colour = arm_style("published")["color"]
    label = f"published target, mean and 95 % interval, n = {table.shape[1]} clips"
    axis.plot(table.index, table, color=colour, linewidth=0.4, alpha=0.3)
    axis.errorbar(table.index, means, reach, color=colour, marker="o", markersize=3, capsize=2, label=label)
