"""Final PESQ against a dose, of injected PESQ failures or of crops a batch, a line for each family of arms."""

from collections.abc import Mapping
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from matplotlib.transforms import ScaledTranslation

from cmgan.recipe import Recipe
from cmgan.study.arm_styles import WHITE_EDGE, arm_style
from cmgan.study.arms import ARMS, BATCH_MEAN, NORMALISED, PUBLISHED
from cmgan.study.figure_files import COLUMN_WIDTH

# Each family by the arm that it is drawn like.
FAMILIES = {"published": PUBLISHED, "normalised_target": NORMALISED, "batch_mean_labels": BATCH_MEAN}
LEGEND = {
    "published": "un-normalised target",
    "normalised_target": "normalised target",
    "batch_mean_labels": "batch-mean labels",
}
INCHES_ASIDE = 0.07


def failure_doses(final: pd.DataFrame) -> pd.DataFrame:
    """Final PESQ of the arms that differ in nothing but time target and injected failures, a dose from 0 to 1."""
    rates = {arm: recipe.injected_failure_rate for arm, recipe in ARMS.items()}
    return _doses(final, "injected_failure_rate", rates)


def batch_sizes(final: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    """Final PESQ of the arms that differ in nothing but time target, batch-mean labels and crops a batch.

    batch_size: of the run, for the arms that have none of their own.
    """
    return _doses(final, "batch_size", {arm: recipe.batch_size or batch_size for arm, recipe in ARMS.items()})


def _doses(final: pd.DataFrame, field: str, dose_of: Mapping[str, float]) -> pd.DataFrame:
    """Rows of `comparison.final_metrics` of every family that was run at two doses; empty when none was.

    Columns family, dose, arm, mean, low, high (95 %, over utterances), seed_low and seed_high, utterances, seeds.
    """
    neutral = getattr(PUBLISHED, field)
    families = {recipe: name for name, recipe in FAMILIES.items()}
    family_of: dict[str, str | None] = {
        arm: families.get(_with(recipe, field, neutral)) for arm, recipe in ARMS.items()
    }
    rows = final[(final["metric"] == "pesq") & final["arm"].map(family_of).notna()]
    table = rows.assign(family=rows["arm"].map(family_of), dose=rows["arm"].map(dose_of))
    # An arm with a size of its own may repeat the run's.
    table = table.drop_duplicates(["family", "dose"])
    several = table.groupby("family")["dose"].transform("size") > 1
    columns = ["family", "dose", "arm", "mean", "low", "high", "seed_low", "seed_high", "utterances", "seeds"]
    order = {name: place for place, name in enumerate(FAMILIES)}
    shown = table.loc[several, columns]
    return shown.sort_values(["family", "dose"], key=lambda c: c.map(order) if c.name == "family" else c)


def _with(recipe: Recipe, field: str, value: float) -> Recipe:
    return replace(recipe, **{field: value})


def plot_failure_doses(frame: pd.DataFrame) -> Figure:
    """Final PESQ against the share of batches made to fail; frame of `failure_doses`."""
    percent = frame.assign(dose=100 * frame["dose"])
    return _plot_doses(percent, "batches whose PESQ is made to fail (%)")


def plot_batch_sizes(frame: pd.DataFrame) -> Figure:
    """Final PESQ against crops a batch, at equally many epochs; frame of `batch_sizes`."""
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
        axis.plot(
            rows["dose"],
            rows["mean"],
            label=LEGEND[family],
            markersize=5,
            transform=at,
            **style,
            **WHITE_EDGE,
        )
        axis.vlines(
            rows["dose"], rows["low"], rows["high"], color=style["color"], linewidth=1.3, transform=at
        )
    # What is drawn aside does not count for the limits.
    axis.update_datalim(frame[["dose", "low"]].to_numpy())
    axis.update_datalim(frame[["dose", "high"]].to_numpy())
    axis.autoscale_view()
    some = frame.iloc[0]
    axis.set(
        xlabel=f"{dose}\nn = {some['utterances']} utterances × {some['seeds']} seeds",
        ylabel="final test PESQ",
    )
    axis.margins(x=0.08)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
