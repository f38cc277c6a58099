"""Test scores: of one arm, utterance by utterance, and of all arms of a run set against each other, as tables."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.enhancement.waveforms import enhance
from cmgan.metrics.evaluation import SCORES, evaluate_waveforms
from cmgan.metrics.speech import METRICS
from cmgan.models.systems import build_generator
from cmgan.models.weights import load_public_weights
from cmgan.recipe import recorded_budget
from cmgan.statistics import mean_interval, paired_table
from cmgan.study.arms import ARMS, PUBLISHED
from cmgan.study.notebook_parameters import EvaluationParameters
from cmgan.study.paths import evaluation_table, noisy_table, run_folder, training_folder
from cmgan.study.run_results import NOISY, RunResults
from cmgan.study.training import tables as training
from data_prep.audio import write_audio
from data_prep.manifest import read_manifest
from data_prep.whole_files import write_table

BASELINE = "published"
# Arms of one line against a dose, by the arm that has none of it, with what the legend calls them.
FAMILIES = {
    "published": "un-normalised target",
    "normalised_target": "normalised target",
    "batch_mean_labels": "batch-mean labels",
}
DOSE_COLUMNS = ("mean", "low", "high", "utterances", "seeds")


def evaluate_arm(parameters: EvaluationParameters, report: Callable[[str], None] = print) -> pd.DataFrame:
    """Enhance and score every test utterance; writes evaluation/ARM-SEED.csv last and returns it.

    A table that is newer than the generator, or whose generator was not kept, is returned as it is.
    Raises FileNotFoundError when the arm was not trained.
    """
    root = run_folder(parameters.run)
    checkpoint = training_folder(root, parameters.arm, parameters.seed) / parameters.checkpoint
    target = evaluation_table(root, parameters.arm, parameters.seed, parameters.checkpoint)
    if _is_scored(target, [checkpoint, root / "data" / "manifest.csv"]):
        report(f"already evaluated, see {target}; remove it to evaluate again")
        return pd.read_csv(target)
    if not checkpoint.exists():
        raise FileNotFoundError(
            f"{checkpoint}: train arm {parameters.arm} with seed {parameters.seed} first (04_training)"
        )
    if parameters.threads:
        torch.set_num_threads(parameters.threads)
    generator = trained_generator(checkpoint)
    pairs = load_pairs(root / "data" / "manifest.csv", "test")
    estimates = []
    for number, pair in enumerate(pairs, start=1):
        estimates.append(enhance(generator, pair.noisy))
        if number % 10 == 0 or number == len(pairs):
            report(f"{parameters.arm}-{parameters.seed}: enhanced {number}/{len(pairs)} utterances")
    for pair, estimate in zip(pairs[: parameters.audio_files], estimates, strict=False):
        write_audio(target.with_suffix("") / f"{pair.id}.wav", np.clip(estimate, -1, 1))
    table = _scored(root, pairs, estimates, parameters.threads)
    return write_table(table.assign(arm=parameters.arm, seed=parameters.seed), target)


def trained_generator(checkpoint: Path) -> nn.Module:
    """The generator of a training folder's checkpoint, built as its config.json says, in evaluation mode."""
    config = json.loads(checkpoint.with_name("config.json").read_text())
    generator = build_generator(config["recipe"]["generator"], recorded_budget(config))
    load_public_weights(generator, checkpoint)
    return generator.eval()


def evaluate_noisy(run: str) -> pd.DataFrame:
    """Score the unprocessed noisy test utterances; writes evaluation/noisy.csv, or returns it when newer."""
    root = run_folder(run)
    if _is_scored(noisy_table(root), [root / "data" / "manifest.csv"]):
        return pd.read_csv(noisy_table(root))
    pairs = load_pairs(root / "data" / "manifest.csv", "test")
    table = _scored(root, pairs, [pair.noisy for pair in pairs], threads=0)
    return write_table(table.assign(arm=NOISY, seed=pd.NA), noisy_table(root))


def _is_scored(table: Path, sources: Sequence[Path]) -> bool:
    """Whether a table of scores stands for its sources; those that a kept run left out cannot have changed."""
    changed = [source.stat().st_mtime for source in sources if source.is_file()]
    return table.is_file() and table.stat().st_mtime >= max(changed, default=0.0)


def _scored(
    root: Path, pairs: list[UtterancePair], estimates: list[np.ndarray], threads: int
) -> pd.DataFrame:
    compared = [(pair.id, pair.clean, estimate) for pair, estimate in zip(pairs, estimates, strict=True)]
    scores = evaluate_waveforms(compared, workers=threads or None)
    manifest = pd.DataFrame([vars(row) for row in read_manifest(root / "data" / "manifest.csv")])
    return manifest[["id", "snr_db", "noise"]].merge(scores, on="id", validate="one_to_one")


def summary_table(noisy: pd.DataFrame, enhanced: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over utterances of each metric, noisy and enhanced, with n."""
    rng = np.random.default_rng(0)
    rows = []
    # All are drawn from one generator of random numbers, in this order.
    for metric in SCORES:
        before, after = (mean_interval(frame[metric], rng) for frame in (noisy, enhanced))
        rows.append((METRICS[metric], before.estimate, after.estimate, after.low, after.high, after.n))
    columns = ["metric", "noisy", "enhanced", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).set_index("metric").round(3)


def improvements(noisy: pd.DataFrame, enhanced: pd.DataFrame) -> pd.DataFrame:
    """One row per utterance and metric: noisy and enhanced value of the same utterance."""
    metrics = ["pesq", "ssnr", "stoi", "si_sdr"]
    before, after = (
        frame.melt("id", metrics, var_name="metric", value_name=name)
        for name, frame in (("noisy", noisy), ("enhanced", enhanced))
    )
    return before.merge(after, on=["id", "metric"], how="left")


@dataclass(frozen=True)
class Comparison:
    """All tables of a run, each named after the function that makes it; arms are set against `baseline`."""

    baseline: str
    final_metrics: pd.DataFrame
    differences: pd.DataFrame
    differences_from_noisy: pd.DataFrame
    pesq_falls: pd.DataFrame
    since_peak: pd.DataFrame
    skip_rates: pd.DataFrame
    failures_by_reason: pd.DataFrame
    early_stopping: pd.DataFrame
    identical_arms: list[tuple[str, ...]]


def compare(results: RunResults) -> Comparison:
    """Every table of a run; the baseline is `BASELINE` or, where that was not run, the first arm."""
    baseline = BASELINE if BASELINE in results.arms else results.arms[0]
    return Comparison(
        baseline=baseline,
        final_metrics=final_metrics(results.evaluation),
        differences=differences(results.evaluation, baseline),
        differences_from_noisy=differences(results.evaluation, NOISY),
        pesq_falls=training.pesq_falls(results.validation),
        since_peak=training.since_peak(results.epochs),
        skip_rates=training.skip_rates(results.steps),
        failures_by_reason=training.failures_by_reason(results.steps),
        early_stopping=training.early_stopping(results.epochs),
        identical_arms=training.identical_arms(results.epochs),
    )


def final_metrics(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Mean of each metric by arm with its interval over seeds; of noisy speech, which has none, over utterances.

    Columns: arm, metric, and those of `training.tables.Spread`.
    """
    # One column of the pivot for the noisy files, which have no seed.
    evaluation = evaluation.assign(seed=evaluation["seed"].fillna(-1))
    rows = [
        (arm, metric, *training.spread(scores.pivot(index="id", columns="seed", values=metric), arm != NOISY))
        for arm, scores in evaluation.groupby("arm", sort=False)
        for metric in METRICS
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", *training.Spread._fields])


def differences(evaluation: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Paired difference of every other arm from `baseline`, which may be "noisy", in each metric.

    Columns: arm, baseline, metric, difference, and the others of `training.tables.Spread`.
    """
    is_noisy = evaluation["arm"] == NOISY
    arms, seeds = (evaluation.loc[~is_noisy, column].unique() for column in ("arm", "seed"))
    copies = [evaluation[is_noisy].assign(seed=seed) for seed in seeds]
    every = pd.concat([evaluation[~is_noisy], *copies], ignore_index=True)
    rows = [
        (arm, baseline, metric, *training.spread(paired_table(every, arm, baseline, metric)))
        for arm in arms
        if arm != baseline
        for metric in METRICS
    ]
    # A run of one arm has no difference, and a table of none still has its columns.
    columns = ["arm", "baseline", "metric", "difference", *training.Spread._fields[1:]]
    return pd.DataFrame(rows, columns=columns)


def doses(final: pd.DataFrame, field: str, without: float) -> pd.DataFrame:
    """Final PESQ against `field` of the recipe, of arms that differ in it and in the family of `FAMILIES` alone.

    final: of `final_metrics`; without: the dose of arms whose recipe has none. Rows of every family that was run at
    two doses, empty when none was; columns family, dose, arm and `DOSE_COLUMNS`.
    """
    families = {ARMS[name]: name for name in FAMILIES}
    family = {
        arm: families.get(replace(own, **{field: getattr(PUBLISHED, field)})) for arm, own in ARMS.items()
    }
    dose = {arm: getattr(own, field) or without for arm, own in ARMS.items()}
    table = final.assign(family=final["arm"].map(family), dose=final["arm"].map(dose))
    table = table[(table["metric"] == "pesq") & table["family"].notna()]
    # An arm with a size of its own may repeat the run's.
    table = table.drop_duplicates(["family", "dose"]).sort_values("dose")
    several = table.groupby("family")["dose"].transform("size") > 1
    shown = table.loc[several, ["family", "dose", "arm", *DOSE_COLUMNS]]
    return shown.sort_values("family", key=lambda names: names.map(list(FAMILIES).index), kind="stable")
