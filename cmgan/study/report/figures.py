"""The report's own figures and the frame that each is drawn from."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cmgan.study.arms import arm as recipe_of
from cmgan.study.claims import plots as plots_claims
from cmgan.study.claims.judging import JudgedRun
from cmgan.study.comparison import clip_plot
from cmgan.study.comparison import plots as plots_comparison
from cmgan.study.comparison.clip_views import clip_views
from cmgan.study.comparison.doses import batch_sizes, failure_doses, plot_batch_sizes, plot_failure_doses
from cmgan.study.comparison.tables import Comparison
from cmgan.study.figure_files import PlotFunction, draw
from cmgan.study.run_results import RunResults
from cmgan.study.training import arm_plots
from cmgan.study.training.tables import distribution, gradient_norms

PLOTS: dict[str, PlotFunction] = {
    "claims_forest": plots_claims.claims_forest,
    "mechanism": arm_plots.mechanism,
    "one_clip": clip_plot.one_clip,
    "validation_pesq": arm_plots.validation_pesq,
    "final_metrics": plots_comparison.final_metrics,
    "differences": plots_comparison.differences,
    "failure_doses": plot_failure_doses,
    "batch_sizes": plot_batch_sizes,
    "discriminator_losses": arm_plots.discriminator_losses,
    "label_spread": arm_plots.label_spread,
    "gradient_norms": arm_plots.gradient_norms,
}


def figure_frames(results: RunResults, compared: Comparison, judged: JudgedRun) -> dict[str, pd.DataFrame]:
    """The frame of every figure of `PLOTS` that this run's tables can draw."""
    epochs, steps, skips = results.epochs, results.steps, compared.skip_rates
    # More arms than these would hide each other; the others have a panel each in validation_pesq.
    shown = list(results.arms)[: arm_plots.OVERLAID_ARMS]
    mechanism = ["arm", "seed", "epoch", "utterances", *arm_plots.PANELS]
    spread = distribution(steps, "label_std")
    # Batches of one crop have one label each: there is nothing to spread.
    spread = spread[(spread["n"] > 0) & (spread["maximum"].max() > 0)]
    drawn = {
        "claims_forest": plots_claims.pesq_effects(judged),
        "mechanism": epochs.loc[epochs["arm"].isin(shown), mechanism],
        "validation_pesq": epochs[["arm", "seed", "epoch", "pesq", "utterances"]],
        "final_metrics": compared.final_metrics,
        "differences": compared.differences,
        "failure_doses": failure_doses(compared.final_metrics),
        "batch_sizes": batch_sizes(compared.final_metrics, results.batch_size()),
        "discriminator_losses": distribution(steps, "loss_discriminator").merge(
            skips[["arm", "steps", "share", "low", "high"]], on="arm"
        ),
        "label_spread": spread.merge(skips[["arm", "labels"]], on="arm"),
        "gradient_norms": gradient_norms(steps, recipe_of("gradient_clipping").gradient_clip),
    }
    return {name: frame for name, frame in drawn.items() if len(frame)}


def clip_frames(results: RunResults) -> dict[str, pd.DataFrame]:
    """The frame of `one_clip`, where two of its arms left a generator; needs the networks and the recordings."""
    frame = clip_views(results)
    return {"one_clip": frame} if len(frame) else {}


def draw_figures(frames: dict[str, pd.DataFrame], folder: Path) -> dict[str, Figure]:
    """Write every figure and its CSV to `folder` and return the figures, closed, by name."""
    figures = {}
    for name, frame in frames.items():
        figures[name] = draw(PLOTS[name], frame, folder, name)
        plt.close(figures[name])
    return figures
