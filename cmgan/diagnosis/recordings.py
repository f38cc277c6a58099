"""What a training objective asks for on a user's own recordings: gains of the files, and minima on a few clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.target import CHANGE
from cmgan.metrics.pesq_workers import PesqWorkers
from cmgan.recipe import LossWeights, Recipe
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.objective.clips import batches_of_clips, gains_of_files, recorded_pairs
from cmgan.study.objective.experiments import Setting, run_descents
from cmgan.study.objective.minima import minima

SUBJECT = "objective"
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
    plain = replace(weights, metric=0.0)
    published = Recipe(time_target="published", loss_weights=plain)
    settings = [
        Setting("published", published),
        Setting("normalised", replace(published, time_target="normalised")),
        Setting("RMS 1", published, gain=1.0),
    ]
    with PesqWorkers(1) as scorer:
        path = run_descents(batches, settings, ("noisy",), ITERATIONS, scorer, watched=True, report=_silent)
    ends = minima(path, "descent")
    return _finding(folder, gains, ends, plain)


def _finding(folder: Path, gains: np.ndarray, ends: pd.DataFrame, weights: LossWeights) -> Finding:
    means = ends.groupby("setting")[["pesq_start", "pesq_peak", "pesq", "gain"]].mean()
    published, normalised, scaled = (means.loc[name] for name in ("published", "normalised", "RMS 1"))
    clips = ends["clip"].nunique()
    low, median, high = np.quantile(gains, (0.05, 0.5, 0.95))
    harm = float(normalised["pesq"] - published["pesq"])
    numbers = {
        "gain_median": float(median),
        "gain_low": float(low),
        "gain_high": float(high),
        "pesq_noisy": float(published["pesq_start"]),
        "pesq_peak": float(published["pesq_peak"]),
        "pesq_minimum": float(published["pesq"]),
        "pesq_minimum_normalised": float(normalised["pesq"]),
        "pesq_minimum_rms_1": float(scaled["pesq"]),
        "harm": harm,
        "clips": clips,
    }
    evidence = (
        f"{folder}: the loader's gain is {median:.1f} (5–95 % of {len(gains)} files: {low:.1f} to {high:.1f}). "
        f"Without a network, on {clips} clips, the weights {weights.real_imaginary:g}, {weights.magnitude:g}, "
        f"{weights.time:g} and the published target lead from PESQ {published['pesq_start']:.2f} over "
        f"{published['pesq_peak']:.2f} to {published['pesq']:.2f} at gain {published['gain']:.2f}; "
        "the normalised target leads to "
        f"{normalised['pesq']:.2f}, files at RMS 1 to {scaled['pesq']:.2f}"
    )
    if harm <= MARGIN_PESQ:
        title = "the published time target would do no harm on these recordings"
        return Finding(SUBJECT, Weight.CLEAR, title, evidence, "C20", numbers=numbers)
    repairs = [CHANGE]
    if normalised["pesq"] - scaled["pesq"] <= MARGIN_PESQ:
        repairs.append("or bring every noisy file, and its clean one with it, to RMS 1 before the loader")
    title = (
        f"a time target before the gain costs {harm:.1f} PESQ at the objective's minimum on these recordings"
    )
    return Finding(SUBJECT, Weight.MODERATE, title, evidence, "C19", "; ".join(repairs), numbers=numbers)


def _silent(line: str) -> None:
    """The findings say it all."""
