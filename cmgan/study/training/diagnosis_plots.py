"""Figures of a diagnosis: what runs logged by epoch."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cmgan.study.figure_files import TEXT_WIDTH

TITLES = {
    "pesq": "validation PESQ",
    "validation_loss": "validation loss",
    "train_loss": "training loss",
    "disc_loss": "discriminator loss",
}
# More runs than this share a colour with another one; then a legend would only mislead.
NAMED_RUNS = 10


def courses(frame: pd.DataFrame) -> Figure:
    """PESQ and losses by epoch, a line a run; frame of `cmgan.diagnosis.reading.courses`.

    The epoch of a run's highest PESQ is marked in every panel.
    """
    shown = [name for name in TITLES if (frame["quantity"] == name).any()]
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
        axis.set(xlabel="epoch", title=TITLES[quantity])
    runs = frame["run"].nunique()
    if 0 < runs <= NAMED_RUNS:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(runs, 4), frameon=False)
    return figure
