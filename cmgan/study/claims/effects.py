"""Effects from tables, values and counts, each with the interval of the verdicts and the 95 % interval to show."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import ttest_ind

from cmgan.study.claims.verdicts import Effect, Scale
from cmgan.study.statistics import cautious_interval, mean_interval, proportion_interval

SHOWN_LEVEL = 0.95
SEED = 0  # of the bootstrap


class MissingEvidenceError(LookupError):
    """What an effect needs is not in this run; the message says what."""


def effect_of_table(
    table: pd.DataFrame, level: float, unit: str = "utterances", scale: Scale = "pesq"
) -> Effect:
    """Mean over a table of one value an utterance (rows) and seed (columns).

    The interval is over utterances, each averaged over seeds, for these trained networks; the seeds are kept beside
    it. Utterances that lack a value for some seed are dropped. Raises MissingEvidenceError where none is complete.
    """
    complete = table.dropna()
    if complete.empty:
        raise MissingEvidenceError("no utterance has a value for every seed that the arms share")
    effect = effect_of_values(complete.mean(axis=1), level, unit, scale)
    return replace(effect, by_seed=tuple(float(mean) for mean in complete.mean(axis=0)))


def effect_of_values(values: ArrayLike, level: float, unit: str, scale: Scale = "pesq") -> Effect:
    """Mean of independent values (n,), NaN where missing, without seeds."""
    at_level, shown = cautious_interval(values, SEED, level), mean_interval(values, SEED, SHOWN_LEVEL)
    if not at_level.n:
        raise MissingEvidenceError(f"there are no {unit} with a value")
    return Effect(
        shown.estimate, at_level.low, at_level.high, shown.low, shown.high, shown.n, unit, scale=scale
    )


def effect_of_share(
    successes: int, trials: int, level: float, unit: str, by_seed: tuple[float, ...] = ()
) -> Effect:
    """A share with its exact intervals, trials taken as independent; MissingEvidenceError without trials."""
    if not trials:
        raise MissingEvidenceError(f"there are no {unit} to count")
    at_level = proportion_interval(successes, trials, level)
    shown = proportion_interval(successes, trials, SHOWN_LEVEL)
    return Effect(
        shown.estimate, at_level.low, at_level.high, shown.low, shown.high, trials, unit, "share", by_seed
    )


def effect_of_share_by_seed(counts: pd.DataFrame, level: float, unit: str) -> Effect:
    """A share over all seeds; counts: a row a seed, columns hits and trials. Seeds without trials are left out."""
    counts = counts[counts["trials"] > 0]
    shares = tuple(float(share) for share in counts["hits"] / counts["trials"])
    return effect_of_share(int(counts["hits"].sum()), int(counts["trials"].sum()), level, unit, shares)


def outcome(happened: bool, n: int, unit: str, what: str) -> Effect:
    """Whether `what` happened in an experiment without chance: 1 or 0, with an interval of no width."""
    value = float(happened)
    return Effect(value, value, value, value, value, n, unit, "outcome", detail=what)


def transformed(effect: Effect, function: Callable[[float], float], scale: Scale | None = None) -> Effect:
    """The effect through an increasing function, interval bounds and seeds with it."""
    names = ("estimate", "low", "high", "low95", "high95")
    values = {name: float(function(getattr(effect, name))) for name in names}
    by_seed = tuple(float(function(value)) for value in effect.by_seed)
    return replace(effect, **values, by_seed=by_seed, scale=scale or effect.scale)


def welch_effect(first: ArrayLike, second: ArrayLike, level: float, unit: str) -> Effect:
    """Difference of the means of two independent groups with Welch's t interval; each needs two values."""
    first, second = (np.asarray(values, dtype=float) for values in (first, second))
    if min(len(first), len(second)) < 2:
        raise MissingEvidenceError(f"fewer than two {unit} in one of the groups")
    test = ttest_ind(first, second, equal_var=False)
    at_level, shown = test.confidence_interval(level), test.confidence_interval(SHOWN_LEVEL)
    return Effect(
        float(first.mean() - second.mean()),
        float(at_level.low),
        float(at_level.high),
        float(shown.low),
        float(shown.high),
        len(first) + len(second),
        unit,
        "pesq",
    )
