"""Every figure of a run: what draws it, the words beside it, and the frames of those of the comparison."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
import seaborn
import yaml
from IPython.display import Image

import cmgan
from cmgan.study.arms import arm as recipe_of
from cmgan.study.branches import plots as branch_plots
from cmgan.study.claims import plots as claims_plots
from cmgan.study.claims.verdicts import JudgedRun
from cmgan.study.code_closure import function_code
from cmgan.study.comparison import clip
from cmgan.study.comparison import plots as comparison_plots
from cmgan.study.comparison.clip import clip_views
from cmgan.study.comparison.evaluation import Comparison, doses
from cmgan.study.corpus import plots as corpus_plots
from cmgan.study.figure_files import FORMATS, PlotFunction, draw, shown
from cmgan.study.objective import plots as objective_plots
from cmgan.study.published import plots as log_plots
from cmgan.study.report.answer import answer_figure, answer_frame
from cmgan.study.run_results import RunResults
from cmgan.study.silence import plots as silence_plots
from cmgan.study.training import plots as training_plots
from cmgan.study.training.tables import distribution, gradient_norms
from data_prep.whole_files import write_text

# What draws each figure, by the name of its files; figures.yaml has their words and their order.
PLOTS: dict[str, PlotFunction] = {
    "answer": answer_figure,
    "objective_descent": objective_plots.objective_descent,
    "objective_clip": clip.one_clip,
    "objective_doses": objective_plots.objective_doses,
    "objective_settings": objective_plots.objective_settings,
    "objective_plane": objective_plots.objective_plane,
    "branches": branch_plots.branches,
    "claims_forest": claims_plots.claims_forest,
    "mechanism": training_plots.mechanism,
    "one_clip": clip.one_clip,
    "validation_pesq": training_plots.validation_pesq,
    "final_metrics": comparison_plots.final_metrics,
    "differences": comparison_plots.differences,
    "failure_doses": comparison_plots.plot_failure_doses,
    "batch_sizes": comparison_plots.plot_batch_sizes,
    "discriminator_losses": training_plots.discriminator_losses,
    "label_spread": training_plots.label_spread,
    "gradient_norms": training_plots.gradient_norms,
    "failure_by_length": silence_plots.failure_by_length,
    "failure_by_batch": silence_plots.failure_by_batch,
    "failure_by_dose": silence_plots.failure_by_dose,
    "score_by_activity": silence_plots.score_by_activity,
    "label_scatter": silence_plots.label_scatter,
    "validation_noise": silence_plots.visible_drop,
    "losses_by_run": log_plots.losses_by_run,
    "results_by_version": log_plots.results_by_version,
    "rank_skip": log_plots.rank_reductions,
    "composite_inflation": log_plots.composite_inflation,
    "corpus": corpus_plots.corpus_overview,
    "example": corpus_plots.pair_of_spectrograms,
    "steps": training_plots.step_curves,
    "epochs": training_plots.epoch_curves,
    "courses": training_plots.courses,
    "utterances": comparison_plots.improvement_by_utterance,
}


@dataclass(frozen=True)
class RunFigure:
    """What draws a figure, and its words, as figures.yaml explains them."""

    plot: PlotFunction
    title: str
    caption: str
    alternative: str
    needs: str = "its numbers"


FIGURES = {
    name: RunFigure(PLOTS[name], **words)
    for name, words in yaml.safe_load(Path(__file__).with_name("figures.yaml").read_text()).items()
}


def figure_frames(results: RunResults, compared: Comparison, judged: JudgedRun) -> dict[str, pd.DataFrame]:
    """The frame of every figure of the comparison that this run's tables can draw."""
    epochs, steps, skips = results.epochs, results.steps, compared.skip_rates
    # More arms than these would hide each other; the others have a panel each in validation_pesq.
    shown = list(results.arms)[: training_plots.OVERLAID_ARMS]
    mechanism = ["arm", "seed", "epoch", "utterances", *training_plots.PANELS]
    spread = distribution(steps, "label_std")
    # Batches of one crop have one label each: there is nothing to spread.
    spread = spread[(spread["n"] > 0) & (spread["maximum"].max() > 0)]
    frames = {
        "answer": answer_frame(results.root),
        "claims_forest": claims_plots.pesq_effects(judged),
        "mechanism": epochs.loc[epochs["arm"].isin(shown), mechanism],
        "one_clip": _clip(results),
        "validation_pesq": epochs[["arm", "seed", "epoch", "pesq", "utterances"]],
        "final_metrics": compared.final_metrics,
        "differences": compared.differences,
        "failure_doses": doses(compared.final_metrics, "injected_failure_rate", 0.0),
        "batch_sizes": doses(compared.final_metrics, "batch_size", results.batch_size()),
        "discriminator_losses": distribution(steps, "loss_discriminator").merge(
            skips[["arm", "steps", "share", "low", "high"]], on="arm"
        ),
        "label_spread": spread.merge(skips[["arm", "labels"]], on="arm"),
        "gradient_norms": gradient_norms(steps, recipe_of("gradient_clipping").gradient_clip),
    }
    return {name: frame for name, frame in frames.items() if len(frame)}


def draw_figures(frames: dict[str, pd.DataFrame], folder: Path) -> dict[str, Image]:
    """Write every figure and its CSV to `folder`, and return what a notebook shows, by name.

    A figure is not drawn again where neither its frame nor the code that it needs has changed since: drawn.json says
    by digests what each was drawn from.
    """
    record = folder / "drawn.json"
    before = json.loads(record.read_text()) if record.is_file() else {}
    origins = {name: _origin(FIGURES[name].plot, frame) for name, frame in frames.items()}
    unchanged = {
        name: origin
        for name, origin in origins.items()
        if before.get(name) == origin
        and all((folder / f"{name}.{end}").is_file() for end in ("csv", *FORMATS))
    }
    # Of a figure that is cut off half drawn, the record says nothing.
    write_text(json.dumps(unchanged), record)
    images = {
        name: shown(folder, name) if name in unchanged else draw(FIGURES[name].plot, frame, folder, name)
        for name, frame in frames.items()
    }
    write_text(json.dumps(origins, indent=1), record)
    return images


def _origin(plot: PlotFunction, frame: pd.DataFrame) -> str:
    root = Path(cmgan.__file__).parents[1]
    code = [function_code(function, root) for function in (plot, draw)]
    libraries = [matplotlib.__version__, seaborn.__version__]
    return hashlib.sha256("\n".join([*code, *libraries, frame.to_csv()]).encode()).hexdigest()


def _clip(results: RunResults) -> pd.DataFrame:
    """The frame of `one_clip`; of a run kept without networks and recordings the one that was drawn with them."""
    frame = clip_views(results)
    kept = results.root / "report" / "figures" / "one_clip.csv"
    return pd.read_csv(kept) if frame.empty and kept.is_file() else frame
