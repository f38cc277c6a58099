"""When PESQ peaked, how far it fell since, and what the losses did meanwhile."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.training_log import TrainingLog
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.training.tables import pesq_falls

SUBJECT = "PESQ"
OVERFITTING = "overfitting"
# A fall has to be as many times the scatter between neighbouring epochs, where there are enough epochs to see one.
SCATTERS, EPOCHS_FOR_SCATTER = 3.0, 6
# A validation loss that rose by this share of its minimum is called risen.
RISE = 0.05


@dataclass(frozen=True)
class Fall:
    """PESQ from its highest epoch to the last one with a score; `certain`: larger than what would be chance.

    low, high: 95 % interval of the fall over validation utterances (cross-fitted), NaN where the log has only means.
    """

    peak_epoch: int
    peak: float
    last_epoch: int
    last: float
    fall: float
    low: float
    high: float
    certain: bool


def find_fall(log: TrainingLog) -> Fall | None:
    """How PESQ went, None when the log has fewer than two epochs with a score.

    Certain is a fall whose interval lies above `MARGIN_PESQ`; with means alone one above it and above three times the
    scatter between neighbouring epochs (from six epochs on), which random validation crops make large.
    """
    scored = log.epochs.dropna(subset="pesq")
    if len(scored) < 2:
        return None
    peak, last = scored.loc[scored["pesq"].idxmax()], scored.iloc[-1]
    fall, low, high = float(peak["pesq"] - last["pesq"]), np.nan, np.nan
    certain = fall > max(MARGIN_PESQ, SCATTERS * _scatter(scored["pesq"]))
    if not log.utterances.empty:
        row = pesq_falls(log.utterances.assign(arm=log.name, seed=0)).iloc[0]
        fall, low, high = float(row["fall"]), float(row["low"]), float(row["high"])
        certain = low > MARGIN_PESQ
    return Fall(
        int(peak["epoch"]),
        float(peak["pesq"]),
        int(last["epoch"]),
        float(last["pesq"]),
        fall,
        low,
        high,
        certain,
    )


def fall_sign(log: TrainingLog, fall: Fall | None) -> Finding:
    """What PESQ did, with what the losses did from its peak on: a fall is what causes are looked for, not a cause."""
    if fall is None:
        return Finding(SUBJECT, Weight.UNKNOWN, "fewer than two epochs with a PESQ are in the log", "")
    numbers = {
        "peak_epoch": fall.peak_epoch,
        "peak": fall.peak,
        "last_epoch": fall.last_epoch,
        "last": fall.last,
    }
    numbers |= {"fall": fall.fall, "low": fall.low, "high": fall.high}
    interval = "" if np.isnan(fall.low) else f" [{fall.low:.2f}, {fall.high:.2f}]"
    evidence = (
        f"highest in epoch {fall.peak_epoch} with {fall.peak:.2f}, {fall.last:.2f} in epoch {fall.last_epoch}, the "
        f"last one (fall {fall.fall:.2f}{interval})"
    )
    moved = losses_since(log.epochs, fall.peak_epoch)
    if moved:
        evidence += "; since then " + ", ".join(moved)
    if not fall.certain:
        return Finding(SUBJECT, Weight.CLEAR, "PESQ did not clearly fall", evidence, numbers=numbers)
    return Finding(
        SUBJECT, Weight.NOTE, f"PESQ fell after epoch {fall.peak_epoch}", evidence, "C12", numbers=numbers
    )


def losses_since(epochs: pd.DataFrame, peak_epoch: int) -> list[str]:
    """What each loss did from the epoch of the peak to the last one, in words; nothing where it is not known."""
    sentences = []
    for column in ("train_loss", "validation_loss", "magnitude_loss", "disc_loss", "gain", "inconsistency"):
        values = epochs.loc[epochs["epoch"] >= peak_epoch, column].dropna()
        if len(values) > 1:
            verb = "fell" if values.iloc[-1] < values.iloc[0] else "rose"
            name = column.replace("_", " ").replace("disc", "discriminator")
            sentences.append(f"{name} {verb} from {values.iloc[0]:#.3g} to {values.iloc[-1]:#.3g}")
    return sentences


def overfitting_sign(log: TrainingLog, fall: Fall | None) -> Finding | None:
    """Whether the validation loss rose while the training loss kept falling; None where one of them is not known.

    A weak cause where PESQ fell too, else a note.
    """
    both = log.epochs.dropna(subset=["train_loss", "validation_loss"])
    if len(both) < 3:
        return None
    best = both.loc[both["validation_loss"].idxmin()]
    last = both.iloc[-1]
    rise = float(last["validation_loss"] / best["validation_loss"] - 1)
    numbers = {"rise": rise, "best_epoch": float(best["epoch"])}
    if rise < RISE or last["train_loss"] >= best["train_loss"]:
        return None
    evidence = (
        f"from epoch {best['epoch']:.0f} on the validation loss rose by {100 * rise:.0f} % to "
        f"{last['validation_loss']:#.3g} while the training loss fell to {last['train_loss']:#.3g}"
    )
    weight = Weight.WEAK if fall is not None and fall.certain else Weight.NOTE
    change = "keep the checkpoint of the best validation PESQ; more data or earlier stopping"
    return Finding(OVERFITTING, weight, "the validation loss rises", evidence, "C08", change, numbers=numbers)


def _scatter(values: pd.Series) -> float:
    """Standard deviation of one epoch's value around its trend, from second differences; 0 with too few epochs."""
    if len(values) < EPOCHS_FOR_SCATTER:
        return 0.0
    bends = np.diff(values.to_numpy(), 2)
    # Median absolute deviation, as a standard deviation; a second difference of noise has six times its variance.
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6))
