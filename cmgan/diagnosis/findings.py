"""Signs in one run's log: how PESQ went, the time target, skipped steps, labels, overfitting, repeated orders."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import pandas as pd

from cmgan.diagnosis.reading import TrainingLog
from cmgan.recipe import LossWeights
from cmgan.statistics import (
    CLAIMED_SKIP_SHARE,
    MARGIN_PESQ,
    NEARLY_ZERO,
    fall_by_utterance,
    mean_interval,
    proportion_interval,
)

PESQ = "PESQ"
TIME_TARGET = "time target"
SKIPPED_STEPS = "skipped discriminator steps"
ORDER = "order of the epochs"
NORMALISE_TARGET = (
    "in the training and the validation step, hand the time loss the clean signal after it was multiplied by the "
    "gain (est_audio − clean·c, not est_audio − clean)"
)
MASK_FAILURES = (
    "in the function that returns None when one sample's PESQ fails, return the scores with the failed ones as "
    "NaN, and leave only those samples out of the discriminator's loss"
)

# A fall has to be as many times the scatter between neighbouring epochs, where there are enough epochs to see one.
SCATTERS, EPOCHS_FOR_SCATTER = 3.0, 6
# A validation loss that rose by this share of its minimum is called risen.
RISE = 0.05

# Half of what even the debugging effort calls barely noticeable (10 %), and half of what it blames (56 %).
WORTH_NAMING, MANY = 0.05, CLAIMED_SKIP_SHARE / 2

# Loss terms of CMGAN's published checkpoint, mean over 25 real clips of VoiceBank+DEMAND,
# with the public signal settings. The time loss is 0.07 against the normalised clean signal and 0.48 against the one
# before the gain: the latter is the floor. Its mean is known to 0.017 (standard error); 0.513 is two of them above.
REAL_IMAGINARY, MAGNITUDE = 0.187, 0.0186
TIME_NORMALISED, TIME_PUBLISHED, TIME_PUBLISHED_HIGH = 0.0695, 0.480, 0.513
# Before that, a healthy run's loss may be this high too.
LATE_EPOCH = 5
# Validation losses that differ by no more than this, over epochs, are called flat.
FLAT = 0.1
# Correlation of gain and time loss over steps. A target of a tenth of the estimate's scale makes louder worse (+), a
# normalised one makes louder better until the gain is 1 (−). Chosen on seed 0 of five arms of the laptop profile,
# where it was 0.70 to 0.72 against −0.41 to −0.37; on seed 1, 0.89 to 0.90 against −0.50 to −0.47.
LOUDER_IS_WORSE, LOUDER_IS_BETTER = 0.3, 0.0
LEAST_STEPS = 30
UNNORMALISED_TARGET = "the time loss compares with the clean signal before gain normalisation"

PERMUTATIONS = 999
MOST_EPOCHS, MOST_PLACES = 12, 400
LEAST_PAIRS = 4
# Same utterances under other random crops still agree by 0.4 to 0.9; a new order agrees by 0 but for chance.
AGREEMENT, CHANCE = 0.3, 0.05
# With fewer places in an epoch a parabola would explain the agreement away.
PLACES_FOR_TREND = 12


class Weight(IntEnum):
    """How much a finding counts: CLEAR and UNKNOWN rule nothing in; a NOTE is true but not known to do harm.

    A cause is WEAK when the log only fits it, MODERATE when several things in the log fit it and nothing else known
    does, STRONG when it was measured directly.
    """

    UNKNOWN = 0
    CLEAR = 1
    NOTE = 2
    WEAK = 3
    MODERATE = 4
    STRONG = 5

    def is_cause(self) -> bool:
        """Whether such a finding may explain a fall of PESQ."""
        return self >= Weight.WEAK


@dataclass(frozen=True)
class Finding:
    """One sign: its subject ("labels", "time target", …), what was seen, and what follows from it.

    numbers: the values that the sentence in `evidence` was made from. claim: the id in the claims table that the
    conclusion rests on. change: what to change, empty where nothing has to be. place: file:line of code.
    """

    subject: str
    weight: Weight
    title: str
    evidence: str = ""
    claim: str = ""
    change: str = ""
    place: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


def fall_sign(log: TrainingLog) -> Finding:
    """How far PESQ fell from its highest epoch to the last one, and what the losses did meanwhile.

    A note where it certainly fell: a fall needs a cause and is none. Certain is a fall whose 95 % interval over
    validation utterances (cross-fitted) lies above `MARGIN_PESQ`; with means alone, one above it and above three
    times the scatter between neighbouring epochs (from six epochs on), which random validation crops make large.
    """
    pesq = log.epochs.set_index("epoch")["pesq"].dropna()
    if len(pesq) < 2:
        return Finding(PESQ, Weight.UNKNOWN, "fewer than two epochs with a PESQ are in the log")
    peak_epoch, last_epoch = int(pesq.idxmax()), int(pesq.index[-1])
    peak, last = float(pesq.max()), float(pesq.iloc[-1])
    fall, low, high = peak - last, np.nan, np.nan
    # Of one epoch around the trend: the median absolute second difference, which has six times its variance.
    scatter = (
        1.4826 * np.median(np.abs(np.diff(pesq, 2))) / np.sqrt(6) if len(pesq) >= EPOCHS_FOR_SCATTER else 0.0
    )
    certain = fall > max(MARGIN_PESQ, SCATTERS * scatter)
    if not log.utterances.empty:
        crossed = mean_interval(fall_by_utterance(log.utterances.assign(seed=0))[0], seed=0)
        fall, low, high = crossed.estimate, crossed.low, crossed.high
        certain = low > MARGIN_PESQ
    interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    evidence = (
        f"highest in epoch {peak_epoch} with {peak:.2f}, {last:.2f} in epoch {last_epoch}, the last one "
        f"(fall {fall:.2f}{interval})"
    )
    since = log.epochs[log.epochs["epoch"] >= peak_epoch]
    moved = []
    for column in ("train_loss", "validation_loss", "magnitude_loss", "disc_loss", "gain", "inconsistency"):
        values = since[column].dropna().to_numpy()
        if len(values) > 1:
            verb = "fell" if values[-1] < values[0] else "rose"
            name = column.replace("_", " ").replace("disc", "discriminator")
            moved.append(f"{name} {verb} from {values[0]:#.3g} to {values[-1]:#.3g}")
    if moved:
        evidence += "; since then " + ", ".join(moved)
    numbers = {"peak_epoch": peak_epoch, "peak": peak, "last_epoch": last_epoch, "last": last}
    numbers |= {"fall": fall, "low": low, "high": high}
    if not certain:
        return Finding(PESQ, Weight.CLEAR, "PESQ did not clearly fall", evidence, numbers=numbers)
    return Finding(PESQ, Weight.NOTE, f"PESQ fell after epoch {peak_epoch}", evidence, "C12", numbers=numbers)


def overfitting_sign(log: TrainingLog, fell: bool) -> Finding | None:
    """Whether the validation loss rose while the training loss kept falling; None where not, or not known.

    A weak cause where PESQ fell too, else a note.
    """
    both = log.epochs.dropna(subset=["train_loss", "validation_loss"])
    if len(both) < 3:
        return None
    best, last = both.loc[both["validation_loss"].idxmin()], both.iloc[-1]
    rise = float(last["validation_loss"] / best["validation_loss"] - 1)
    if rise < RISE or last["train_loss"] >= best["train_loss"]:
        return None
    evidence = (
        f"from epoch {best['epoch']:.0f} on the validation loss rose by {100 * rise:.0f} % to "
        f"{last['validation_loss']:#.3g} while the training loss fell to {last['train_loss']:#.3g}"
    )
    weight = Weight.WEAK if fell else Weight.NOTE
    change = "keep the checkpoint of the best validation PESQ; more data or earlier stopping"
    numbers = {"rise": rise, "best_epoch": float(best["epoch"])}
    return Finding(
        "overfitting", weight, "the validation loss rises", evidence, "C08", change, numbers=numbers
    )


def skip_sign(log: TrainingLog) -> Finding:
    """The share of skipped steps with its exact 95 % interval, set against shares that would matter.

    A step was skipped where the log says so, or else by a discriminator loss of exactly 0, not by a small one. A
    cause where the interval lies above `WORTH_NAMING`: a weak one, moderate above `MANY`, because skips alone have to
    be judged by claim C04. Values printed with six decimals show 0 for any loss below 5e-7 too.
    """
    losses, logged = log.steps["disc_loss"], log.steps["skipped"]
    skipped = logged.fillna(losses.eq(0).astype(float).where(losses.notna())).dropna() > 0
    if skipped.empty:
        return Finding(SKIPPED_STEPS, Weight.UNKNOWN, "no step's discriminator loss is in the log")
    if losses.isna().all() and not skipped.any():
        return Finding(SKIPPED_STEPS, Weight.UNKNOWN, "the run logs no discriminator loss at all")
    count, steps = int(skipped.sum()), len(skipped)
    share = proportion_interval(count, steps)
    near = int(((losses > 0) & (losses < NEARLY_ZERO)).sum())
    numbers = {"steps": steps, "skipped": count} | share.columns("share") | {"nearly_zero": near}
    evidence = (
        f"{count} of {steps} logged steps have a discriminator loss of exactly 0 or say that they were skipped: "
        f"{_percent(share.estimate)} of the steps, at most {_percent(share.high)} and at least "
        f"{_percent(share.low)} (95 %, exact, lines taken as independent)"
    )
    if near:
        evidence += f"; {near} more lie below {NEARLY_ZERO:g} without being 0, which are steps that were made"
    if count:
        title, weight = f"{_percent(share.estimate)} of the discriminator's steps are skipped", Weight.NOTE
        if share.low > WORTH_NAMING:
            weight = Weight.MODERATE if share.low > MANY else Weight.WEAK
        else:
            title += ": few, and not known to do harm"
        return Finding(SKIPPED_STEPS, weight, title, evidence, "C04", MASK_FAILURES, numbers=numbers)
    title, weight = "no step is shown as skipped", Weight.CLEAR
    if share.high >= CLAIMED_SKIP_SHARE:
        title += f", but {steps} lines are too few to exclude {_percent(CLAIMED_SKIP_SHARE)}"
        weight = Weight.UNKNOWN
    return Finding(SKIPPED_STEPS, weight, title, evidence, "C01", numbers=numbers)


def label_sign(log: TrainingLog) -> Finding | None:
    """Whether all samples of a batch get the same label, in logs that keep the labels' spread; None where not."""
    spread = log.steps["label_std"].dropna()
    if spread.empty or spread.abs().max() > 1e-9:
        return None
    title = "every sample of a batch gets the same label"
    evidence = (
        f"the standard deviation of the labels within a batch is 0 in all {len(spread)} steps, as with one sample a "
        "batch or with the batch's mean: the discriminator does not learn which sample is better"
    )
    change = "with more than one sample a batch, give every sample its own PESQ as label"
    return Finding("labels", Weight.NOTE, title, evidence, "C05", change, numbers={"steps": len(spread)})


def target_sign(log: TrainingLog, weights: LossWeights, fell: bool) -> Finding:
    """Whether the time loss compares with the clean signal before its gain: by gain and time loss, or a loss's level.

    weights: those the run was trained with; fell: whether its PESQ fell. Over steps, the correlation of gain and time
    loss is direct and counts as strong. The level of the total loss is only a fit, weak by itself and moderate where
    PESQ fell while the validation loss was flat.
    """
    both = log.steps[["gain", "time_loss"]].dropna()
    if len(both) >= LEAST_STEPS:
        return _target_by_gain(both, log.epochs)
    return _target_by_level(log, weights, fell)


def floor_levels(weights: LossWeights) -> tuple[float, float, float]:
    """Total loss (without its metric term) above which there is a floor, the floor, and the most it can be."""
    spectral = weights.real_imaginary * REAL_IMAGINARY + weights.magnitude * MAGNITUDE
    normalised, floor, high = (
        spectral + weights.time * time for time in (TIME_NORMALISED, TIME_PUBLISHED, TIME_PUBLISHED_HIGH)
    )
    return float(np.sqrt(normalised * floor)), floor, high


def order_sign(log: TrainingLog) -> Finding:
    """Whether losses at the same place of different epochs agree, by a permutation test within epochs.

    The agreement is the correlation between epochs of the loss's logarithm, less each epoch's mean and the trend
    within epochs that all share. A repeated order is a note: claim C13 says whether it does harm.
    """
    table = _loss_by_place(log.steps)
    known = table.notna().sum()
    pairs = int((known * (known - 1) // 2).sum())
    if pairs < LEAST_PAIRS:
        title = f"too few steps of different epochs at the same place ({pairs} pairs, {LEAST_PAIRS} needed)"
        return Finding(ORDER, Weight.UNKNOWN, title)
    residuals = _without_trend(np.log(table.to_numpy()))
    agreement = _agreement(residuals)
    chance = _chance(residuals, agreement)
    numbers = {"agreement": agreement, "chance": chance, "pairs": pairs, "epochs": len(table)}
    evidence = (
        f"losses at the same place of {len(table)} epochs correlate by {agreement:.2f} ({pairs} pairs; a new order "
        f"every epoch does so with a probability of {chance:.3f})"
    )
    weight, title, change = Weight.UNKNOWN, "epochs agree too little to tell", ""
    if chance > CHANCE:
        weight, title = Weight.CLEAR, "epochs come in different orders, as far as these lines can tell"
    elif agreement > AGREEMENT:
        weight, title = Weight.NOTE, "every epoch repeats one order"
        change = "call sampler.set_epoch(epoch) at the start of every epoch (or shuffle=True on one process)"
    return Finding(ORDER, weight, title, evidence, "C13", change, numbers=numbers)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _target_by_gain(both: pd.DataFrame, epochs: pd.DataFrame) -> Finding:
    # Spearman's, from ranks: gains and losses spread over decades early on.
    correlation = float(both["gain"].rank().corr(both["time_loss"].rank()))
    gain = float(both["gain"].iloc[-max(len(both) // 5, 10) :].mean())
    numbers = {"correlation": correlation, "steps": len(both), "gain": gain}
    weight, title, change = Weight.UNKNOWN, "gain and time loss do not tell", ""
    reading = "neither clearly punished nor rewarded"
    if correlation > LOUDER_IS_WORSE:
        weight, title, change = Weight.STRONG, UNNORMALISED_TARGET, NORMALISE_TARGET
        reading = "a louder estimate is punished, so the target is on a lower scale"
    elif correlation < LOUDER_IS_BETTER:
        weight, title = Weight.CLEAR, "the time target is on the estimate's scale"
        reading = "a louder estimate is rewarded, so the target is on its scale"
    evidence = (
        f"over {len(both)} steps the time loss and the gain of the estimate correlate by {correlation:+.2f}: "
        f"{reading}; the gain ends at {gain:.2f}"
    )
    inconsistency = epochs["inconsistency"].dropna()
    if len(inconsistency):
        numbers["inconsistency"] = float(inconsistency.iloc[-1])
        evidence += f", the spectrum's inconsistency with its waveform at {numbers['inconsistency']:.2f}"
    return Finding(TIME_TARGET, weight, title, evidence, "C12", change, numbers=numbers)


def _target_by_level(log: TrainingLog, weights: LossWeights, fell: bool) -> Finding:
    kind, losses = "validation", log.epochs.set_index("epoch")["validation_loss"].dropna()
    if not (losses.index >= LATE_EPOCH).any():
        has_steps = log.steps["loss"].notna().any()
        rows = log.steps if has_steps else log.epochs.rename(columns={"train_loss": "loss"})
        kind, losses = "training", rows.set_index("epoch")["loss"].dropna()
    late = losses[losses.index >= LATE_EPOCH]
    judged = losses[losses.index < LATE_EPOCH] if late.empty else late
    level = float(judged.median())
    bound, floor, high = floor_levels(weights)
    numbers = {"level": level, "bound": bound, "floor": floor, "epochs": len(judged)}
    assumed = (
        f"with the loss weights {weights.real_imaginary:g}, {weights.magnitude:g}, {weights.time:g} "
        "(RI, magnitude, time)"
    )
    if level < bound:
        title = "no floor of an un-normalised time target"
        evidence = (
            f"the {kind} loss stands at {level:.3f}, below the {bound:.3f} that a target before the gain would "
            f"hardly allow (floor {floor:.3f}, {assumed})"
        )
        return Finding(TIME_TARGET, Weight.CLEAR, title, evidence, "C12", numbers=numbers)
    if late.empty:
        title = f"no loss from epoch {LATE_EPOCH} on is in the log: earlier ones are high in any run"
        return Finding(TIME_TARGET, Weight.UNKNOWN, title, claim="C12")
    numbers["high"] = high
    expected = (
        f"by the published checkpoint on real clips a normalised target allows less than {bound:.3f} and one before "
        f"the gain leaves {floor:.3f}, at most {high:.3f}, {assumed}"
    )
    if level > high:
        title = f"the {kind} loss ({level:.3f}) is above the floor too: not converged, other loss weights or terms"
        return Finding(TIME_TARGET, Weight.UNKNOWN, title, expected, "C12", numbers=numbers)
    numbers["spread"] = spread = float((late.max() - late.min()) / level)
    flat = len(late) > 1 and spread <= FLAT
    evidence = f"the {kind} loss stands at {level:.3f} from epoch {LATE_EPOCH} on"
    if flat:
        evidence += f" and moves by only {100 * spread:.0f} %" + (" while PESQ falls" if fell else "")
    evidence += f"; {expected}"
    weight = Weight.MODERATE if fell and flat and kind == "validation" else Weight.WEAK
    title, change = UNNORMALISED_TARGET, NORMALISE_TARGET
    return Finding(TIME_TARGET, weight, title, evidence, "C12", change, numbers=numbers)


def _loss_by_place(steps: pd.DataFrame) -> pd.DataFrame:
    """Positive training losses of one process by epoch (rows) and place in the epoch (columns), the last epochs.

    The place is the logged step where steps start again every epoch, else how many steps of the epoch came before.
    """
    rows = steps[(steps["loss"] > 0) & steps["epoch"].notna()]
    rows = rows[rows["rank"].fillna(0) == rows["rank"].fillna(0).min()]
    starts_again = rows["step"].notna().all() and rows.groupby("epoch")["step"].min().diff().le(0).any()
    place = rows["step"] if starts_again else rows.groupby("epoch").cumcount()
    table = rows.assign(place=place).pivot_table(index="epoch", columns="place", values="loss")
    return table.iloc[-MOST_EPOCHS:, :MOST_PLACES].dropna(axis="columns", how="all")


def _without_trend(values: np.ndarray) -> np.ndarray:
    centred = values - np.nanmean(values, axis=1, keepdims=True)
    if values.shape[1] >= PLACES_FOR_TREND:
        places = np.broadcast_to(np.linspace(-1, 1, values.shape[1]), values.shape)
        known = ~np.isnan(centred)
        centred -= np.polyval(np.polyfit(places[known], centred[known], 2), places)
    return centred - np.nanmean(centred, axis=1, keepdims=True)


def _agreement(residuals: np.ndarray) -> float:
    known = ~np.isnan(residuals)
    filled = np.where(known, residuals, 0.0)
    products = filled.sum(0) ** 2 - (filled**2).sum(0)
    counts = known.sum(0)
    pairs, paired = counts * (counts - 1), counts > 1
    variance = (filled[:, paired] ** 2).sum() / counts[paired].sum()
    return min(float(products.sum() / pairs.sum() / variance), 1.0) if variance > 0 else 0.0


def _chance(residuals: np.ndarray, agreement: float) -> float:
    """How likely losses that come in a new order every epoch agree that well."""
    rng = np.random.default_rng(0)
    shuffled = residuals.copy()
    known = ~np.isnan(residuals)
    reached = 0
    for _ in range(PERMUTATIONS):
        for row, there, original in zip(shuffled, known, residuals, strict=True):
            row[there] = rng.permutation(original[there])
        reached += _agreement(shuffled) >= agreement - 1e-12
    return (reached + 1) / (PERMUTATIONS + 1)
