"""What is known of one training run from its logs, whatever format they came in."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

STEP_COLUMNS = ("epoch", "step", "rank", "loss", "disc_loss", "skipped", "time_loss", "gain", "label_std")
EPOCH_COLUMNS = (
    "epoch",
    "train_loss",
    "validation_loss",
    "disc_loss",
    "pesq",
    "magnitude_loss",
    "time_loss",
    "gain",
    "inconsistency",
)
FALL_COLUMNS = ("epoch", "id", "pesq")


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=float) for name in columns})


@dataclass(frozen=True)
class TrainingLog:
    """One run: `steps` (STEP_COLUMNS), `epochs` (EPOCH_COLUMNS) and `utterances` (FALL_COLUMNS), NaN where unknown.

    steps: a row per logged step in the order of training; rank is the process that logged it; skipped is 1 where
    the log says so, 0 where it says not, NaN where only disc_loss can tell. epochs: a row per epoch, losses of
    training and validation, validation PESQ. utterances: validation PESQ by utterance, where it was kept.
    """

    name: str
    steps: pd.DataFrame = field(default_factory=lambda: _empty(STEP_COLUMNS))
    epochs: pd.DataFrame = field(default_factory=lambda: _empty(EPOCH_COLUMNS))
    utterances: pd.DataFrame = field(default_factory=lambda: _empty(FALL_COLUMNS))

    def is_empty(self) -> bool:
        """Whether nothing at all was read."""
        return self.steps.empty and self.epochs.empty


def make_log(
    name: str,
    steps: pd.DataFrame | None = None,
    epochs: pd.DataFrame | None = None,
    utterances: pd.DataFrame | None = None,
) -> TrainingLog:
    """A log from frames with some of the columns; others are filled with NaN, unknown ones dropped.

    The last row of an epoch counts when it was logged twice (a run that was resumed). Losses of training that only
    the steps tell are averaged into the epochs.
    """
    steps, epochs = _with_columns(steps, STEP_COLUMNS), _with_columns(epochs, EPOCH_COLUMNS)
    epochs = epochs.dropna(subset="epoch")
    # Each cell's last value counts: the rows of one epoch may come from lines that tell different things.
    epochs = epochs.groupby("epoch", as_index=False).last().reindex(columns=EPOCH_COLUMNS)
    by_epoch = steps.groupby("epoch")[["loss", "disc_loss"]].mean()
    from_steps = by_epoch.rename(columns={"loss": "train_loss"}).reset_index()
    epochs = epochs.set_index("epoch").combine_first(from_steps.set_index("epoch")).reset_index()
    return TrainingLog(
        name, steps, epochs.reindex(columns=EPOCH_COLUMNS), _with_columns(utterances, FALL_COLUMNS)
    )


def merge_logs(name: str, logs: list[TrainingLog]) -> TrainingLog:
    """One run from the parts that several of its files tell."""
    if len(logs) == 1:
        return TrainingLog(name, logs[0].steps, logs[0].epochs, logs[0].utterances)
    steps, epochs, utterances = (
        _stacked([getattr(log, part) for log in logs]) for part in ("steps", "epochs", "utterances")
    )
    return make_log(name, steps, epochs, utterances)


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _with_columns(frame: pd.DataFrame | None, columns: tuple[str, ...]) -> pd.DataFrame:
    frame = (pd.DataFrame() if frame is None else frame).reindex(columns=columns)
    texts = {"id"}
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in columns if name not in texts}
    return frame.assign(**numbers).replace([np.inf, -np.inf], np.nan)
