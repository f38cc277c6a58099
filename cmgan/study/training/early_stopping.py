"""Early stopping replayed on the recorded curves of a training that was not stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pandas as pd

from cmgan.recipe import Recipe

Criterion = Literal["loss", "pesq"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
COLUMNS: dict[Criterion, str] = {"loss": "loss_total", "pesq": "pesq"}
PATIENCES = (3, 5, 10, 15)  # 15 is the debugging effort's


@dataclass(frozen=True)
class Stop:
    """last_epoch: where training ends; best_epoch: the best by the criterion up to there; stopped: before its end."""

    last_epoch: int
    best_epoch: int
    stopped: bool


def stops(epochs: pd.DataFrame, criterion: Criterion, patience: int) -> Stop:
    """Where early stopping ends one training, by the trainer's own rule (Recipe.patience, minimum_improvement).

    epochs: columns epoch, loss_total and pesq in order. A missing value is no improvement. Raises ValueError for a
    patience below 1.
    """
    if patience < 1:
        raise ValueError(f"patience is {patience}: use at least 1 epoch")
    sign = 1 if criterion == "loss" else -1
    best, best_epoch, waited = float("inf"), int(epochs["epoch"].iloc[0]), 0
    for epoch, value in zip(epochs["epoch"], epochs[COLUMNS[criterion]], strict=True):
        if sign * value < best - Recipe.minimum_improvement:
            best, best_epoch, waited = sign * value, int(epoch), 0
        else:
            waited += 1
        if waited >= patience:
            return Stop(int(epoch), best_epoch, stopped=int(epoch) < int(epochs["epoch"].iloc[-1]))
    return Stop(int(epochs["epoch"].iloc[-1]), best_epoch, stopped=False)


def replay(epochs: pd.DataFrame, patiences: Sequence[int] = PATIENCES) -> pd.DataFrame:
    """Early stopping on every training, on validation loss and on PESQ; frame: `RunResults.epochs`.

    One row per arm, seed, criterion and patience: stopped, last_epoch, best_epoch, pesq_best (at best_epoch, the
    checkpoint worth keeping), pesq_stopped (at last_epoch), pesq_end (of the whole training), gain (pesq_stopped −
    pesq_end).
    """
    rows = []
    for (arm, seed), run in epochs.groupby(["arm", "seed"], sort=False):
        pesq = run.set_index("epoch")["pesq"]
        for criterion in CRITERIA:
            for patience in patiences:
                stop = stops(run, criterion, patience)
                rows.append(
                    {"arm": arm, "seed": seed, "criterion": criterion, "patience": patience}
                    | {"stopped": stop.stopped, "last_epoch": stop.last_epoch, "best_epoch": stop.best_epoch}
                    | {
                        "pesq_best": pesq[stop.best_epoch],
                        "pesq_stopped": pesq[stop.last_epoch],
                        "pesq_end": pesq.iloc[-1],
                        "gain": pesq[stop.last_epoch] - pesq.iloc[-1],
                    }
                )
    return pd.DataFrame(rows)
