"""Whether the time loss compares with the clean signal before gain normalisation: what that leaves in a log."""

import numpy as np
import pandas as pd

from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.training_log import TrainingLog
from cmgan.recipe import LossWeights

SUBJECT = "time target"
CHANGE = (
    "in the training and the validation step, hand the time loss the clean signal after it was multiplied by the "
    "gain (est_audio − clean·c, not est_audio − clean)"
)
NAME = "the time loss compares with the clean signal before gain normalisation"

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


def target_sign(log: TrainingLog, weights: LossWeights, fell: bool = False) -> Finding:
    """The most direct sign there is: gain against time loss over steps, or the level of the total loss.

    weights: those the run was trained with; fell: whether its PESQ fell. The first sign is direct and counts as
    strong. The level is only a fit, weak by itself and moderate where PESQ fell while the validation loss was flat.
    """
    both = log.steps[["gain", "time_loss"]].dropna()
    if len(both) >= LEAST_STEPS:
        return _from_gain(both, log.epochs)
    return _from_level(log, weights, fell)


def floor_levels(weights: LossWeights) -> tuple[float, float, float]:
    """Total loss (without its metric term) above which there is a floor, the floor, and the most it can be."""
    spectral = weights.real_imaginary * REAL_IMAGINARY + weights.magnitude * MAGNITUDE
    normalised, floor, high = (
        spectral + weights.time * time for time in (TIME_NORMALISED, TIME_PUBLISHED, TIME_PUBLISHED_HIGH)
    )
    return float(np.sqrt(normalised * floor)), floor, high


def _from_gain(both: pd.DataFrame, epochs: pd.DataFrame) -> Finding:
    # Spearman's, from ranks: gains and losses spread over decades early on.
    correlation = float(both["gain"].rank().corr(both["time_loss"].rank()))
    late = both.iloc[-max(len(both) // 5, 10) :]
    numbers = {"correlation": correlation, "steps": len(both), "gain": float(late["gain"].mean())}
    evidence = (
        f"over {len(both)} steps the time loss and the gain of the estimate correlate by {correlation:+.2f}: "
        f"{{reading}}; the gain ends at {numbers['gain']:.2f}"
    )
    inconsistency = epochs["inconsistency"].dropna()
    if len(inconsistency):
        numbers["inconsistency"] = float(inconsistency.iloc[-1])
        evidence += f", the spectrum's inconsistency with its waveform at {numbers['inconsistency']:.2f}"
    if correlation > LOUDER_IS_WORSE:
        evidence = evidence.format(reading="a louder estimate is punished, so the target is on a lower scale")
        return Finding(SUBJECT, Weight.STRONG, NAME, evidence, "C12", CHANGE, "", numbers)
    if correlation < LOUDER_IS_BETTER:
        evidence = evidence.format(reading="a louder estimate is rewarded, so the target is on its scale")
        return Finding(
            SUBJECT,
            Weight.CLEAR,
            "the time target is on the estimate's scale",
            evidence,
            "C12",
            numbers=numbers,
        )
    evidence = evidence.format(reading="neither clearly punished nor rewarded")
    return Finding(
        SUBJECT, Weight.UNKNOWN, "gain and time loss do not tell", evidence, "C12", numbers=numbers
    )


def _from_level(log: TrainingLog, weights: LossWeights, fell: bool) -> Finding:
    kind, late, early = _late_losses(log)
    if late.empty:
        title = f"no loss from epoch {LATE_EPOCH} on is in the log: earlier ones are high in any run"
        least = early.median() if len(early) else np.nan
        if least < floor_levels(weights)[0]:
            return _below_floor(kind, early, weights)
        return Finding(SUBJECT, Weight.UNKNOWN, title, "", "C12")
    bound, floor, high = floor_levels(weights)
    level = float(late.median())
    if level < bound:
        return _below_floor(kind, late, weights)
    numbers = {"level": level, "bound": bound, "floor": floor, "high": high, "epochs": len(late)}
    expected = (
        f"by the published checkpoint on real clips a normalised target allows less than {bound:.3f} and one before "
        f"the gain leaves {floor:.3f}, at most {high:.3f}, {_assumed(weights)}"
    )
    if level > high:
        title = f"the {kind} loss ({level:.3f}) is above the floor too: not converged, other loss weights or terms"
        return Finding(SUBJECT, Weight.UNKNOWN, title, expected, "C12", numbers=numbers)
    spread = float((late.max() - late.min()) / level)
    numbers["spread"] = spread
    flat = len(late) > 1 and spread <= FLAT
    evidence = f"the {kind} loss stands at {level:.3f} from epoch {LATE_EPOCH} on"
    if flat:
        evidence += f" and moves by only {100 * spread:.0f} %" + (" while PESQ falls" if fell else "")
    weight = Weight.MODERATE if fell and flat and kind == "validation" else Weight.WEAK
    return Finding(SUBJECT, weight, NAME, f"{evidence}; {expected}", "C12", CHANGE, numbers=numbers)


def _late_losses(log: TrainingLog) -> tuple[str, pd.Series, pd.Series]:
    """Kind of loss, its values from `LATE_EPOCH` on, and before: validation where logged late, else training."""
    epochs, steps = log.epochs, log.steps
    late_validation = epochs.loc[epochs["epoch"] >= LATE_EPOCH, "validation_loss"].dropna()
    if len(late_validation):
        return "validation", late_validation, late_validation.iloc[:0]
    if steps["loss"].notna().any():
        known = steps.dropna(subset="loss")
        is_late = known["epoch"] >= LATE_EPOCH
        return "training", known.loc[is_late, "loss"], known.loc[known["epoch"] < LATE_EPOCH, "loss"]
    known = epochs.dropna(subset="train_loss")
    is_late = known["epoch"] >= LATE_EPOCH
    return "training", known.loc[is_late, "train_loss"], known.loc[~is_late, "train_loss"]


def _below_floor(kind: str, losses: pd.Series, weights: LossWeights) -> Finding:
    bound, floor, _ = floor_levels(weights)
    level = float(losses.median())
    evidence = (
        f"the {kind} loss stands at {level:.3f}, below the {bound:.3f} that a target before the gain would hardly "
        f"allow (floor {floor:.3f}, {_assumed(weights)})"
    )
    return Finding(
        SUBJECT,
        Weight.CLEAR,
        "no floor of an un-normalised time target",
        evidence,
        "C12",
        numbers={"level": level, "bound": bound, "floor": floor, "epochs": len(losses)},
    )


def _assumed(weights: LossWeights) -> str:
    return (
        f"with the loss weights {weights.real_imaginary:g}, {weights.magnitude:g}, {weights.time:g} "
        "(RI, magnitude, time)"
    )
