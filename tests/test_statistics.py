"""Intervals: coverage in simulations, and what happens to missing, single and equal values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cmgan.statistics import (
    cluster_rank_correlation,
    endpoint_table,
    holm,
    mean_interval,
    paired_table,
    proportion_interval,
    seed_interval,
)
from cmgan.study.training.tables import spread


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says(rng):
    truth = 1.0
    hits = 0
    for _ in range(300):
        interval = mean_interval(rng.gamma(4.0, truth / 4.0, size=40), rng)
        hits += interval.low <= truth <= interval.high
    assert 0.90 <= hits / 300 <= 0.98


def test_seed_interval_covers_the_mean_with_three_seeds(rng):
    intervals = [seed_interval(rng.normal(2.0, 0.3, size=3)) for _ in range(2000)]
    covered = np.mean([interval.low <= 2.0 <= interval.high for interval in intervals])
    assert 0.935 <= covered <= 0.965


@pytest.mark.parametrize("share", [0.02, 0.56])
def test_exact_interval_covers_the_share_at_least_as_often_as_it_says(rng, share):
    counts, frequencies = np.unique(rng.binomial(60, share, size=4000), return_counts=True)
    intervals = [proportion_interval(int(count), 60) for count in counts]
    covered = np.average(
        [interval.low <= share <= interval.high for interval in intervals], weights=frequencies
    )
    assert covered >= 0.94


def test_no_success_leaves_an_upper_bound():
    interval = proportion_interval(0, 100)
    assert interval.estimate == interval.low == 0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_no_trials_say_nothing():
    interval = proportion_interval(0, 0)
    assert np.isnan(interval.estimate)
    assert (interval.low, interval.high) == (0, 1)


def test_impossible_share_is_refused():
    with pytest.raises(ValueError, match="5 of 3"):
        proportion_interval(5, 3)


def test_missing_values_are_left_out():
    assert mean_interval([1.0, np.nan, 2.0, 4.0], 0) == mean_interval([1.0, 2.0, 4.0], 0)


def test_single_value_has_an_estimate_without_bounds():
    for interval in (mean_interval([2.5], 0), seed_interval([2.5])):
        assert interval.estimate == 2.5
        assert np.isnan([interval.low, interval.high]).all()


def test_nothing_but_missing_values_gives_no_estimate():
    interval = mean_interval([np.nan, np.nan], 0)
    assert np.isnan(interval.estimate)
    assert interval.n == 0


def test_equal_values_give_zero_width():
    interval = mean_interval(np.full(5, 0.3), 0)
    assert interval.estimate == interval.low == interval.high == 0.3


def test_same_seed_gives_the_same_interval(rng):
    values = rng.normal(size=20)
    assert mean_interval(values, 7) == mean_interval(values, 7)
    assert mean_interval(values, 7) != mean_interval(values, 8)


def frame_of(differences: np.ndarray) -> pd.DataFrame:
    """Two arms whose difference is `differences` (seeds, utterances)."""
    rows = [
        {"arm": arm, "seed": seed, "id": f"u{i}", "pesq": 2 + 10 * i + (value if arm == "new" else 0)}
        for (seed, i), value in np.ndenumerate(differences)
        for arm in ("new", "old")
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def mean_difference(frame: pd.DataFrame):
    return spread(paired_table(frame, "new", "old", "pesq"))


def test_pairing_removes_the_spread_that_both_sides_share(rng):
    both = mean_difference(frame_of(0.2 + rng.normal(0, 0.1, (4, 50))))
    assert both.low < 0.2 < both.high
    assert both.high - both.low < 0.2


def test_the_interval_is_of_seeds_however_many_utterances_there_are(rng):
    utterances = mean_difference(frame_of(0.5 + np.tile(rng.normal(0, 0.3, 30), (3, 1))))
    seeds = mean_difference(frame_of(0.5 + np.tile([[-0.3], [0.0], [0.3]], (1, 30))))
    assert utterances.high - utterances.low < 1e-6
    assert seeds.high - seeds.low > 1
    assert (seeds.smallest, seeds.largest) == pytest.approx((0.2, 0.8))
    assert (seeds.seeds, seeds.utterances) == (3, 30)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.01, 0.02, 0.03], [0.03, 0.04, 0.04]),
        ([0.04], [0.04]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_multiplies_the_smallest_by_all_and_never_orders_anew(p_values, adjusted):
    # Worked by hand: of three, the smallest times 3, the next times 2, the last times 1.
    assert holm(p_values) == pytest.approx(adjusted)


def test_endpoints_are_the_last_epochs_of_each_seed_counted_from_its_own_end():
    rows = [(0, epoch, 1.0 + epoch) for epoch in range(1, 6)] + [(1, epoch, epoch) for epoch in range(1, 4)]
    frame = pd.DataFrame(rows, columns=["seed", "epoch", "pesq"]).assign(id="a")
    table = endpoint_table(frame, "pesq")
    assert table.loc[("a", 0)].to_dict() == {0: 6.0, 1: 3.0}
    assert table.loc[("a", 1)].to_dict() == {0: 5.0, 1: 2.0}
    assert table.loc[("a", 2)].to_dict() == {0: 4.0, 1: 1.0}
    assert len(table) == 3


def test_utterance_that_failed_for_one_seed_is_left_out_of_all():
    frame = frame_of(np.array([[0.0, 1.0, 9.0], [0.0, 1.0, 9.0]]))
    frame.loc[(frame["id"] == "u2") & (frame["seed"] == 1) & (frame["arm"] == "new"), "pesq"] = np.nan
    difference = mean_difference(frame)
    assert difference.mean == pytest.approx(0.5)
    assert (difference.utterances, difference.missing) == (2, 1)


def test_seed_that_only_one_arm_has_is_not_used():
    frame = frame_of(np.ones((2, 4)))
    table = paired_table(frame[(frame["arm"] == "new") | (frame["seed"] == 0)], "new", "old", "pesq")
    assert list(table.columns) == [0]
    assert table[0].tolist() == [1.0] * 4


def test_arms_without_a_common_seed_give_no_difference():
    frame = frame_of(np.ones((2, 4)))
    difference = mean_difference(frame[(frame["arm"] == "new") == (frame["seed"] == 0)])
    assert difference.seeds == 0
    assert np.isnan(difference.mean)


def test_row_that_occurs_twice_is_refused():
    frame = frame_of(np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"arm 'new', seed 0: utterance 'u\d' occurs twice"):
        paired_table(pd.concat([frame, frame]), "new", "old", "pesq")


def test_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="no rows of arm 'other'"):
        paired_table(frame_of(np.ones((1, 2))), "other", "old", "pesq")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_spearmans(pairs):
    first, second = np.array(pairs).T
    ours = cluster_rank_correlation(first, second, np.arange(len(first)), 0).estimate
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


def test_interval_holds_the_true_rank_correlation_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = 6 / np.pi * np.arcsin(0.25)
    hits = 0
    for _ in range(100):
        first = rng.normal(size=100)
        second = 0.5 * first + np.sqrt(0.75) * rng.normal(size=100)
        interval = cluster_rank_correlation(first, second, np.arange(100), rng)
        hits += interval.low <= truth <= interval.high
    assert 88 <= hits <= 100


def test_values_that_hang_together_widen_the_interval_of_a_rank_correlation():
    rng = np.random.default_rng(2)
    first = np.repeat(rng.normal(size=30), 4)
    second = np.repeat(rng.normal(size=30), 4)
    clustered = cluster_rank_correlation(first, second, np.repeat(np.arange(30), 4), 0)
    alone = cluster_rank_correlation(first, second, np.arange(120), 0)
    assert width(clustered) > 1.5 * width(alone)


def width(interval) -> float:
    return interval.high - interval.low
