"""Intervals: coverage in simulations, and what happens to missing, single and equal values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan.study.statistics import (
    Interval,
    equivalent,
    hierarchical_difference,
    interquartile_mean,
    mean_interval,
    paired_difference,
    proportion_interval,
    seed_interval,
)


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


def test_missing_values_are_dropped_and_counted():
    complete = mean_interval([1.0, 2.0, 4.0], 0)
    with_gap = mean_interval([1.0, np.nan, 2.0, 4.0], 0)
    assert (with_gap.estimate, with_gap.low, with_gap.high) == (
        complete.estimate,
        complete.low,
        complete.high,
    )
    assert (with_gap.n, with_gap.dropped) == (3, 1)


def test_single_value_has_an_estimate_without_bounds():
    for interval in (mean_interval([2.5], 0), seed_interval([2.5])):
        assert interval.estimate == 2.5
        assert np.isnan([interval.low, interval.high]).all()
        assert not interval.excludes(0)


def test_nothing_but_missing_values_gives_no_estimate():
    interval = mean_interval([np.nan, np.nan], 0)
    assert np.isnan(interval.estimate)
    assert (interval.n, interval.dropped) == (0, 2)


def test_equal_values_give_zero_width():
    interval = mean_interval(np.full(5, 0.3), 0)
    assert interval.estimate == interval.low == interval.high == 0.3


def test_same_seed_gives_the_same_interval(rng):
    values = rng.normal(size=20)
    assert mean_interval(values, 7) == mean_interval(values, 7)
    assert mean_interval(values, 7) != mean_interval(values, 8)


def test_pairing_removes_the_spread_that_both_sides_share(rng):
    utterances = rng.normal(0, 10, size=50)
    interval = paired_difference(utterances + 0.2 + rng.normal(0, 0.1, 50), utterances, 0)
    assert interval.low < 0.2 < interval.high
    assert interval.high - interval.low < 0.1


def test_pair_with_a_gap_on_either_side_is_dropped():
    interval = paired_difference([1.0, np.nan, 3.0, 5.0], [0.0, 1.0, np.nan, 3.0], 0)
    assert (interval.estimate, interval.n, interval.dropped) == (1.5, 2, 2)


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([1.0], [1.0, 2.0], 0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.floats(-3, 3))
def test_difference_shifts_with_the_first_side(values, shift):
    base = paired_difference(values, np.zeros(len(values)), 0)
    moved = paired_difference(np.asarray(values) + shift, np.zeros(len(values)), 0)
    assert moved.estimate == pytest.approx(base.estimate + shift, abs=1e-9)


def frame_of(differences: np.ndarray) -> pd.DataFrame:
    """Two arms whose difference is `differences` (seeds, utterances)."""
    rows = [
        {"arm": arm, "seed": seed, "id": f"u{i}", "pesq": 2 + i / 10 + (value if arm == "new" else 0)}
        for (seed, i), value in np.ndenumerate(differences)
        for arm in ("new", "old")
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_spread_over_seeds_and_over_utterances_is_told_apart(rng):
    by_utterance = frame_of(0.5 + np.tile(rng.normal(0, 0.3, 30), (3, 1)))
    by_seed = frame_of(0.5 + np.tile([[-0.3], [0.0], [0.3]], (1, 30)))
    utterances = hierarchical_difference(by_utterance, "new", "old", "pesq", 0)
    seeds = hierarchical_difference(by_seed, "new", "old", "pesq", 0)
    assert width(utterances.over_utterances) > 0.1 > 1e-6 > width(utterances.over_seeds)
    assert width(seeds.over_seeds) > 1 > 1e-6 > width(seeds.over_utterances)
    assert seeds.by_seed == pytest.approx((0.2, 0.5, 0.8))
    assert (seeds.over_seeds.n, seeds.over_utterances.n) == (3, 30)


def test_utterance_that_failed_for_one_seed_is_left_out_of_all():
    frame = frame_of(np.array([[0.0, 1.0, 9.0], [0.0, 1.0, 9.0]]))
    frame.loc[(frame["id"] == "u2") & (frame["seed"] == 1) & (frame["arm"] == "new"), "pesq"] = np.nan
    difference = hierarchical_difference(frame, "new", "old", "pesq", 0)
    assert difference.over_utterances.estimate == pytest.approx(0.5)
    assert difference.over_seeds.estimate == pytest.approx(0.5)
    assert difference.over_utterances.dropped == difference.over_seeds.dropped == 1


def test_seed_that_only_one_arm_has_is_not_used():
    frame = frame_of(np.ones((2, 4)))
    frame = frame[(frame["arm"] == "new") | (frame["seed"] == 0)]
    difference = hierarchical_difference(frame, "new", "old", "pesq", 0)
    assert difference.seeds == (0,)
    assert difference.over_utterances.n == 4
    assert difference.over_utterances.dropped == 0


def test_arms_without_a_common_seed_give_no_difference():
    frame = frame_of(np.ones((2, 4)))
    frame = frame[(frame["arm"] == "new") == (frame["seed"] == 0)]
    difference = hierarchical_difference(frame, "new", "old", "pesq", 0)
    assert difference.seeds == ()
    assert np.isnan(difference.over_utterances.estimate)


def test_row_that_occurs_twice_is_refused():
    frame = frame_of(np.ones((1, 2)))
    with pytest.raises(ValueError, match="occurs twice"):
        hierarchical_difference(pd.concat([frame, frame]), "new", "old", "pesq", 0)


def test_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="no rows of arm 'other'"):
        hierarchical_difference(frame_of(np.ones((1, 2))), "other", "old", "pesq", 0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.05, 0.08, True), (-0.05, 0.12, False), (-0.2, 0.0, False), (np.nan, np.nan, False)],
)
def test_equivalence_needs_the_whole_interval_within_the_margin(low, high, expected):
    assert equivalent(Interval(0.0, low, high, 10), 0.1) is expected


def test_margin_must_be_positive():
    with pytest.raises(ValueError, match="margin"):
        equivalent(Interval(0.0, 0.0, 0.0, 1), 0.0)


def test_interquartile_mean_ignores_outliers_and_gaps():
    assert interquartile_mean([1.0, 2.0, 3.0, 1000.0, np.nan]) == pytest.approx(2.5)
    assert np.isnan(interquartile_mean([np.nan]))


def width(interval: Interval) -> float:
    return interval.high - interval.low
