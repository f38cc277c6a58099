"""The figure of one utterance under several arms: what the discriminator is shown, and what a listener gets."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from cmgan.study.arm_styles import arm_label, arm_style
from cmgan.study.comparison.clip_views import (
    CLEAN,
    FLOOR_DB,
    GAIN,
    HEARD,
    INCONSISTENCY,
    PESQ,
    SHOWN_SECONDS,
    WAVEFORM,
    WRITTEN,
)
from cmgan.study.figure_files import TEXT_WIDTH

ROW_LABELS = {
    WRITTEN: "spectrum written by the\ngenerator: what the\ndiscriminator sees",
    HEARD: "spectrum of its\nwaveform: what a\nlistener hears",
    WAVEFORM: "waveform\n(clean peak = 1)",
}


def one_clip(frame: pd.DataFrame) -> Figure:
    """A column for the clean speech and each arm, a row for each view; frame of `clip_views.clip_views`."""
    arms = list(frame["arm"].unique())
    figure, grid = plt.subplots(
        len(ROW_LABELS),
        len(arms),
        figsize=(TEXT_WIDTH, 4.6),
        sharex=True,
        sharey="row",
        height_ratios=(3, 3, 2),
    )
    for column, arm in enumerate(arms):
        rows = frame[frame["arm"] == arm]
        for axis, view in zip(grid[:, column], ROW_LABELS, strict=True):
            part = rows[rows["view"] == view]
            if view == WAVEFORM:
                colour = "0.3" if arm == CLEAN else arm_style(arm)["color"]
                axis.plot(part["seconds"], part["value"], color=colour, linewidth=0.5)
            else:
                mesh = _spectrum(axis, part)
        grid[0, column].set_title(_title(arm, rows.set_index("view")["value"]))
    grid[0, 0].set_xlim(0, SHOWN_SECONDS)
    figure.supxlabel(f"time (s), in {frame['id'].iloc[0]}")
    for axis, label in zip(grid[:, 0], ROW_LABELS.values(), strict=True):
        axis.annotate(
            label,
            (-0.34, 0.5),
            xycoords="axes fraction",
            rotation=90,
            ha="right",
            va="center",
            multialignment="center",
        )
        axis.set_ylabel("" if axis is grid[-1, 0] else "frequency (kHz)")
    figure.colorbar(mesh, ax=grid[:2], label="level (dB, 0 = loudest clean bin)", shrink=0.7, aspect=30)
    return figure


def _spectrum(axis: Axes, rows: pd.DataFrame) -> QuadMesh:
    image = rows.pivot(index="hertz", columns="seconds", values="value")
    axis.grid(visible=False)
    return axis.pcolormesh(
        image.columns,
        image.index / 1000,
        image.to_numpy(),
        vmin=FLOOR_DB,
        vmax=0,
        cmap="cividis",
        rasterized=True,
    )


def _title(arm: str, values: pd.Series) -> str:
    name = "clean speech" if arm == CLEAN else arm_label(arm)
    return (
        f"{name}\nPESQ {values[PESQ]:.2f}, gain {values[GAIN]:.2f}\ninconsistency {values[INCONSISTENCY]:.2f}"
    )
