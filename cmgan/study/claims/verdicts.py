"""From an effect with its interval to a verdict, by a rule written beforehand. Pure: no files, no randomness."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from typing import Literal

Relation = Literal["above", "below", "within"]
Scale = Literal["pesq", "share", "relative", "plain", "outcome"]
FAMILY_ERROR = 0.05
LEAST_SEEDS = 2


class Verdict(StrEnum):
    """What can be said of a prediction or a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not testable at this scale"


@dataclass(frozen=True)
class Effect:
    """An estimated effect: low and high at the level of the verdicts, low95 and high95 to be shown.

    n counts the units that the interval speaks for (utterances, steps, …). by_seed: the estimate of each seed alone,
    empty where no training is involved. scale says how to write the number (outcome: 1 for yes, 0 for no). detail:
    what the number is of, where that is not plain.
    """

    estimate: float
    low: float
    high: float
    low95: float
    high95: float
    n: int
    unit: str
    scale: Scale = "plain"
    by_seed: tuple[float, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Missing:
    """There is no effect to judge; reason says what is not there."""

    reason: str


@dataclass(frozen=True)
class Rule:
    """What the effect must be: above or below `margin`, or within ±margin of `around`."""

    relation: Relation
    margin: float
    around: float = 0.0

    def __str__(self) -> str:
        if self.relation != "within":
            return f"{self.relation} {self.margin:g}"
        return f"within {self.margin:g} of {self.around:g}"


def verdict_level(predictions: int) -> float:
    """Level of each interval so that all of them together err with at most FAMILY_ERROR (Bonferroni)."""
    return 1 - FAMILY_ERROR / predictions


def judge(effect: Effect | Missing, rule: Rule) -> Verdict:
    """Supported when the whole interval obeys the rule, refuted when none of it does, else inconclusive.

    Where training is involved, that also needs at least two seeds and every seed's own estimate to say the same.
    """
    if isinstance(effect, Missing):
        return Verdict.NOT_TESTABLE
    if isnan(effect.estimate) or isnan(effect.low) or isnan(effect.high):
        return Verdict.INCONCLUSIVE
    by_interval = _by_interval(effect.low, effect.high, rule)
    if not effect.by_seed:
        return by_interval
    agree = all(_by_interval(value, value, rule) == by_interval for value in effect.by_seed)
    return by_interval if agree and len(effect.by_seed) >= LEAST_SEEDS else Verdict.INCONCLUSIVE


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim's verdict from those of its deciding predictions.

    Refuted by one refuted prediction, supported by nothing less than all; not testable without evidence for any.
    """
    if not verdicts or all(verdict == Verdict.NOT_TESTABLE for verdict in verdicts):
        return Verdict.NOT_TESTABLE
    if Verdict.REFUTED in verdicts:
        return Verdict.REFUTED
    if all(verdict == Verdict.SUPPORTED for verdict in verdicts):
        return Verdict.SUPPORTED
    return Verdict.INCONCLUSIVE


def _by_interval(low: float, high: float, rule: Rule) -> Verdict:
    if rule.relation == "below":
        return _by_interval(-high, -low, Rule("above", -rule.margin))
    if rule.relation == "within":
        low, high = low - rule.around, high - rule.around
        obeys, breaks = -rule.margin < low and high < rule.margin, low > rule.margin or high < -rule.margin
    else:
        obeys, breaks = low > rule.margin, high < rule.margin
    return Verdict.SUPPORTED if obeys else Verdict.REFUTED if breaks else Verdict.INCONCLUSIVE
