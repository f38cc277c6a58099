"""A run's folder of drawn numbers with a known truth: arms on the published time target collapse, no others."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cmgan.recipe import Budget, Recipe
from cmgan.study.arms import arm as recipe_of
from cmgan.study.paths import evaluation_table, training_folder
from data_prep.whole_files import write_table

STEPS_PER_EPOCH = 20
COLLAPSE = 0.6
BRANCHES = {
    "normalised_target": ("normalised_target", "published", "batch_mean_fix", "normalised_skip_90"),
    "published": ("published", "normalised_target"),
}
PEAK_EPOCH = 4
SKIP_RATE = 0.25


def simulate_run(
    root: Path,
    arms: Sequence[str] = ("published", "normalised_target"),
    seeds: Sequence[int] = (0, 1),
    epochs: int = 12,
    utterances: int = 12,
    test_utterances: int = 16,
) -> Path:
    """Write the files of a finished run under `root`; same arguments, same numbers.

    Under the published time target PESQ peaks in epoch `PEAK_EPOCH` and falls by `COLLAPSE` while losses go on
    falling; otherwise it rises to the end. Under skip_batch, `SKIP_RATE` of the discriminator's steps is skipped.
    """
    small = {"channels": 16, "blocks": 1, "discriminator_width": 8, "batch_size": 2, "crop_seconds": 1.0}
    budget = asdict(Budget(epochs=epochs, **small))
    for number, arm in enumerate(arms):
        for seed in seeds:
            rng = np.random.default_rng([number, seed])
            recipe = recipe_of(arm)
            folder = training_folder(root, arm, seed)
            validation = _validation(recipe, seed, epochs, utterances, rng)
            write_table(validation, folder / "validation.csv")
            write_table(_epochs(validation), folder / "epochs.csv")
            write_table(_steps(recipe, epochs, rng), folder / "steps.csv")
            config = {"name": f"{arm}-{seed}", "seed": seed, "recipe": asdict(recipe), "budget": budget}
            (folder / "config.json").write_text(json.dumps(config | {"manifest_sha256": "0" * 64}))
            rows = _evaluation(2.2 - COLLAPSE * _collapses(recipe), 0.4 if _collapses(recipe) else 1.0, rng)
            write_table(rows[:test_utterances].assign(arm=arm, seed=seed), evaluation_table(root, arm, seed))
    if len(seeds) > 1:
        write_table(_branch_ends(seeds), root / "branches" / "endpoints.csv")
        write_table(pd.DataFrame({"id": ["v000"], "pesq": [1.3]}), root / "branches" / "noisy.csv")
    noisy = _evaluation(1.3, 1.0, np.random.default_rng(99))[:test_utterances]
    write_table(noisy.assign(arm="noisy", seed=""), root / "evaluation" / "noisy.csv")
    write_table(_manifest(utterances, test_utterances), root / "data" / "manifest.csv")
    settings = {"run": root.name, "corpus": "synthetic", "corpus_path": ""}
    (root / "profile.yaml").write_text(yaml.safe_dump(settings | {"arms": [*arms], "seeds": [*seeds]}))
    jobs = [(f"04_training-{arm}-{seed}", 61.0, 700) for arm in arms for seed in seeds]
    pd.DataFrame(jobs, columns=["job", "seconds", "peak_mib"]).to_csv(root / "timing.csv", index=False)
    return root


def _branch_ends(seeds: Sequence[int]) -> pd.DataFrame:
    """Ends of branches whose PESQ and objective follow the time target of the arm that they go on with."""
    rng, rows = np.random.default_rng(7), []
    for seed in seeds:
        for trunk, arms in BRANCHES.items():
            for arm in ("trunk", *arms):
                low = _collapses(recipe_of(trunk if arm == "trunk" else arm))
                pesq, gain, objective = (1.6, 0.4, 0.16) if low else (2.2, 1.0, 0.22)
                values = {"pesq": pesq, "gain": gain, "inconsistency": 0.3, "objective": objective}
                jitter = {name: value * (1 + rng.normal(0, 0.005)) for name, value in values.items()}
                rows.append({"trunk": trunk, "arm": arm, "seed": seed} | jitter)
    return pd.DataFrame(rows)


def _collapses(recipe: Recipe) -> bool:
    return recipe.time_target == "published"


def _validation(
    recipe: Recipe, seed: int, epochs: int, utterances: int, rng: np.random.Generator
) -> pd.DataFrame:
    level = np.random.default_rng(seed).normal(0, 0.2, utterances)
    frames = []
    for epoch in range(1, epochs + 1):
        rise = 0.9 * (1 - np.exp(-epoch / 2))
        past_peak = max(0, epoch - PEAK_EPOCH) / (epochs - PEAK_EPOCH)
        collapse = past_peak if _collapses(recipe) else 0.0
        fading = np.exp(-epoch / 4)
        floor = 0.02 if _collapses(recipe) else 0.0
        draw = rng.normal
        frames.append(
            pd.DataFrame(
                {
                    "epoch": epoch,
                    "id": [f"v{index:03d}" for index in range(utterances)],
                    "loss_real_imaginary": 0.5 + 0.3 * fading + draw(0, 0.005, utterances),
                    "loss_magnitude": 0.05 + 0.1 * fading + draw(0, 0.001, utterances),
                    "loss_time_published": 0.04 + 0.04 * fading - floor + draw(0, 0.0005, utterances),
                    "loss_time_normalised": 0.04 + 0.04 * fading + floor + draw(0, 0.0005, utterances),
                    "loss_metric": 0.05 + 0.2 * fading,
                    "loss_total": 0.12 + 0.2 * fading,
                    "discriminator_estimate": 0.6,
                    "discriminator_clean": 0.98,
                    "ssnr": 3 + rise - 2 * collapse + draw(0, 0.5, utterances),
                    "si_sdr": 9 + rise - 4 * collapse + draw(0, 0.5, utterances),
                    "gain": 1 - 0.6 * collapse + draw(0, 0.01, utterances),
                    "inconsistency": 0.15 + 0.5 * collapse + draw(0, 0.01, utterances),
                    "phase_error": 0.6 + 0.4 * collapse + draw(0, 0.01, utterances),
                    "pesq": 1.2 + rise - COLLAPSE * collapse + level + draw(0, 0.04, utterances),
                    "pesq_reason": "",
                    "pesq_random_crop": 1.2 + rise - COLLAPSE * collapse + draw(0, 0.4, utterances),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _epochs(validation: pd.DataFrame) -> pd.DataFrame:
    means = validation.drop(columns=["id", "pesq_reason"]).groupby("epoch").mean()
    means.insert(0, "step", means.index * STEPS_PER_EPOCH)
    return means.assign(pesq_failures=0, utterances=validation["id"].nunique()).reset_index()


def _steps(recipe: Recipe, epochs: int, rng: np.random.Generator) -> pd.DataFrame:
    count = epochs * STEPS_PER_EPOCH
    fading = np.exp(-np.arange(count) / (4 * STEPS_PER_EPOCH))
    failed = rng.random(count) < SKIP_RATE
    skipped = failed & (recipe.labels == "skip_batch")
    spread = np.zeros(count) if recipe.labels == "batch_mean" else rng.gamma(2, 0.02, count)
    label = 0.1 + 0.2 * (1 - fading) + rng.normal(0, 0.03, count)
    loss = np.exp(rng.normal(-4, 1.2, count))
    noise = np.exp(rng.normal(0, 0.2, count))
    return pd.DataFrame(
        {
            "epoch": np.repeat(np.arange(1, epochs + 1), STEPS_PER_EPOCH),
            "step": np.arange(1, count + 1),
            "loss_real_imaginary": (0.5 + 0.3 * fading) * noise,
            "loss_magnitude": (0.05 + 0.1 * fading) * noise,
            "loss_time": (0.04 + 0.04 * fading) * noise,
            "loss_metric": (0.05 + 0.2 * fading) * noise,
            "loss_total": (0.12 + 0.2 * fading) * noise,
            "gradient_norm_generator": (0.5 + fading) * noise,
            "gain": 1.0,
            "loss_discriminator": np.where(skipped, np.nan, loss),
            "discriminator_skipped": skipped,
            "discriminator_clean": np.where(skipped, np.nan, 0.95),
            "discriminator_estimate": np.where(skipped, np.nan, label),
            "gradient_norm_discriminator": np.where(skipped, np.nan, (3 + 9 * fading) * noise),
            "pesq_mean": 1 + 3.5 * label,
            "label_mean": np.where(skipped, np.nan, label),
            "label_std": np.where(skipped, np.nan, spread),
            "pesq_failures": failed.astype(int),
            "failure_reasons": np.where(failed, "no utterances detected:1", ""),
            "failure_injected": False,
            "seconds": 0.5,
        }
    )


def _evaluation(pesq: float, gain: float, rng: np.random.Generator, count: int = 64) -> pd.DataFrame:
    level = np.random.default_rng(7).normal(0, 0.3, count)
    return pd.DataFrame(
        {
            "id": [f"t{index:03d}" for index in range(count)],
            "snr_db": np.resize([2.5, 7.5, 12.5, 17.5], count),
            "noise": np.resize(["babble", "hum"], count),
            **{
                metric: pesq + above + level + rng.normal(0, 0.05, count)
                for metric, above in {"pesq": 0, "csig": 1, "cbak": 0.5, "covl": 0.7}.items()
            },
            "ssnr": 4 * gain + level + rng.normal(0, 0.2, count),
            "stoi": 0.85 + 0.05 * gain + rng.normal(0, 0.01, count),
            "si_sdr": 10 * gain + level + rng.normal(0, 0.5, count),
            "gain": gain + rng.normal(0, 0.01, count),
            "pesq_reason": "",
        }
    )


def _manifest(validation: int, test: int) -> pd.DataFrame:
    counts = {"train": 40, "validation": validation, "test": test}
    rows = [
        {"id": f"{split[0]}{index:03d}", "split": split, "speaker": f"{split}{index % 3}", "samples": 32000}
        for split, count in counts.items()
        for index in range(count)
    ]
    return pd.DataFrame(rows).assign(sample_rate=16000, noise="babble", snr_db=5.0, note="")
