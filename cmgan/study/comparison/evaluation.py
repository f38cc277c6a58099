"""What 05_evaluation computes: enhanced test utterances of one arm and seed, scored one by one."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.enhancement.waveforms import enhance
from cmgan.metrics.evaluation import evaluate_waveforms
from cmgan.models.systems import build_generator
from cmgan.models.weights import load_public_weights
from cmgan.recipe import Budget
from cmgan.study.notebook_parameters import EvaluationParameters
from cmgan.study.paths import evaluation_table, noisy_table, run_folder, training_folder
from cmgan.study.statistics import mean_interval
from data_prep.audio import write_audio
from data_prep.manifest import read_manifest
from data_prep.whole_files import write_table

METRICS = {
    "pesq": "PESQ",
    "csig": "CSIG",
    "cbak": "CBAK",
    "covl": "COVL",
    "ssnr": "segmental SNR (dB)",
    "stoi": "STOI",
    "si_sdr": "SI-SDR (dB)",
    "gain": "gain",
}
CONDITIONS = ["id", "snr_db", "noise"]


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
    _keep_audio(pairs[: parameters.audio_files], estimates, target.with_suffix(""))
    table = _scored(root, pairs, estimates, parameters.threads)
    return write_table(table.assign(arm=parameters.arm, seed=parameters.seed), target)


def trained_generator(checkpoint: Path) -> nn.Module:
    """The generator of a training folder's checkpoint, built as its config.json says, in evaluation mode."""
    config = json.loads(checkpoint.with_name("config.json").read_text())
    generator = build_generator(config["recipe"]["generator"], Budget(**config["budget"]))
    load_public_weights(generator, checkpoint)
    return generator.eval()


def evaluate_noisy(run: str, threads: int = 0) -> pd.DataFrame:
    """Score the unprocessed noisy test utterances; writes evaluation/noisy.csv, or returns it when newer."""
    root = run_folder(run)
    if _is_scored(noisy_table(root), [root / "data" / "manifest.csv"]):
        return pd.read_csv(noisy_table(root))
    pairs = load_pairs(root / "data" / "manifest.csv", "test")
    table = _scored(root, pairs, [pair.noisy for pair in pairs], threads)
    return write_table(table.assign(arm="noisy", seed=pd.NA), noisy_table(root))


def summary_table(noisy: pd.DataFrame, enhanced: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over utterances of each metric, noisy and enhanced, with n."""
    rng = np.random.default_rng(0)
    rows = []
    for column, label in METRICS.items():
        before, after = (mean_interval(frame[column].to_numpy(), rng) for frame in (noisy, enhanced))
        rows.append(
            {
                "metric": label,
                "noisy": before.estimate,
                "enhanced": after.estimate,
                "low": after.low,
                "high": after.high,
                "n": after.n,
            }
        )
    return pd.DataFrame(rows).set_index("metric").round(3)


def _is_scored(table: Path, sources: list[Path]) -> bool:
    """Whether a table of scores stands for its sources; those that a kept run left out cannot have changed."""
    if not table.is_file():
        return False
    changed = max((source.stat().st_mtime for source in sources if source.is_file()), default=0.0)
    return table.stat().st_mtime >= changed


def _scored(
    root: Path, pairs: list[UtterancePair], estimates: list[np.ndarray], threads: int
) -> pd.DataFrame:
    scores = evaluate_waveforms(
        [(pair.id, pair.clean, estimate) for pair, estimate in zip(pairs, estimates, strict=True)],
        workers=threads or None,
    )
    manifest = pd.DataFrame([vars(row) for row in read_manifest(root / "data" / "manifest.csv")])
    return manifest[CONDITIONS].merge(scores, on="id", validate="one_to_one")


def _keep_audio(pairs: list[UtterancePair], estimates: list[np.ndarray], folder: Path) -> None:
    for pair, estimate in zip(pairs, estimates, strict=False):
        folder.mkdir(parents=True, exist_ok=True)
        write_audio(folder / f"{pair.id}.wav", np.clip(estimate, -1, 1))
