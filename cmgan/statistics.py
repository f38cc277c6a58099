"""Means, differences, shares and correlations with intervals; what is missing is left out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

# Fixed before any data was seen: what counts as a difference, and what the debugging effort claimed.
MARGIN_PESQ = 0.1  # a smaller difference of PESQ does not matter
HEALTHY_BAND = (0.05, 0.25)  # where, the debugging effort says, a discriminator loss has to be
CLAIMED_SKIP_SHARE = 0.56  # share of batches that the debugging effort says were skipped
NEARLY_ZERO = 0.001  # below this it took a logged loss for a skipped step
# A training is judged by the mean of its last epochs: one epoch's score scatters with rounding.
ENDPOINT_EPOCHS = 3
ERROR = 0.05  # of a verdict that stands alone, and of all primary predictions together

RESAMPLES = 9999
CLUSTER_RESAMPLES = 1000
FEWEST_PAIRS = 3
# Values closer than this count as equal: the acceleration of BCa would divide rounding errors.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its 95 % confidence interval.

    n: values behind the estimate. Bounds are NaN where the data cannot give them; the estimate is NaN for n = 0.
    """

    estimate: float
    low: float
    high: float
    n: int

    def columns(self, name: str) -> dict[str, float]:
        """As columns of a table: the estimate under a name of its own, low, high."""
        return {name: self.estimate, "low": self.low, "high": self.high}


def mean_interval(values: ArrayLike, seed: int | np.random.Generator) -> Interval:
    """Mean of the values (n,) that are there, with its BCa bootstrap interval.

    A single value has no bounds (NaN). Equal values give zero width, as any bootstrap would: then the interval
    says only that nothing varied. Below about ten values bootstrap intervals are too narrow.
    Source: Efron (1987), bias-corrected and accelerated bootstrap.
    """
    present, boundless = _without_bounds(values)
    if boundless.n < 2:
        return boundless
    if np.ptp(present) <= ROUNDING * max(1.0, np.abs(present).max()):
        value = float(present[0])
        return replace(boundless, estimate=value, low=value, high=value)
    bounds = stats.bootstrap(
        (present,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=1000,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return replace(boundless, low=float(bounds.low), high=float(bounds.high))


def seed_interval(values: ArrayLike) -> Interval:
    """Mean of one value a seed (n,) with Student's t interval.

    Two or three seeds are too few to resample. Their t interval is wide (two seeds: 12.7 standard errors), which
    is what so few seeds can say; it assumes that seeds differ normally. A single seed has no bounds.
    """
    present, boundless = _without_bounds(values)
    if boundless.n < 2:
        return boundless
    error = float(present.std(ddof=1)) / len(present) ** 0.5
    reach = float(stats.t.ppf((1 + 0.95) / 2, len(present) - 1)) * error
    return replace(boundless, low=boundless.estimate - reach, high=boundless.estimate + reach)


def proportion_interval(successes: int, trials: int) -> Interval:
    """Share successes / trials with its exact (Clopper–Pearson) interval.

    Two-sided: with 0 successes the upper bound is 1 − 0.025^(1 / trials). Without trials the share is NaN and the
    bounds are 0 and 1. Trials are taken as independent. Raises ValueError for impossible counts.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a share: use 0 <= successes <= trials")
    if trials == 0:
        return Interval(np.nan, 0.0, 1.0, 0)
    bounds = stats.binomtest(successes, trials).proportion_ci(method="exact")
    return Interval(successes / trials, float(bounds.low), float(bounds.high), trials)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (n,) of tests that together err in at most the share that each is held to.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def t_power(effect: float, margin: float, deviation: float, seeds: int) -> float:
    """How often a 95 % t interval over seeds lies wholly above `margin`, when the truth is `effect`.

    deviation: standard deviation of a difference between seeds; effect, margin and it in one unit. Source: the
    noncentral t distribution.
    """
    shift = (effect - margin) / (deviation / seeds**0.5)
    return float(stats.nct.sf(stats.t.ppf(1 - ERROR / 2, seeds - 1), seeds - 1, shift))


def endpoint_table(validation: pd.DataFrame, column: str) -> pd.DataFrame:
    """One arm's last `ENDPOINT_EPOCHS` of `column`: rows utterance and epochs before its end, columns seeds.

    validation: columns seed, epoch, id and `column`. A shorter training has fewer rows; NaN where a value is missing.
    """
    before_end = validation.groupby("seed")["epoch"].transform("max") - validation["epoch"]
    last = validation.assign(before_end=before_end)[before_end < ENDPOINT_EPOCHS]
    return last.pivot(index=["id", "before_end"], columns="seed", values=column)


def paired_table(frame: pd.DataFrame, first: str, second: str, column: str) -> pd.DataFrame:
    """Difference first − second of `column` for every utterance (rows) and seed that both arms have (columns).

    frame: one row per arm, seed and utterance with columns arm, seed, id and `column`; NaN where a value is
    missing. Raises ValueError for an arm without rows or a row that occurs twice.
    """
    tables = []
    for arm in (first, second):
        rows = frame[frame["arm"] == arm]
        if rows.empty:
            raise ValueError(f"no rows of arm {arm!r}: evaluate it first")
        repeated = rows[rows.duplicated(["seed", "id"])]
        if len(repeated):
            seed, name = repeated.iloc[0][["seed", "id"]]
            raise ValueError(f"arm {arm!r}, seed {seed}: utterance {name!r} occurs twice")
        tables.append(rows.pivot(index="id", columns="seed", values=column))
    return (tables[0] - tables[1])[tables[0].columns.intersection(tables[1].columns)]


def fall_by_utterance(runs: pd.DataFrame) -> pd.DataFrame:
    """How far each utterance's PESQ (columns epoch, seed, id, pesq) fell: an utterance a row and a seed a column.

    From the epoch that is best for the *other* utterances, since a maximum chosen on the same noise falls by itself,
    to the last one. NaN where a needed score is missing.
    """
    falls: dict[int, dict[str, float]] = {}
    for seed, run in runs.groupby("seed"):
        table = run.pivot(index="epoch", columns="id", values="pesq")
        falls[seed] = {}
        for utterance, own in table.items():
            others = table.drop(columns=utterance).mean(axis=1).dropna()
            falls[seed][utterance] = own[others.idxmax()] - own.iloc[-1] if len(others) else np.nan
    return pd.DataFrame(falls)


def batch_share(crop_share: float, batch_size: int) -> float:
    """Share of batches with at least one failure when crops fail independently: 1 − (1 − p)^B."""
    return 1 - (1 - crop_share) ** batch_size


def needed_crop_share(share_of_batches: float, batch_size: int) -> float:
    """The share of crops that must fail for that share of batches to fail; inverse of `batch_share`."""
    return 1 - (1 - share_of_batches) ** (1 / batch_size)


def visible_drop(variance: float, utterances: int) -> float:
    """The drop between two epochs that 95 % of the time is no accident of the crops: 1.96·√2·SE.

    Both epochs are means over the same utterances with one random crop each, so that SE = √(variance / utterances).
    """
    return float(1.96 * np.sqrt(2 * variance / utterances))


def cluster_rank_correlation(
    first: ArrayLike, second: ArrayLike, cluster: ArrayLike, seed: int | np.random.Generator
) -> Interval:
    """Spearman's correlation of pairs (n,), (n,) without missing values, with a 95 % percentile bootstrap interval.

    Whole clusters (n,) are drawn, since values in one of them (labels of a batch) hang together; a resample is a
    set of weights, so that all are ranked at once. NaN for fewer than three pairs or where one side does not vary.
    """
    first, second, cluster = (np.asarray(values) for values in (first, second, cluster))
    if len(first) < FEWEST_PAIRS:
        return Interval(np.nan, np.nan, np.nan, len(first))
    estimate = float(_weighted_correlation(first, second, np.ones((1, len(first))))[0])
    if np.isnan(estimate):
        return Interval(estimate, np.nan, np.nan, len(first))
    names, place = np.unique(cluster, return_inverse=True)
    shares = np.full(len(names), 1 / len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), shares, CLUSTER_RESAMPLES)
    resampled = _weighted_correlation(first, second, draws[:, place].astype(float))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Interval(estimate, float(low), float(high), len(first))


def _without_bounds(values: ArrayLike) -> tuple[np.ndarray, Interval]:
    """The values that are there, and their mean without bounds."""
    values = np.asarray(values, dtype=float)
    present = values[~np.isnan(values)]
    mean = float(present.mean()) if len(present) else np.nan
    return present, Interval(mean, np.nan, np.nan, len(present))


def _weighted_correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlation of midranks when pair i counts weights[r, i] times: (n,), (n,), (R, n) → (R,)."""
    total = weights.sum(axis=1, keepdims=True)
    ranks = [_midranks(values, weights) for values in (first, second)]
    x, y = (rank - (weights * rank).sum(axis=1, keepdims=True) / total for rank in ranks)
    covariance, spread_x, spread_y = ((weights * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    scale = np.sqrt(spread_x * spread_y)
    return np.divide(covariance, scale, out=np.full(len(weights), np.nan), where=scale > 1e-9 * total[:, 0])


def _midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Equal values share the middle of their ranks: (n,), (R, n) → (R, n)."""
    order = np.argsort(values, kind="stable")
    _, first, place = np.unique(values, return_index=True, return_inverse=True)
    starts = np.argsort(order)[first]
    totals = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(totals, axis=1) - totals / 2)[:, place]
