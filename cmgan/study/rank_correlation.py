"""Spearman's rank correlation of values that come in clusters, with a bootstrap interval."""

import numpy as np
from numpy.typing import ArrayLike

from cmgan.study.statistics import Interval

RESAMPLES = 1000
FEWEST_PAIRS = 3


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
    estimate = float(_weighted(first, second, np.ones((1, len(first))))[0])
    _, place = np.unique(cluster, return_inverse=True)
    clusters = place.max() + 1
    draws = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), RESAMPLES)
    resampled = _weighted(first, second, draws[:, place].astype(float))
    resampled = resampled[~np.isnan(resampled)]
    if np.isnan(estimate) or not len(resampled):
        return Interval(estimate, np.nan, np.nan, len(first))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(estimate, float(low), float(high), len(first))


def _weighted(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlation of midranks when pair i counts weights[r, i] times: (R,)."""
    total = weights.sum(axis=1, keepdims=True)
    ranks = [_midranks(values, weights) for values in (first, second)]
    centred = [rank - (weights * rank).sum(axis=1, keepdims=True) / total for rank in ranks]
    covariance, *variances = (
        (weights * a * b).sum(axis=1) for a, b in ((*centred,), (centred[0],) * 2, (centred[1],) * 2)
    )
    scale = np.sqrt(variances[0] * variances[1])
    return np.divide(covariance, scale, out=np.full(len(weights), np.nan), where=scale > 1e-9 * total[:, 0])


def _midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Equal values share the middle of their ranks: (n,), (R, n) → (R, n)."""
    order = np.argsort(values, kind="stable")
    _, first, place = np.unique(values, return_index=True, return_inverse=True)
    starts = np.argsort(order)[first]
    totals = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(totals, axis=1) - totals / 2)[:, place]
