"""What the silence survey and the published evidence of a run say, from the tables that their notebooks left."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cmgan.study.published import logs
from cmgan.study.published.composite_inflation import inflation_in_words
from cmgan.study.published.rank_experiment import ranks_in_words
from cmgan.study.silence import words as silence_findings
from cmgan.study.silence.label_policies import labels_in_words
from cmgan.study.silence.survey import failure_shares
from cmgan.study.silence.validation_noise import estimates_in_words, noise_in_words


def silence_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/silence/*.csv; none when 02_silence_analysis was not run."""
    folder = run_root / "silence"
    return [
        *_when_there(_survey, folder, "crops", "batches", "dose_response", "levels"),
        *_when_there(_one(labels_in_words), folder, "label_policies"),
        *_when_there(_one(noise_in_words), folder, "validation_noise", "figures/validation_noise"),
        *_validations(run_root),
    ]


def evidence_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/evidence/*.csv; none when 06_published_logs was not run."""
    folder = run_root / "evidence"
    return [
        *_when_there(_logs, folder, "skips", "discriminator_losses", "results"),
        *_when_there(_one(ranks_in_words), folder, "rank_skip"),
        *_when_there(_one(inflation_in_words), folder, "composite_inflation"),
    ]


def _survey(
    crops: pd.DataFrame, batches: pd.DataFrame, responses: pd.DataFrame, levels: pd.DataFrame
) -> list[str]:
    return [
        silence_findings.crops_in_words(failure_shares(crops, ["crop_seconds"])),
        silence_findings.batches_in_words(batches),
        silence_findings.doses_in_words(failure_shares(responses, ["side", "dose_ms"]), responses),
        silence_findings.activity_in_words(crops),
        silence_findings.levels_in_words(levels),
    ]


def _logs(skips: pd.DataFrame, losses: pd.DataFrame, results: pd.DataFrame) -> list[str]:
    return [
        logs.skips_in_words(skips.fillna({"code_version": ""})),
        logs.losses_in_words(losses),
        logs.validation_in_words(results),
    ]


def _validations(run_root: Path) -> list[str]:
    files = sorted(run_root.glob("training/*/validation.csv"))
    return [estimates_in_words([pd.read_csv(file) for file in files])] if files else []


def _one(words: Callable[..., str]) -> Callable[..., list[str]]:
    return lambda *tables: [words(*tables)]


def _when_there(words: Callable[..., list[str]], folder: Path, *names: str) -> list[str]:
    files = [folder / f"{name}.csv" for name in names]
    return words(*map(pd.read_csv, files)) if all(file.is_file() for file in files) else []
