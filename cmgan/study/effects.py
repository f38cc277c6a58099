"""Effects: a number from a run with its 95 % interval and a test of any margin, or why there is none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from cmgan.statistics import proportion_interval, seed_interval
from cmgan.study.run_results import RunResults

Relation = Literal["above", "below", "within"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
Scale = Literal["pesq", "share", "relative", "plain", "outcome"]
# Of a value: the p-values of the two one-sided tests, whether the effect lies above it and whether below.
Test = Callable[[float], tuple[float, float]]


def undecided(_value: float) -> tuple[float, float]:
    """The test of an effect that no value can be told from."""
    return 1.0, 1.0


class MissingEvidenceError(LookupError):
    """What an effect needs is not in this run; the message says what."""


@dataclass(frozen=True)
class Effect:
    """An estimated effect with its 95 % interval.

    n counts the units that the interval speaks for: seeds where networks were trained, else crops, log lines, clips.
    by_seed: the estimate of each seed alone, empty where no training is involved. scale says how to write the number
    (outcome: 1 for yes, 0 for no). detail: what the number is of, where that is not plain. test: see `Test`; the
    interval holds the values that neither side rejects at 2.5 %.
    """

    estimate: float
    low: float
    high: float
    n: int
    unit: str
    scale: Scale = "plain"
    by_seed: tuple[float, ...] = ()
    detail: str = ""
    test: Test = field(default=undecided, compare=False, repr=False)


@dataclass(frozen=True)
class Rule:
    """What the effect must be: above or below `margin`, or within ±margin of `around`."""

    relation: Relation
    margin: float
    around: float = 0.0

    def p_values(self, effect: Effect) -> tuple[float, float]:
        """p-values for the rule and for its opposite; below 5 % exactly where the 95 % interval says so.

        Two one-sided tests, each doubled. Source for `within`: Schuirmann (1987), two one-sided tests.
        """
        if isnan(effect.low) or isnan(effect.high):
            return 1.0, 1.0
        if self.relation == "within":
            (over_low, under_low), (over_high, under_high) = map(
                effect.test, (self.around - self.margin, self.around + self.margin)
            )
            pro, contra = max(over_low, under_high), min(under_low, over_high)
        else:
            pro, contra = effect.test(self.margin)
            if self.relation == "below":
                pro, contra = contra, pro
        return min(1.0, 2 * pro), min(1.0, 2 * contra)


@dataclass(frozen=True)
class Missing:
    """There is no effect to judge; reason says what is not there."""

    reason: str


@dataclass(frozen=True)
class Evidence:
    """A run's tables, with a clear word where something is not there.

    folders: where files of the run are looked for, the first that has one; by default the run's own folder. results:
    what was trained; not asked for by evidence that reads files alone.
    """

    results: RunResults | None
    folders: tuple[Path, ...] = ()

    def arm(self, frame: str, arm: str) -> pd.DataFrame:
        """Rows of one arm of `steps`, `epochs`, `validation` or `evaluation`; MissingEvidenceError without any."""
        table = getattr(self.results, frame)
        rows = table[table["arm"] == arm]
        if rows.empty:
            raise MissingEvidenceError(f"arm {arm} was not run")
        return rows

    def table(self, name: str) -> pd.DataFrame:
        """A CSV of the run, e.g. "silence/crops.csv"; MissingEvidenceError when it is not there or has no rows."""
        places = [folder / name for folder in self.folders or (self.results.root,)]
        there = [place for place in places if place.is_file()]
        if not there:
            raise MissingEvidenceError(f"{name} was not written")
        frame = pd.read_csv(there[0])
        if frame.empty:
            raise MissingEvidenceError(f"{name} has no rows")
        return frame


def effect_of_seeds(
    values: pd.Series | Mapping[int, float], scale: Scale = "pesq", detail: str = ""
) -> Effect:
    """Mean of one value a training seed, with Student's t: every effect of trainings.

    The seed is the replicate: two trainings differ by more than their utterances do. Seeds without a value are
    dropped. Raises MissingEvidenceError where none is left.
    """
    present = pd.Series(values, dtype=float).dropna()
    effect = effect_of_values(present, "seeds", scale)
    return replace(effect, by_seed=tuple(present), detail=detail)


def effect_of_values(values: ArrayLike, unit: str, scale: Scale = "pesq") -> Effect:
    """Mean of independent values (n,), NaN where missing, with Student's t; MissingEvidenceError without values."""
    interval = seed_interval(values)
    if not interval.n:
        raise MissingEvidenceError(f"there are no {unit} with a value")
    present = np.asarray(values, dtype=float)
    test = partial(_t_test, present[~np.isnan(present)])
    return Effect(*(interval.estimate, interval.low, interval.high, interval.n), unit, scale, test=test)


def effect_of_share(hits: ArrayLike, unit: str) -> Effect:
    """Share of true `hits` (n,) with its exact interval, trials taken as independent.

    Raises MissingEvidenceError without trials.
    """
    hits = np.asarray(hits, dtype=bool)
    if not len(hits):
        raise MissingEvidenceError(f"there are no {unit} to count")
    count = int(hits.sum())
    share = proportion_interval(count, len(hits))
    test = partial(_binomial_test, count, len(hits))
    return Effect(share.estimate, share.low, share.high, len(hits), unit, "share", test=test)


def effect_of_fact(value: float, n: int, unit: str, scale: Scale, detail: str = "") -> Effect:
    """A number in which nothing is left to chance: its interval has no width."""
    return Effect(
        *[float(value)] * 3,
        n,
        unit,
        scale,
        detail=detail,
        test=lambda x: (float(value <= x), float(value >= x)),
    )


def transformed(
    effect: Effect, function: Callable[[float], float], inverse: Callable[[float], float]
) -> Effect:
    """The effect through an increasing function, interval bounds and seeds with it; inverse takes margins back."""
    names = ("estimate", "low", "high")
    values = {name: float(function(getattr(effect, name))) for name in names}
    by_seed = tuple(float(function(value)) for value in effect.by_seed)
    return replace(effect, **values, by_seed=by_seed, test=lambda value: effect.test(inverse(value)))


def _t_test(values: np.ndarray, value: float) -> tuple[float, float]:
    if len(values) < 2:
        return 1.0, 1.0
    error = values.std(ddof=1) / len(values) ** 0.5
    if not error:
        return float(values[0] <= value), float(values[0] >= value)
    t = (values.mean() - value) / error
    return float(stats.t.sf(t, len(values) - 1)), float(stats.t.cdf(t, len(values) - 1))


def _binomial_test(count: int, trials: int, value: float) -> tuple[float, float]:
    share = min(max(value, 0.0), 1.0)
    return float(stats.binom.sf(count - 1, trials, share)), float(stats.binom.cdf(count, trials, share))
