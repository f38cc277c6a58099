"""Means, differences and shares with intervals; what was missing is dropped and counted, never replaced."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 9999
RESAMPLES_BEYOND = 25  # at least this many have to lie beyond each bound to place it
ROUNDING = (
    1e-12  # values closer than this count as equal: the acceleration of BCa would divide rounding errors
)


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval.

    n: values behind the estimate; dropped: values (or pairs) left out because something was missing.
    Bounds are NaN where the data cannot give them; the estimate is NaN for n = 0.
    """

    estimate: float
    low: float
    high: float
    n: int
    dropped: int = 0

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside the interval; False for an interval without bounds."""
        return self.low > value or self.high < value


@dataclass(frozen=True)
class HierarchicalDifference:
    """A difference between two arms, with the spread over utterances and that over seeds stated separately.

    over_utterances: for these trained networks, another draw of utterances (n utterances).
    over_seeds: for these utterances, another draw of seeds (n seeds).
    by_seed: mean difference of each seed in the order of `seeds`; its range is what was really seen.
    Both intervals have the same estimate; dropped counts utterances.
    """

    over_utterances: Interval
    over_seeds: Interval
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...]


def mean_interval(values: ArrayLike, seed: int | np.random.Generator, level: float = 0.95) -> Interval:
    """Mean of the values (n,) that are there, with its BCa bootstrap interval.

    A single value has no bounds (NaN). Equal values give zero width, as any bootstrap would: then the interval
    says only that nothing varied. Below about ten values bootstrap intervals are too narrow.
    Source: Efron (1987), bias-corrected and accelerated bootstrap.
    """
    values = _vector(values)
    present = values[~np.isnan(values)]
    dropped = len(values) - len(present)
    if len(present) < 2:
        return Interval(_mean(present), np.nan, np.nan, len(present), dropped)
    if np.ptp(present) <= ROUNDING * max(1.0, np.abs(present).max()):
        return Interval(float(present[0]), float(present[0]), float(present[0]), len(present), dropped)
    bounds = stats.bootstrap(
        (present,),
        np.mean,
        confidence_level=level,
        n_resamples=max(RESAMPLES, round(2 * RESAMPLES_BEYOND / (1 - level))),
        batch=1000,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(_mean(present), float(bounds.low), float(bounds.high), len(present), dropped)


def paired_difference(
    first: ArrayLike, second: ArrayLike, seed: int | np.random.Generator, level: float = 0.95
) -> Interval:
    """Mean of first − second over pairs (n,), (n,) in the same order, with its BCa bootstrap interval.

    A pair with a missing value (NaN) is dropped. Raises ValueError for different lengths.
    """
    first, second = _vector(first), _vector(second)
    if len(first) != len(second):
        raise ValueError(
            f"{len(first)} values cannot be paired with {len(second)}: give one pair an utterance"
        )
    return mean_interval(first - second, seed, level)


def seed_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of one value a seed (n,) with Student's t interval.

    Two or three seeds are too few to resample. Their t interval is wide (two seeds: 12.7 standard errors), which
    is what so few seeds can say; it assumes that seeds differ normally. A single seed has no bounds.
    """
    values = _vector(values)
    present = values[~np.isnan(values)]
    dropped = len(values) - len(present)
    if len(present) < 2:
        return Interval(_mean(present), np.nan, np.nan, len(present), dropped)
    error = float(present.std(ddof=1)) / len(present) ** 0.5
    reach = float(stats.t.ppf((1 + level) / 2, len(present) - 1)) * error
    mean = _mean(present)
    return Interval(mean, mean - reach, mean + reach, len(present), dropped)


def cautious_interval(values: ArrayLike, seed: int | np.random.Generator, level: float) -> Interval:
    """Mean of the values (n,) that are there, with the wider of the BCa and the Student t bounds on either side.

    For levels near 1, where a bootstrap of few values reaches no further than the values do.
    """
    bootstrapped, normal = mean_interval(values, seed, level), seed_interval(values, level)
    return replace(
        bootstrapped, low=min(bootstrapped.low, normal.low), high=max(bootstrapped.high, normal.high)
    )


def paired_table(frame: pd.DataFrame, first: str, second: str, column: str) -> pd.DataFrame:
    """Difference first − second of `column` for every utterance (rows) and seed that both arms have (columns).

    frame: one row per arm, seed and utterance with columns arm, seed, id and `column`; NaN where a value is
    missing. Raises ValueError for an arm without rows or a row that occurs twice.
    """
    tables = [_by_utterance_and_seed(frame, arm, column) for arm in (first, second)]
    return (tables[0] - tables[1])[tables[0].columns.intersection(tables[1].columns)]


def hierarchical_difference(
    frame: pd.DataFrame,
    first: str,
    second: str,
    column: str,
    seed: int | np.random.Generator,
    level: float = 0.95,
) -> HierarchicalDifference:
    """Difference first − second of `column` between two arms trained with the same seeds on the same data.

    frame: one row per arm, seed and utterance with columns arm, seed, id and `column`. Used are the seeds that
    both arms have and the utterances with a value for every one of them, so that all means are of the same
    utterances. Raises ValueError for an arm without rows or a row that occurs twice.
    """
    differences = paired_table(frame, first, second, column)
    complete = differences.dropna()
    dropped = len(differences) - len(complete)
    means = complete.mean(axis=0)
    return HierarchicalDifference(
        replace(mean_interval(complete.mean(axis=1), seed, level), dropped=dropped),
        replace(seed_interval(means, level), dropped=dropped),
        tuple(int(value) for value in differences.columns),
        tuple(float(value) for value in means),
    )


def proportion_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Share successes / trials with its exact (Clopper–Pearson) interval.

    Two-sided: with 0 successes the upper bound is 1 − ((1 − level) / 2)^(1 / trials). Without trials the share is
    NaN and the bounds are 0 and 1. Trials are taken as independent. Raises ValueError for impossible counts.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a share: use 0 <= successes <= trials")
    if trials == 0:
        return Interval(np.nan, 0.0, 1.0, 0)
    bounds = stats.binomtest(successes, trials).proportion_ci(confidence_level=level, method="exact")
    return Interval(successes / trials, float(bounds.low), float(bounds.high), trials)


def equivalent(interval: Interval, margin: float) -> bool:
    """Whether the whole interval of a difference lies within ±margin; False where bounds are missing.

    With a 95 % interval this is stricter than two one-sided tests at 5 %. Raises ValueError for a margin ≤ 0.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}: use a positive difference that would not matter")
    return bool(interval.low > -margin and interval.high < margin)


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half of the values (n,) that are there: a quarter is cut from either end.

    NaN without values. Source: Agarwal et al. (2021), the IQM as aggregate over few runs.
    """
    values = _vector(values)
    present = values[~np.isnan(values)]
    return float(stats.trim_mean(present, 0.25)) if len(present) else np.nan


def _by_utterance_and_seed(frame: pd.DataFrame, arm: str, column: str) -> pd.DataFrame:
    rows = frame[frame["arm"] == arm]
    if rows.empty:
        raise ValueError(f"no rows of arm {arm!r}: evaluate it first")
    if rows.duplicated(["seed", "id"]).any():
        twice = rows[rows.duplicated(["seed", "id"])].iloc[0]
        raise ValueError(f"arm {arm!r}, seed {twice['seed']}: utterance {twice['id']!r} occurs twice")
    return rows.pivot(index="id", columns="seed", values=column)


def _vector(values: ArrayLike | Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1:
        raise ValueError(f"values have the shape {array.shape}: give one dimension")
    return array


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
