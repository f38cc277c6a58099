"""Figures of the published evidence: logged losses, results by code version, skipped steps, inflated ratings."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmgan.statistics import HEALTHY_BAND, NEARLY_ZERO
from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH
from cmgan.study.published.composite_inflation import MARGIN_RATING, RATINGS, mean_inflation
from cmgan.study.published.logs import FAMILIES, code_family
from cmgan.study.published.rank_skip import STEPS, TITLES


def losses_by_run(losses: pd.DataFrame) -> Figure:
    """Logged discriminator losses by run on a log axis, best run on top; frame of `losses_with_results`.

    Losses of exactly zero are set as crosses at the left edge.
    """
    runs = losses.groupby("run", sort=False).first().sort_values("final_pesq", na_position="first")
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.75 + 0.36 * len(runs)))
    axis.axvspan(*HEALTHY_BAND, color="C2", alpha=0.18, linewidth=0, label="called healthy")
    axis.axvline(NEARLY_ZERO, color="C3", linestyle="--", label=f"called skipped: below {NEARLY_ZERO:g}")
    positive = losses.loc[losses["disc_loss"] > 0, "disc_loss"]
    edge = positive.min() / 4 if len(positive) else NEARLY_ZERO / 10
    labels = []
    for row, (run, first) in enumerate(runs.iterrows()):
        values = losses.loc[losses["run"] == run, "disc_loss"].to_numpy()
        zero = values == 0
        # Lines at a few heights keep equal losses apart.
        height = row + 0.24 * (np.arange(len(values)) % 3 - 1)
        axis.scatter(values[~zero], height[~zero], s=11, alpha=0.65, linewidth=0, color="C0")
        axis.scatter(np.full(zero.sum(), edge), height[zero], s=22, marker="x", color="C0")
        axis.plot([np.median(values)] * 2, [row - 0.36, row + 0.36], color="C1", linewidth=2)
        reported = "not reported" if np.isnan(first["final_pesq"]) else f"{first['final_pesq']:.2f}"
        labels.append(f"{run} (n = {len(values)})\nPESQ {reported}")
    axis.plot([], [], color="C1", linewidth=2, label="median")
    axis.scatter([], [], s=11, color="C0", label="logged step")
    axis.set_xscale("log")
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="logged discriminator loss", ylim=(-0.6, len(labels) - 0.4))
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def results_by_version(results: pd.DataFrame) -> Figure:
    """Published PESQ by run, coloured by code version; frame of `read_results`."""
    rows = results[results["pesq"].notna()].sort_values("pesq").reset_index(drop=True)
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.75 + 0.2 * len(rows)))
    families = rows["code_version"].map(code_family)
    for number, (family, (label, marker)) in enumerate(FAMILIES.items()):
        chosen = rows[families == family]
        if len(chosen):
            look = {"color": f"C{number}", "marker": marker, "label": f"{label} (n = {len(chosen)})"}
            axis.scatter(chosen["pesq"], chosen.index, s=22, zorder=3, **look)
    axis.set_yticks(rows.index, [f"{row.run} · {row.source}" for row in rows.itertuples()])
    axis.set(xlabel="PESQ", ylim=(-0.7, len(rows) - 0.3))
    axis.grid(axis="y", linestyle=":")
    axis.legend(loc="lower right")
    return figure


def rank_reductions(reductions: pd.DataFrame) -> Figure:
    """The step of every gradient reduction, in each rank's own order; frame of `reduction_table`."""
    scenarios = reductions["scenario"].unique()
    figure, axes = plt.subplots(
        1, len(scenarios), figsize=(TEXT_WIDTH, 2.4), sharex=True, sharey=True, squeeze=False
    )
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        for rank, rows in reductions[reductions["scenario"] == scenario].groupby("rank"):
            # Ranks in step would hide each other: set them side by side.
            height = rows["step"] + 0.12 * (2 * rank - 1)
            axis.plot(rows["number"], height, color=f"C{rank}", alpha=0.4)
            paired = rows["step"] == rows["other_step"]
            for chosen, size, marker, met in (
                (paired, 14, "os"[rank], "same step"),
                (~paired, 20, "x", "another step's gradients"),
            ):
                look = {"color": f"C{rank}", "marker": marker, "label": f"process {rank}: {met}"}
                axis.scatter(rows.loc[chosen, "number"], height[chosen], s=size, **look)
        axis.set(title=TITLES[scenario].replace(", ", ",\n"), xlabel="gradient reduction")
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set(ylabel="training step it was in", yticks=range(1, STEPS + 1), ylim=(0.6, STEPS + 0.4))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def composite_inflation(inflation: pd.DataFrame) -> Figure:
    """How far the public evaluation moves each rating, an utterance a dot; frame of `composite_inflation`."""
    figure, axis = plt.subplots(figsize=(COLUMN_WIDTH, 2.4))
    means = mean_inflation(inflation).set_index("metric")
    for place, metric in enumerate(RATINGS):
        changes = inflation.loc[inflation["metric"] == metric, "inflation"].dropna().to_numpy()
        # A fixed fan keeps equal dots apart without chance.
        places = place + 0.22 * (np.arange(len(changes)) % 5 - 2) / 2
        axis.scatter(places, changes, s=10, alpha=0.6, linewidth=0, color="C0", label="one file")
        mean, low, high = means.loc[metric, ["inflation", "low", "high"]]
        look = {"fmt": "D", "markersize": 4, "capsize": 2, "color": "C1", "label": "mean, 95 % interval"}
        axis.errorbar(place + 0.36, mean, [[mean - low], [high - mean]], **look)
    axis.axhline(0, color="0.5", linewidth=0.8)
    axis.axhline(
        MARGIN_RATING, color="C3", linestyle="--", label=f"a change that matters ({MARGIN_RATING:g})"
    )
    axis.set_xticks(range(len(RATINGS)), [metric.upper() for metric in RATINGS])
    files = inflation["id"].nunique()
    axis.set(xlabel=f"rating ({files} noisy files)", ylabel="public scale − original scale")
    handles, names = axis.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=2, frameon=False)
    return figure
