"""How many discriminator steps a log shows as skipped: exact zeros, not small numbers."""

import pandas as pd

from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.training_log import TrainingLog
from cmgan.study.margins import CLAIMED_SKIP_SHARE, NEARLY_ZERO
from cmgan.study.statistics import proportion_interval

SUBJECT = "skipped discriminator steps"
# Half of what even the debugging effort calls barely noticeable (10 %), and half of what it blames (56 %).
WORTH_NAMING = 0.05
MANY = CLAIMED_SKIP_SHARE / 2
CHANGE = (
    "in the function that returns None when one sample's PESQ fails, return the scores with the failed ones as "
    "NaN, and leave only those samples out of the discriminator's loss"
)


def skipped_steps(steps: pd.DataFrame) -> pd.Series:
    """Whether each step that can tell was skipped (bool): as logged, or else a discriminator loss of exactly 0."""
    by_loss = steps["disc_loss"].eq(0).where(steps["disc_loss"].notna())
    known = steps["skipped"].where(steps["skipped"].notna(), by_loss).dropna()
    return known.astype(bool)


def skip_sign(log: TrainingLog) -> Finding:
    """The share of skipped steps with its exact 95 % interval, set against shares that would matter.

    A cause where the interval lies above `WORTH_NAMING`: a weak one, moderate above `MANY`, because skips alone have
    to be judged by claim C04. Values printed with six decimals show 0 for any loss below 5e-7 too.
    """
    skipped = skipped_steps(log.steps)
    if skipped.empty:
        return Finding(SUBJECT, Weight.UNKNOWN, "no step's discriminator loss is in the log", "")
    losses = log.steps["disc_loss"]
    if losses.isna().all() and not skipped.any():
        return Finding(SUBJECT, Weight.UNKNOWN, "the run logs no discriminator loss at all", "")
    count, steps = int(skipped.sum()), len(skipped)
    share = proportion_interval(count, steps)
    near = int(((losses > 0) & (losses < NEARLY_ZERO)).sum())
    numbers = {
        "steps": steps,
        "skipped": count,
        "share": share.estimate,
        "low": share.low,
        "high": share.high,
        "nearly_zero": near,
    }
    evidence = (
        f"{count} of {steps} logged steps have a discriminator loss of exactly 0 or say that they were skipped: "
        f"{_percent(share.estimate)} of the steps, at most {_percent(share.high)} and at least "
        f"{_percent(share.low)} (95 %, exact, lines taken as independent)"
    )
    if near:
        evidence += f"; {near} more lie below {NEARLY_ZERO:g} without being 0, which are steps that were made"
    if share.low > WORTH_NAMING:
        weight = Weight.MODERATE if share.low > MANY else Weight.WEAK
        return Finding(
            SUBJECT,
            weight,
            f"{_percent(share.estimate)} of the discriminator's steps are skipped",
            evidence,
            "C04",
            CHANGE,
            numbers=numbers,
        )
    if count:
        title = f"{_percent(share.estimate)} of the discriminator's steps are skipped: few, and not known to do harm"
        return Finding(SUBJECT, Weight.NOTE, title, evidence, "C04", CHANGE, numbers=numbers)
    title = "no step is shown as skipped"
    if share.high >= CLAIMED_SKIP_SHARE:
        title += f", but {steps} lines are too few to exclude {_percent(CLAIMED_SKIP_SHARE)}"
        return Finding(SUBJECT, Weight.UNKNOWN, title, evidence, "C01", numbers=numbers)
    return Finding(SUBJECT, Weight.CLEAR, title, evidence, "C01", numbers=numbers)


def label_sign(log: TrainingLog) -> Finding | None:
    """Whether all samples of a batch get the same label, in logs that keep the labels' spread; None where not."""
    spread = log.steps["label_std"].dropna()
    if spread.empty or spread.abs().max() > 1e-9:
        return None
    return Finding(
        "labels",
        Weight.NOTE,
        "every sample of a batch gets the same label",
        f"the standard deviation of the labels within a batch is 0 in all {len(spread)} steps, as with one sample a "
        "batch or with the batch's mean: the discriminator does not learn which sample is better",
        "C05",
        "with more than one sample a batch, give every sample its own PESQ as label",
        numbers={"steps": len(spread)},
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
