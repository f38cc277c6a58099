"""Every figure as PNG, SVG and PDF beside the CSV it was drawn from, so that it can be redrawn without the run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import seaborn as sns
from IPython.display import Image
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from data_prep.whole_files import whole_file, write_table

COLUMN_WIDTH = 3.35  # inches, one column of a two-column paper
TEXT_WIDTH = 6.9
FORMATS = ("png", "svg", "pdf")
PNG_DOTS_PER_INCH = 200
NOTEBOOK_DOTS_PER_INCH = 110  # at which a notebook shows it

PlotFunction = Callable[[pd.DataFrame], Figure]


@dataclass(frozen=True)
class Style:
    """How large a figure is drawn.

    text, least: points of its text and of its smallest text (ticks, legends). wider, enlarged: its width, and its
    height, lines and marks, as times those of a paper's figure, which is as wide as one column or two.
    """

    text: float = 8
    least: float = 7
    wider: float = 1
    enlarged: float = 1


# Sizes hold in print: nothing is below 7 points. On slides figures are 12.4 inches wide, or 6.
PAPER = Style()
STYLES = {"paper": PAPER, "slides": Style(text=15, least=13, wider=1.8, enlarged=1.6)}


@contextmanager
def figure_style(style: Style = PAPER) -> Iterator[None]:
    """The look of every figure: colour-blind-safe palette, light grid, text that stays readable where it is shown."""
    settings = {
        "savefig.dpi": PNG_DOTS_PER_INCH,
        "font.size": style.text,
        "figure.labelsize": style.text,
        "axes.titlesize": style.text,
        # Looking for ticks above the axes before every title costs a tenth of the time.
        "axes.titley": 1.0,
        "axes.labelsize": style.text,
        "legend.fontsize": style.least,
        "xtick.labelsize": style.least,
        "ytick.labelsize": style.least,
        "lines.linewidth": 1.3,
        "figure.constrained_layout.use": True,
        "svg.hashsalt": "cmgan-study",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
    }
    with mpl.rc_context(), sns.axes_style("whitegrid", {"grid.color": ".9"}), sns.color_palette("colorblind"):
        mpl.rcParams.update(settings)
        yield


def styled(plot: PlotFunction, frame: pd.DataFrame, style: Style = PAPER) -> Figure:
    """The plot of `frame` in a style, whose `figure_style` is to hold here and where the figure is saved."""
    figure = plot(frame)
    if style == PAPER:
        return figure
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * style.wider, height * style.enlarged)
    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), style.least))
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    marks = [mark for axis in figure.axes for mark in (*axis.lines, *axis.collections)]
    for mark in (*marks, *(handle for legend in legends for handle in legend.legend_handles)):
        mark.set_linewidth(np.multiply(mark.get_linewidth(), style.enlarged))
        if isinstance(mark, Line2D):
            mark.set_markersize(mark.get_markersize() * style.enlarged)
        elif isinstance(mark, PathCollection):
            mark.set_sizes(mark.get_sizes() * style.enlarged**2)
    return figure


def draw(plot: PlotFunction, frame: pd.DataFrame, folder: Path, name: str, style: Style = PAPER) -> Image:
    """Draw `frame`, write folder/name.csv, .png, .svg and .pdf, and return the PNG for display."""
    write_table(frame, folder / f"{name}.csv")
    with figure_style(style):
        figure = styled(plot, frame, style)
        for suffix in FORMATS:
            # Dates in the files would make two identical runs differ.
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
            with whole_file(folder / f"{name}.{suffix}") as partial:
                figure.savefig(partial, format=suffix, metadata=metadata)
            # The layout stands after the first file; working it out again for each costs most of the time.
            figure.set_layout_engine("none")
    plt.close(figure)
    return shown(folder, name)


def shown(folder: Path, name: str) -> Image:
    """A figure that is drawn already, as a notebook shows it."""
    file = folder / f"{name}.png"
    with PIL.Image.open(file) as png:
        inches = png.width / PNG_DOTS_PER_INCH
    return Image(file.read_bytes(), width=round(inches * NOTEBOOK_DOTS_PER_INCH))
