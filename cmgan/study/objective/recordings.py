"""What a training objective asks for on a user's own recordings: gains of the files, and minima on a few clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cmgan.diagnosis.findings import NORMALISE_TARGET, Finding, Weight
from cmgan.metrics.pesq import PesqWorkers
from cmgan.recipe import LossWeights, Recipe
from cmgan.statistics import MARGIN_PESQ
from cmgan.study.objective.clips import batches_of_clips, gains_of_files, recorded_pairs
from cmgan.study.objective.experiments import Objective, run_descents
from cmgan.study.objective.minima import minima

CLIPS, SECONDS, ITERATIONS = 4, 2.0, 200
# More files than these say no more about a corpus's gains, and take long to read.
FILES = 200


def recordings_finding(folder: Path, weights: LossWeights) -> Finding:
    """Where the published objective with these weights leads on a folder's clean/ and noisy/ files.

    Four clips of 2 s are minimised without a network (see `cmgan.study.objective`), with the published target, the
    normalised one, and with files brought to RMS 1; the metric loss is left out. Raises what `recorded_pairs` does,
    and ValueError for a silent clip.
    """
    gains = gains_of_files(folder, FILES)
    batches = batches_of_clips(recorded_pairs(folder, CLIPS), SECONDS)
    recipe = Recipe(time_target="published", loss_weights=replace(weights, metric=0.0))
    settings = [
        Objective("published", recipe),
        Objective("normalised", replace(recipe, time_target="normalised")),
        Objective("RMS 1", recipe, gain=1.0),
    ]
    with PesqWorkers(1) as scorer:
        path = run_descents(
            batches, settings, ("noisy",), ITERATIONS, scorer, watched=True, report=lambda _: None
        )
    ends = minima(path, "descent")
    means = ends.groupby("setting")[["pesq_start", "pesq_peak", "pesq", "gain"]].mean()
    published = means.loc["published"]
    normalised, scaled = float(means.loc["normalised", "pesq"]), float(means.loc["RMS 1", "pesq"])
    harm = normalised - float(published["pesq"])
    low, median, high = (float(gain) for gain in np.quantile(gains, (0.05, 0.5, 0.95)))
    clips = ends["clip"].nunique()
    numbers = {
        "gain_median": median,
        "gain_low": low,
        "gain_high": high,
        "pesq_noisy": float(published["pesq_start"]),
        "pesq_peak": float(published["pesq_peak"]),
        "pesq_minimum": float(published["pesq"]),
        "pesq_minimum_normalised": normalised,
        "pesq_minimum_rms_1": scaled,
        "harm": harm,
        "clips": clips,
    }
    evidence = (
        f"{folder}: normalisation's gain is {median:.1f} (5–95 % of {len(gains)} files: {low:.1f} to {high:.1f}). "
        f"Without a network, on {clips} clips, the weights {weights.real_imaginary:g}, {weights.magnitude:g}, "
        f"{weights.time:g} and the published target lead from PESQ {published['pesq_start']:.2f} over "
        f"{published['pesq_peak']:.2f} to {published['pesq']:.2f} at gain {published['gain']:.2f}; "
        f"the normalised target leads to {normalised:.2f}, files at RMS 1 to {scaled:.2f}"
    )
    if harm <= MARGIN_PESQ:
        title = "the published time target would do no harm on these recordings"
        return Finding("objective", Weight.CLEAR, title, evidence, "C20", numbers=numbers)
    title = (
        f"a time target before the gain costs {harm:.1f} PESQ at the objective's minimum on these recordings"
    )
    change = NORMALISE_TARGET
    if normalised - scaled <= MARGIN_PESQ:
        change += "; or bring every noisy file, and its clean one with it, to RMS 1 beforehand"
    return Finding("objective", Weight.MODERATE, title, evidence, "C19", change, numbers=numbers)
