"""Training logs as TensorBoard event files."""

from pathlib import Path

import pandas as pd

from cmgan.diagnosis.quantities import quantity_of
from cmgan.diagnosis.training_log import TrainingLog, make_log

EVENT_FILES = "events.out.tfevents.*"
_OF_A_STEP = ("loss", "disc_loss", "skipped", "time_loss", "gain")
_OF_AN_EPOCH = ("validation_loss", "pesq")


def read_events(path: Path) -> TrainingLog:
    """The scalars of a TensorBoard event file or a folder of them; tags are read like column names.

    Tags of training with more points than those of validation are taken for steps. Where validation was logged
    under step numbers, its points are numbered as epochs, and a step belongs to the first epoch that ends after it.
    Raises ValueError naming what to install without tensorboard, or the file when no tag is known.
    """
    series = {}
    for tag, events in _scalars(path).items():
        quantity = quantity_of(tag)
        if quantity in (*_OF_A_STEP, *_OF_AN_EPOCH) and quantity not in series:
            series[quantity] = pd.Series({event.step: event.value for event in events}).sort_index()
    if not series:
        raise ValueError(
            f"{path}: holds no scalar that is known; name tags like train/loss, disc_loss, val_loss, pesq"
        )
    epochs = pd.DataFrame({name: series[name] for name in _OF_AN_EPOCH if name in series})
    steps = pd.DataFrame({name: series[name] for name in _OF_A_STEP if name in series})
    if len(epochs) and len(steps) <= len(epochs):
        both = epochs.join(steps.rename(columns={"loss": "train_loss"}), how="outer")
        return make_log(path.name, pd.DataFrame(), both.rename_axis("epoch").reset_index())
    ends = epochs.index.to_numpy()
    numbered = epochs.assign(epoch=range(len(epochs)))
    placed = steps.rename_axis("step").reset_index().assign(rank=0.0)
    if len(ends):
        placed["epoch"] = ends.searchsorted(placed["step"])
    return make_log(path.name, placed, numbered)


def _scalars(path: Path) -> dict[str, list]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise ValueError(
            f"{path}: reading TensorBoard events needs the package tensorboard: pip install tensorboard"
        ) from None
    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: accumulator.Scalars(tag) for tag in accumulator.Tags()["scalars"]}
