"""Training logs as CSV: the debugging effort's step and epoch tables, and those of this study's trainer."""

from pathlib import Path

import pandas as pd

from cmgan.diagnosis.quantities import quantity_of
from cmgan.diagnosis.training_log import TrainingLog, make_log

OWN_FILES = ("steps.csv", "epochs.csv", "validation.csv")
_OWN_STEPS = {
    "epoch": "epoch",
    "step": "step",
    "loss_total": "loss",
    "loss_discriminator": "disc_loss",
    "discriminator_skipped": "skipped",
    "loss_time": "time_loss",
    "gain": "gain",
    "label_std": "label_std",
}
_OWN_EPOCHS = {
    "epoch": "epoch",
    "loss_total": "validation_loss",
    "loss_magnitude": "magnitude_loss",
    "pesq": "pesq",
    "gain": "gain",
    "inconsistency": "inconsistency",
}


def read_table(path: Path) -> TrainingLog:
    """The log in a CSV file, recognised by its columns; names as people choose them (see `quantity_of`).

    With a step column, or epochs that repeat, a row is a training step; otherwise an epoch. Raises ValueError, naming
    the file, for one that is no table or has no column that is known.
    """
    frame = _read(path)
    columns = set(frame)
    if {"discriminator_skipped", "loss_total"} <= columns:
        return make_log(path.name, _own_steps(frame), pd.DataFrame())
    if {"loss_time_published", "loss_time_normalised", "id"} <= columns:
        return make_log(path.name, pd.DataFrame(), pd.DataFrame(), frame)
    if {"loss_time_published", "loss_time_normalised"} <= columns:
        return make_log(path.name, pd.DataFrame(), _chosen(frame, _OWN_EPOCHS))
    return _foreign(frame, path)


def _own_steps(frame: pd.DataFrame) -> pd.DataFrame:
    steps = _chosen(frame, _OWN_STEPS)
    return steps.assign(skipped=frame["discriminator_skipped"].astype(str).eq("True").astype(float), rank=0.0)


def _chosen(frame: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    return frame[[name for name in names if name in frame]].rename(columns=names)


def _foreign(frame: pd.DataFrame, path: Path) -> TrainingLog:
    quantities: dict[str, str] = {}
    for column in frame:
        quantity = quantity_of(str(column))
        if quantity and quantity not in quantities.values():
            quantities[column] = quantity
    known = set(quantities.values())
    if not known - {"epoch", "step", "rank"}:
        raise ValueError(
            f"{path}: no column is known ({', '.join(map(str, frame))}); name them like epoch, step, loss, "
            "disc_loss, test_loss, pesq"
        )
    table = frame[list(quantities)].rename(columns=quantities)
    if "epoch" not in table:
        table = table.assign(epoch=range(len(table))) if "step" not in known and "pesq" in known else table
    by_step = "step" in known or "epoch" not in table or table["epoch"].duplicated().mean() > 0.5
    if by_step:
        return make_log(path.name, table.assign(rank=table.get("rank", 0.0)), _of_epochs(table, known))
    return make_log(path.name, pd.DataFrame(), table.rename(columns={"loss": "train_loss"}))


def _of_epochs(steps: pd.DataFrame, known: set[str]) -> pd.DataFrame:
    """What a table of steps says about epochs: validation values, empty in most of its rows."""
    names = [name for name in ("validation_loss", "pesq") if name in known]
    if not names or "epoch" not in steps:
        return pd.DataFrame()
    return steps[["epoch", *names]].dropna(subset=names, how="all")


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV table ({error}); give the file that training wrote") from error
    if frame.empty:
        raise ValueError(f"{path}: holds no rows; let training run for an epoch first")
    return frame
