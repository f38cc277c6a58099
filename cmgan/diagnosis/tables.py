"""Diagnoses and logs as tidy tables, for notebooks and figures."""

from collections.abc import Sequence

import pandas as pd

from cmgan.diagnosis.causes import Diagnosis
from cmgan.diagnosis.skips import SUBJECT as SKIPS
from cmgan.diagnosis.training_log import TrainingLog
from cmgan.diagnosis.words import headline

DRAWN = ("pesq", "validation_loss", "train_loss", "disc_loss")


def answers(diagnoses: Sequence[Diagnosis]) -> pd.DataFrame:
    """A row per run: run, answer, skipped, steps, skips_at_most (upper 95 % bound), peak_epoch, peak, last."""
    return pd.DataFrame([_answer(diagnosis) for diagnosis in diagnoses])


def courses(logs: Sequence[TrainingLog]) -> pd.DataFrame:
    """What every run logged by epoch, one value a row: run, epoch, quantity (one of `DRAWN`), value."""
    frames = [log.epochs.melt("epoch", list(DRAWN), "quantity").dropna().assign(run=log.name) for log in logs]
    return pd.concat(frames, ignore_index=True)[["run", "epoch", "quantity", "value"]]


def _answer(diagnosis: Diagnosis) -> dict[str, object]:
    fall = diagnosis.fall
    skips = next((finding.numbers for finding in diagnosis.findings if finding.subject == SKIPS), {})
    return {
        "run": diagnosis.name,
        "answer": headline(diagnosis),
        "skipped": skips.get("skipped"),
        "steps": skips.get("steps"),
        "skips_at_most": skips.get("high"),
        "peak_epoch": fall.peak_epoch if fall else None,
        "peak": fall.peak if fall else None,
        "last": fall.last if fall else None,
    }
