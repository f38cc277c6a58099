"""Logs of runs with a known truth: published ones as text, and drawn ones."""

import numpy as np
import pandas as pd

from cmgan.diagnosis.reading import TrainingLog, make_log, read_text
from cmgan.study.published.logs import read_training_logs

SPEECH_SCALE = 0.07


def published_log(run: str) -> TrainingLog:
    """The published lines of a run, read back from the format in which the public code logs."""
    lines = []
    logs = read_training_logs()
    for row in logs[logs["run"] == run].itertuples():
        epoch = "" if pd.isna(row.epoch) else f" Epoch {row.epoch:.0f},"
        if row.kind == "validation":
            losses = f" Generator loss: {row.loss:.6f}, Discriminator loss: {row.disc_loss:.6f}"
        else:
            step = "" if pd.isna(row.step) else f" Step {row.step:.0f},"
            loss = "" if pd.isna(row.loss) else f" loss: {row.loss:.6f},"
            losses = f"{step}{loss} disc_loss: {row.disc_loss:.6f}"
        lines.append(f"INFO:root:GPU: 0,{epoch}{losses}")
    return read_text(lines, run)


def trained_on(target_scale: float, rng: np.random.Generator, skip_rate: float = 0.0) -> TrainingLog:
    """A log of 200 steps in which a generator's estimate grows towards its target's scale.

    The time loss is computed from signals: mean |gain·speech + error − target_scale·speech|.
    """
    start, end = (0.02, 1.0) if target_scale == 1 else (0.9, 0.3)
    gains = np.linspace(start, end, 200) + 0.03 * rng.standard_normal(200)
    speech, error = rng.laplace(size=4_000), 0.1 * rng.standard_normal(4_000)
    skipped = rng.random(200) < skip_rate
    steps = pd.DataFrame(
        {
            "epoch": np.repeat(np.arange(1, 11), 20),
            "step": np.arange(1, 201),
            "rank": 0.0,
            "loss": np.exp(rng.normal(-1, 0.1, 200)),
            "disc_loss": np.where(skipped, np.nan, 0.01),
            "skipped": skipped.astype(float),
            "time_loss": [np.abs(gain * speech + error - target_scale * speech).mean() for gain in gains],
            "gain": gains,
        }
    )
    return make_log("run", steps, pd.DataFrame({"epoch": [1, 2, 3], "pesq": [1.2, 1.5, 1.6]}))


def log_by_epoch(**columns: object) -> TrainingLog:
    """A run that logged nothing but these columns by epoch."""
    return make_log("run", epochs=pd.DataFrame(columns))
