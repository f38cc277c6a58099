"""The report's own figures and the frame that each is drawn from."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cmgan.study import plots_claims, plots_clip, plots_comparison, plots_training
from cmgan.study.arms import arm as recipe_of
from cmgan.study.claim_results import JudgedRun
from cmgan.study.clip_views import clip_views
from cmgan.study.comparison import Comparison
from cmgan.study.doses import batch_sizes, failure_doses, plot_batch_sizes, plot_failure_doses
from cmgan.study.figure_files import PlotFunction, draw
from cmgan.study.run_results import RunResults
from cmgan.study.training_tables import distribution, gradient_norms

PLOTS: dict[str, PlotFunction] = {
    "claims_forest": plots_claims.claims_forest,
    "mechanism": plots_training.mechanism,
    "one_clip": plots_clip.one_clip,
    "validation_pesq": plots_training.validation_pesq,
    "final_metrics": plots_comparison.final_metrics,
    "differences": plots_comparison.differences,
    "failure_doses": plot_failure_doses,
    "batch_sizes": plot_batch_sizes,
    "discriminator_losses": plots_training.discriminator_losses,
    "label_spread": plots_training.label_spread,
    "gradient_norms": plots_training.gradient_norms,
}


def figure_frames(results: RunResults, compared: Comparison, judged: JudgedRun) -> dict[str, pd.DataFrame]:
    """The frame of every figure of `PLOTS` that this run's tables can draw."""
    epochs, steps, skips = results.epochs, results.steps, compared.skip_rates
    # More arms than these would hide each other; the others have a panel each in validation_pesq.
    shown = list(results.arms)[: plots_training.OVERLAID_ARMS]
    mechanism = ["arm", "seed", "epoch", "utterances", *plots_training.PANELS]
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
