"""Final PESQ against the share of batches whose PESQ is made to fail, on both time targets: table and figure."""

from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cmgan.recipe import Recipe
from cmgan.study.arm_styles import WHITE_EDGE, arm_style
from cmgan.study.arms import ARMS, NORMALISED, PUBLISHED
from cmgan.study.figure_files import COLUMN_WIDTH

TARGET_ARMS = {"published": "published", "normalised": "normalised_target"}
LEGEND = {"published": "un-normalised target", "normalised": "normalised target"}


def failure_doses(final: pd.DataFrame) -> pd.DataFrame:
    """Final PESQ of the arms that differ in nothing but injected failures and time target.

    final: frame of `comparison.final_metrics`. Columns time_target, rate, arm, mean, low, high (95 %, over
    utterances), seed_low and seed_high, utterances, seeds; empty unless some target was run at two rates.
    """
    rows = final[(final["metric"] == "pesq") & final["arm"].isin(ARMS)]
    recipes = {arm: ARMS[arm] for arm in rows["arm"]}
    doses = [arm for arm, recipe in recipes.items() if _without_dose(recipe) in (PUBLISHED, NORMALISED)]
    table = rows[rows["arm"].isin(doses)].assign(
        time_target=lambda frame: [recipes[arm].time_target for arm in frame["arm"]],
        rate=lambda frame: [recipes[arm].injected_failure_rate for arm in frame["arm"]],
    )
    several = table.groupby("time_target")["rate"].transform("size") > 1
    columns = ["time_target", "rate", "arm", "mean", "low", "high", "seed_low", "seed_high"]
    shown = table.loc[several, [*columns, "utterances", "seeds"]]
    return shown.sort_values(["time_target", "rate"], ascending=[False, True]).reset_index(drop=True)


def _without_dose(recipe: Recipe) -> Recipe:
    return replace(recipe, injected_failure_rate=0.0)


def plot_failure_doses(frame: pd.DataFrame) -> Figure:
    """Final PESQ against injected failures, a line for each time target; frame of `failure_doses`."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.5))
    for target, rows in frame.groupby("time_target", sort=False):
        style = arm_style(TARGET_ARMS[target])
        percent = 100 * rows["rate"]
        axis.plot(percent, rows["mean"], label=LEGEND[target], markersize=5, **style, **WHITE_EDGE)
        axis.vlines(percent, rows["low"], rows["high"], color=style["color"], linewidth=1.3)
    axis.set(xlabel="batches whose PESQ is made to fail (%)", ylabel="final test PESQ")
    axis.margins(x=0.06)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
