"""Every figure as PNG, SVG and PDF beside the CSV it was drawn from, so that it can be redrawn without the run."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from data_prep.whole_files import write_table

COLUMN_WIDTH = 3.35  # inches, one column of a two-column paper
TEXT_WIDTH = 6.9
FORMATS = ("png", "svg", "pdf")

PlotFunction = Callable[[pd.DataFrame], Figure]


@contextmanager
def figure_style():
    """The look of every figure: colour-blind-safe palette, light grid, text that stays readable at column width."""
    settings = {
        "figure.dpi": 110,
        "savefig.dpi": 200,
        # Sizes hold in print too: figures are drawn as wide as they are set, and nothing is below 7 points.
        "font.size": 8,
        "figure.labelsize": 8,
        "axes.titlesize": 8,
        # Looking for ticks above the axes before every title costs a tenth of the time.
        "axes.titley": 1.0,
        "axes.labelsize": 8,
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "lines.linewidth": 1.3,
        "figure.constrained_layout.use": True,
        "svg.hashsalt": "cmgan-study",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
    }
    with mpl.rc_context(), sns.axes_style("whitegrid", {"grid.color": ".9"}), sns.color_palette("colorblind"):
        mpl.rcParams.update(settings)
        yield


def draw(plot: PlotFunction, frame: pd.DataFrame, folder: Path, name: str) -> Figure:
    """Draw `frame`, write folder/name.csv, .png, .svg and .pdf, and return the figure for display."""
    write_table(frame, folder / f"{name}.csv")
    with figure_style():
        figure = plot(frame)
        for suffix in FORMATS:
            # Dates in the files would make two identical runs differ.
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
            figure.savefig(folder / f"{name}.{suffix}", metadata=metadata)
            # The layout stands after the first file; working it out again for each costs most of the time.
            figure.set_layout_engine("none")
    # An open figure would be shown by Jupyter a second time, after the one that is returned.
    plt.close(figure)
    return figure
