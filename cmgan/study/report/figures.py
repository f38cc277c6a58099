"""Every figure of a run: what draws it, the words beside it, and the frames of the report's own."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cmgan.study.arms import arm as recipe_of
from cmgan.study.branches import plots as branch_plots
from cmgan.study.claims import plots as claims_plots
from cmgan.study.claims.verdicts import JudgedRun
from cmgan.study.comparison import clip
from cmgan.study.comparison import plots as comparison_plots
from cmgan.study.comparison.clip import clip_views
from cmgan.study.comparison.evaluation import Comparison, doses
from cmgan.study.corpus import plots as corpus_plots
from cmgan.study.figure_files import PlotFunction, draw
from cmgan.study.objective import plots as objective_plots
from cmgan.study.published import plots as log_plots
from cmgan.study.report.answer import answer_figure, answer_frame
from cmgan.study.run_results import RunResults
from cmgan.study.silence import plots as silence_plots
from cmgan.study.training import diagnosis_plots
from cmgan.study.training import plots as training_plots
from cmgan.study.training.tables import distribution, gradient_norms


@dataclass(frozen=True)
class RunFigure:
    """A plot with its words on the page; without a title it stands in its notebook alone.

    The caption says what to look for, the alternative text what is drawn.
    """

    plot: PlotFunction
    title: str = ""
    caption: str = ""
    alternative: str = ""


# By the name of the figure's files, in the order in which a section of the report shows them.
FIGURES: dict[str, RunFigure] = {
    "answer": RunFigure(
        answer_figure,
        "PESQ under the published loss (red) and the repaired one (blue)",
        "PESQ rates speech from 1 to 4.64. Left: the loss minimised by itself, from noisy speech; follow the red "
        "line to its end. Right of it: networks trained on after the dotted line, with the loss as before or the "
        "other one. Thin lines are clips or seeds, bold ones their means.",
        "Line charts of PESQ: against the loss that is minimised without a network, and against training steps "
        "around a switch of the loss; the published loss in red, the repaired one in blue.",
    ),
    "objective_descent": RunFigure(
        objective_plots.objective_descent,
        "Where the loss leads when nothing but the loss decides",
        "The estimate's spectrum itself is moved to lower the training objective: no network, no "
        "discriminator, no data to overfit. Read from left to right. With the published target (solid, warm) "
        "PESQ rises and then falls while the objective still improves; started from the clean speech it only "
        "falls. With the normalised target (dashed, cool) it ends near the best score. Thin lines are clips, "
        "bold ones their means at an iteration, dots where they start; clips are at their best at different "
        "iterations, so that the mean of their best scores lies higher than the bold line.",
        "Three rows of line charts, PESQ, gain and inconsistency against the objective that is minimised, a "
        "column for each start, two time targets.",
    ),
    "objective_clip": RunFigure(
        clip.one_clip,
        "One clip at the published objective's minimum",
        "Compare the rows. The upper one is the estimated spectrum, which the magnitude loss and the "
        "discriminator see; the lower one is the spectrum of its waveform, which a listener gets. Where the "
        "lower one is weaker, frames cancel where they overlap: the magnitudes stay and the sound goes. Where both "
        "fade alike, the estimate is turned down.",
        "Columns for clean speech, the best place on the way, the published minimum and the normalised one; "
        "spectrogram as written, spectrogram of the waveform, and waveform.",
    ),
    "objective_doses": RunFigure(
        objective_plots.objective_doses,
        "The harm grows with the loader's gain and the time loss's weight",
        "At a gain of 1 both targets are the same; look for PESQ and the gain of the estimate falling from "
        "there to the right. The dotted line is what the best merely scaled clean speech would have as gain: "
        "where the dots lie below it, frames cancel. The dashed line is the normalised target.",
        "PESQ and gain at the minimum against the loader's gain and the weight of the time loss, with means, "
        "95 % intervals and a theoretical curve.",
    ),
    "objective_settings": RunFigure(
        objective_plots.objective_settings,
        "Minima of other objectives",
        "A row is an objective, a dot a clip, the bar the mean with its 95 % interval. Rows with a "
        "discriminator show whether the metric loss pulls the minimum back.",
        "Dot plot of PESQ at the minimum, one row an objective, with a line at the noisy speech's mean.",
    ),
    "objective_plane": RunFigure(
        objective_plots.objective_plane,
        "Trained networks beside the descent",
        "Follow a coloured line, a training, from left to right, epoch by epoch; its marker is the last "
        "epoch. Black are the mean descents without a network. A training that bends down where the solid "
        "black line does follows the objective. Networks were validated on other, whole utterances.",
        "PESQ, gain and inconsistency against the published objective; lines for trainings and two black "
        "descents.",
    ),
    "branches": RunFigure(
        branch_plots.branches,
        "Networks trained on with one thing changed",
        "A column is a trunk: networks trained under one time target up to the dotted line, then trained on, some as "
        "before, some with one thing changed. Look at the upper row after the line: whose PESQ falls, whose rises. "
        "The lowest row is what the published recipe minimises: does it fall while PESQ does? Thin lines are seeds, "
        "bold ones their mean, dashed grey the unprocessed noisy files.",
        "PESQ, gain, inconsistency and published objective against training steps around the switch, a column for "
        "each trunk, a line for each branch.",
    ),
    "claims_forest": RunFigure(
        claims_plots.claims_forest,
        "Every effect on PESQ that a claim predicts",
        "A claim's rows (C) should lie right of the grey band, in which differences do not matter; what "
        "controls (K) ask is said above. Bars are 95 % intervals over seeds, ticks the lowest and highest "
        "seed. Full dots: supported; crosses: refuted; open diamonds: inconclusive. Grey text decides "
        "nothing. What was not run is not drawn.",
        "Forest plot of differences of PESQ, one row a prediction, with an interval each and a band at ±0.1.",
    ),
    "mechanism": RunFigure(
        training_plots.mechanism,
        "The enhanced speech and the losses that training minimises",
        "Compare the rows. Above is what the enhanced speech is like on the validation utterances: PESQ, its "
        "loudness against the clean speech, and how far the estimated spectrum is from that of its own "
        "waveform. Below is what training minimises. A lower loss in the second row that goes with a worse "
        "curve in the first is a loss that does not ask for good speech. Warm, solid lines: un-normalised "
        "time target; cool, dashed lines: normalised.",
        "Six line charts against epoch, one line an arm: PESQ, gain of the estimate, spectral inconsistency; "
        "magnitude loss, time loss against the published target, time loss against the normalised target.",
    ),
    "one_clip": RunFigure(
        clip.one_clip,
        "One clip: what the discriminator sees and what a listener hears",
        "Compare the first two rows of a column. The upper one is the spectrum that the generator writes, "
        "which the magnitude loss and the discriminator judge; the one below is the spectrum of the waveform "
        "that comes out of it. Where the phases of overlapping frames disagree, frames cancel: the second "
        "row is weaker than the first, and the waveform quiet. The clip is the one with the median "
        "difference in PESQ.",
        "A column for clean speech and each arm; spectrogram written by the generator, spectrogram of its "
        "waveform, and the waveform, with PESQ, gain and inconsistency in the title.",
    ),
    "validation_pesq": RunFigure(
        training_plots.validation_pesq,
        "PESQ over training",
        "Look for curves that rise and then fall. Thin lines are single seeds, bold lines their mean: an arm "
        "falls where all its thin lines do.",
        "Line chart of mean validation PESQ against epoch, a colour and marker for each arm.",
    ),
    "final_metrics": RunFigure(
        comparison_plots.final_metrics,
        "Test scores of the finished networks",
        "Dots are means over the test utterances and seeds, bars 95 % intervals over seeds; the dotted line "
        "and grey band are the unprocessed noisy files. An arm to the left of the band made speech worse.",
        "Dot plots with intervals for PESQ, segmental SNR, SI-SDR, STOI, CSIG, CBAK, COVL and gain, one row "
        "an arm.",
    ),
    "differences": RunFigure(
        comparison_plots.differences,
        "Differences from the baseline, seed by seed",
        "Two arms with the same seed start from the same weights and see the same crops. A bar, the 95 % "
        "interval over seeds, that misses zero is a difference that another seed would show again. In PESQ, "
        "differences inside the grey band are too small to matter.",
        "Forest plots of paired differences from the baseline arm for eight metrics, one row an arm.",
    ),
    "failure_doses": RunFigure(
        comparison_plots.plot_failure_doses,
        "What failing batches cost, on either time target",
        "If skipped batches caused the collapse, both lines would fall to the right; if the un-normalised "
        "target did, the lines would be flat and apart. Bars are 95 % intervals over seeds.",
        "Line chart of final test PESQ against the share of batches made to fail, one line for each time "
        "target.",
    ),
    "batch_sizes": RunFigure(
        comparison_plots.plot_batch_sizes,
        "Whether the batch's size decides",
        "Every arm gets equally many epochs, so larger batches mean fewer steps: compare the lines at one "
        "size. With one crop a batch, a batch's mean label is the crop's own. Bars are 95 % intervals over "
        "seeds.",
        "Line chart of final test PESQ against crops a batch, a line for each time target and for batch "
        "means.",
    ),
    "discriminator_losses": RunFigure(
        training_plots.discriminator_losses,
        "Discriminator losses and skipped steps",
        "Lines span 5 to 95 % of the steps, bars the middle half, markers are medians, dots extremes. A "
        "skipped step has no loss and is counted at the right. Do the arms that skip also lose PESQ, and do "
        "the healthy ones stay in the grey band?",
        "Distribution of the discriminator's loss on a logarithmic axis, one row an arm, with the share of "
        "skipped steps and its interval at the right.",
    ),
    "label_spread": RunFigure(
        training_plots.label_spread,
        "Spread of the labels within a batch",
        "The discriminator learns to tell good from bad estimates from labels that differ. With the batch's "
        "mean as everybody's label there is no spread within a batch.",
        "Distribution of the standard deviation of the PESQ labels within a batch, one row an arm, with the "
        "arm's label policy at the right.",
    ),
    "gradient_norms": RunFigure(
        training_plots.gradient_norms,
        "Gradient norms and the clipping limit",
        "The share at the right says how often clipping at the dashed limit would bite, and does in arms "
        "that clip.",
        "Distribution of gradient norms of generator and discriminator on logarithmic axes, one row an arm, "
        "with the clipping limit.",
    ),
    "failure_by_length": RunFigure(
        silence_plots.failure_by_length,
        "PESQ failure by length of the crop",
        "How many random crops have no PESQ, and how many would have to fail for the claimed share of "
        "batches.",
        "Shares of crops without PESQ with exact intervals against crop length, and a line at the share "
        "needed.",
    ),
    "failure_by_batch": RunFigure(
        silence_plots.failure_by_batch,
        "What a failing crop costs a batch",
        "One failing crop drops its whole batch, so the share grows with the batch size. Does it come near "
        "the line?",
        "Share of batches with a failed crop against batch size, predicted and observed, a panel for each "
        "crop length, with a line at the claimed share.",
    ),
    "failure_by_dose": RunFigure(
        silence_plots.failure_by_dose,
        "How much speech PESQ needs, and in which signal",
        "Where on the axis do failures set in, and in which signal must the speech be missing? The estimate "
        "is all that a generator decides; the reference is a matter of the data.",
        "Share of crops without PESQ against milliseconds of speech left, in reference, estimate or both.",
    ),
    "score_by_activity": RunFigure(
        silence_plots.score_by_activity,
        "Scores and speech in the crop",
        "Crops at the left have little speech: crosses at the foot have no score, dots may rate the "
        "background.",
        "Scatter plot of the PESQ of noisy crops against active speech in milliseconds, failures at the "
        "foot.",
    ),
    "label_scatter": RunFigure(
        silence_plots.label_scatter,
        "Labels by policy, from the same scores",
        "A label that follows a sample's own PESQ lies on the diagonal. Horizontal rows of squares are "
        "batches whose samples all got one label; triangles and crosses are samples whose PESQ failed, set "
        "at the score that was hidden from the policy. Which policy keeps the order of the samples, and "
        "which loses whole batches?",
        "Scatter plots of label against the sample's own PESQ, a column for each label policy and a row for "
        "each batch size, with the rank correlation in each panel.",
    ),
    "validation_noise": RunFigure(
        silence_plots.visible_drop,
        "What random crops hide in validation",
        "Epochs that differ in nothing but their crops differ by more than the line in 5 % of the cases. "
        "Where the line is below the dashed one, random crops cannot hide a collapse of the claimed size.",
        "Line chart, both axes logarithmic: the drop of mean PESQ that stands out against the number of "
        "utterances in an epoch, with its interval, the claimed collapse and a drop that matters.",
    ),
    "losses_by_run": RunFigure(
        log_plots.losses_by_run,
        "Discriminator losses in published logs",
        "A skipped step logs exactly 0 and would be a cross at the left edge. Runs are ordered by the PESQ "
        "they reached: compare the best ones with the band that is called healthy.",
        "Logged discriminator losses on a logarithmic axis, one row a run, with medians, the band called "
        "healthy and the line below which steps were called skipped.",
    ),
    "results_by_version": RunFigure(
        log_plots.results_by_version,
        "Published results by version of the code",
        "Runs are ordered by PESQ; markers show which version of the code they were trained with.",
        "Dot plot of published PESQ, one row a run, a marker for each version of the code.",
    ),
    "rank_skip": RunFigure(
        log_plots.rank_reductions,
        "What a skipping process does to the gradients of two",
        "Every gradient reduction of a process, in its order, by the step it was in. Dots were averaged with "
        "the other process's gradients of the same step, crosses with those of another step. A curve that "
        "ends early is a process that waited in vain or died.",
        "Step against number of the gradient reduction for both processes, a panel for each scenario.",
    ),
    "composite_inflation": RunFigure(
        log_plots.composite_inflation,
        "Ratings of the public evaluation against the original scale",
        "Every file is rated twice, with the slope measure at the scale it was written for and at the scale "
        "of the public evaluation script. Dots above zero are files that the public evaluation rates too "
        "well.",
        "Differences of CSIG, CBAK and COVL between the two scales, a dot a file, with means and a line at "
        "0.1.",
    ),
    "courses": RunFigure(diagnosis_plots.courses),
    "corpus": RunFigure(corpus_plots.corpus_overview),
    "example": RunFigure(corpus_plots.pair_of_spectrograms),
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


def draw_figures(frames: dict[str, pd.DataFrame], folder: Path) -> dict[str, Figure]:
    """Write every figure and its CSV to `folder` and return the figures, closed, by name."""
    return {name: draw(FIGURES[name].plot, frame, folder, name) for name, frame in frames.items()}


def _clip(results: RunResults) -> pd.DataFrame:
    """The frame of `one_clip`; of a run kept without networks and recordings the one that was drawn with them."""
    frame = clip_views(results)
    kept = results.root / "report" / "figures" / "one_clip.csv"
    return pd.read_csv(kept) if frame.empty and kept.is_file() else frame
