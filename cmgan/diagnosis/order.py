"""Whether every epoch goes through the utterances in the same order, from losses at the same place in epochs."""

import numpy as np
import pandas as pd

from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.training_log import TrainingLog

SUBJECT = "order of the epochs"
PERMUTATIONS = 999
MOST_EPOCHS, MOST_PLACES = 12, 400
LEAST_PAIRS = 4
# Same utterances under other random crops still agree by 0.4 to 0.9; a new order agrees by 0 but for chance.
AGREEMENT, CHANCE = 0.3, 0.05


def order_sign(log: TrainingLog, seed: int = 0) -> Finding:
    """Whether losses at the same place of different epochs agree, by a permutation test within epochs.

    The agreement is the correlation between epochs of the loss's logarithm, less each epoch's mean and the trend
    within epochs that all share. A repeated order is a note: claim C13 says whether it does harm.
    """
    table = loss_by_place(log.steps)
    present = table.notna().to_numpy()
    pairs = int((present.sum(0) * (present.sum(0) - 1) // 2).sum()) if table.size else 0
    if pairs < LEAST_PAIRS:
        return Finding(
            SUBJECT,
            Weight.UNKNOWN,
            f"too few steps of different epochs at the same place ({pairs} pairs, {LEAST_PAIRS} needed)",
            "",
        )
    residuals = _without_trend(np.log(table.to_numpy()))
    agreement = _agreement(residuals)
    chance = _chance(residuals, agreement, np.random.default_rng(seed))
    numbers = {"agreement": agreement, "chance": chance, "pairs": pairs, "epochs": len(table)}
    evidence = (
        f"losses at the same place of {len(table)} epochs correlate by {agreement:.2f} ({pairs} pairs; a new order "
        f"every epoch does so with a probability of {chance:.3f})"
    )
    if agreement > AGREEMENT and chance <= CHANCE:
        change = "call sampler.set_epoch(epoch) at the start of every epoch (or shuffle=True on one process)"
        return Finding(
            SUBJECT, Weight.NOTE, "every epoch repeats one order", evidence, "C13", change, "", numbers
        )
    if chance <= CHANCE:
        return Finding(
            SUBJECT, Weight.UNKNOWN, "epochs agree too little to tell", evidence, "C13", numbers=numbers
        )
    title = "epochs come in different orders, as far as these lines can tell"
    return Finding(SUBJECT, Weight.CLEAR, title, evidence, "C13", numbers=numbers)


def loss_by_place(steps: pd.DataFrame) -> pd.DataFrame:
    """Positive training losses of one process by epoch (rows) and place in the epoch (columns), the last epochs.

    The place is the logged step where steps start again every epoch, else how many steps of the epoch came before.
    """
    rows = steps[(steps["loss"] > 0) & steps["epoch"].notna()]
    rows = rows[rows["rank"].fillna(0) == rows["rank"].fillna(0).min()]
    starts_again = (
        rows["step"].notna().all() and rows.groupby("epoch")["step"].min().diff().dropna().le(0).any()
    )
    place = rows["step"] if starts_again else rows.groupby("epoch").cumcount()
    table = rows.assign(place=place).pivot_table(index="epoch", columns="place", values="loss")
    return table.iloc[-MOST_EPOCHS:, :MOST_PLACES].dropna(axis="columns", how="all")


def _without_trend(values: np.ndarray) -> np.ndarray:
    centred = values - np.nanmean(values, axis=1, keepdims=True)
    places = np.linspace(-1, 1, values.shape[1])
    known = ~np.isnan(centred)
    # With few places a parabola would explain the agreement away.
    degree = 2 if values.shape[1] >= 12 else 0
    if degree:
        everywhere = np.broadcast_to(places, values.shape)
        centred = centred - np.polyval(np.polyfit(everywhere[known], centred[known], degree), places)
    return centred - np.nanmean(centred, axis=1, keepdims=True)


def _agreement(residuals: np.ndarray) -> float:
    known = ~np.isnan(residuals)
    filled = np.where(known, residuals, 0.0)
    products = filled.sum(0) ** 2 - (filled**2).sum(0)
    pairs = known.sum(0) * (known.sum(0) - 1)
    paired = pairs > 0
    variance = (filled[:, paired] ** 2).sum() / known[:, paired].sum()
    return min(float(products.sum() / pairs.sum() / variance), 1.0) if variance > 0 else 0.0


def _chance(residuals: np.ndarray, agreement: float, rng: np.random.Generator) -> float:
    shuffled = residuals.copy()
    known = [~np.isnan(row) for row in residuals]
    reached = 0
    for _ in range(PERMUTATIONS):
        for row, there, original in zip(shuffled, known, residuals, strict=True):
            row[there] = rng.permutation(original[there])
        reached += _agreement(shuffled) >= agreement - 1e-12
    return (reached + 1) / (PERMUTATIONS + 1)
