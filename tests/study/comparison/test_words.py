import numpy as np
import pandas as pd
import pytest

from cmgan.study.comparison.words import (
    FELL,
    HELD,
    UNCLEAR,
    differences_in_words,
    falls_in_words,
    falls_over_seeds,
    skips_in_words,
    what_losses_did,
)
from cmgan.study.wording import bounds, number


def falls(by_arm):
    rows = [
        {"arm": arm, "seed": seed, "fall": fall, "peak": 2.0, "final_epoch": 9, "final": 1.5}
        for arm, seeds in by_arm.items()
        for seed, fall in enumerate(seeds)
    ]
    return pd.DataFrame(rows)


def differences(low, high, smallest=None, largest=None, arm="recommended"):
    mean = (low + high) / 2
    row = {"arm": arm, "baseline": "published", "metric": "pesq", "utterances": 20, "seeds": 2}
    row |= {"difference": mean, "low": low, "high": high}
    ends = {
        "smallest": mean if smallest is None else smallest,
        "largest": mean if largest is None else largest,
    }
    return pd.DataFrame([row | ends])


@pytest.mark.parametrize(
    ("seeds", "verdict"),
    [
        ((0.40, 0.42, 0.41), FELL),
        ((0.40, 0.90, 0.05), UNCLEAR),
        ((0.0, 0.01, -0.01), HELD),
        ((0.0, 0.2, 0.0), UNCLEAR),
        ((0.4,), UNCLEAR),
    ],
)
def test_an_arm_falls_or_holds_by_the_interval_over_its_seeds(seeds, verdict):
    assert falls_over_seeds(falls({"published": seeds})).at["published", "verdict"] == verdict


def test_a_single_epoch_cannot_show_that_an_arm_holds():
    table = falls({"published": [0.0, 0.0]}).assign(final_epoch=1)
    assert falls_over_seeds(table).at["published", "verdict"] == UNCLEAR


def test_only_verdicts_that_some_arm_has_get_a_sentence():
    table = falls({"published": [0.39, 0.41], "recommended": [0.0, 0.0]})
    fell, held = falls_in_words(table)
    assert "`published`" in fell
    assert "0.40 [0.27, 0.53]" in fell
    assert "`recommended`" not in fell
    assert "did not fall" in held


def test_losses_are_not_mentioned_when_nothing_fell():
    assert what_losses_did(falls({"published": [0.0, 0.0]}), pd.DataFrame()) == []


@pytest.mark.parametrize(
    ("row", "wording"),
    [
        (differences(0.2, 0.4), "is higher than"),
        (differences(-0.4, -0.2), "is lower than"),
        (differences(-0.1, 0.4), "is not clearly apart from"),
        (differences(-0.05, 0.05), "is within 0.1 of"),
        (differences(np.nan, np.nan), "too few seeds"),
    ],
)
def test_differences_are_worded_by_their_intervals_and_seeds(row, wording):
    (sentence,) = differences_in_words(row)
    assert wording in sentence


def test_arms_with_the_same_relation_share_a_sentence():
    (sentence,) = differences_in_words(
        pd.concat([differences(0.2, 0.4), differences(0.3, 0.5, arm="normalised_target")])
    )
    assert "`recommended` (+0.30" in sentence
    assert "`normalised_target` (+0.40" in sentence


def test_many_arms_are_named_with_the_range_of_their_numbers_only():
    tables = [differences(0.1 * i + 0.1, 0.1 * i + 0.3, arm=f"skip_{i}") for i in range(9)]
    (sentence,) = differences_in_words(pd.concat(tables))
    assert all(f"`skip_{i}`" in sentence for i in range(9))
    assert "(+0.20 to +1.00;" in sentence
    assert "[" not in sentence


def test_a_run_without_skipping_arms_says_so():
    assert "No arm" in skips_in_words(pd.DataFrame({"arm": ["recommended"], "labels": ["mask"]}))


def test_numbers_have_a_true_minus_and_no_negative_zero():
    assert number(-0.001) == "0.00"
    assert number(-0.5, "+.2f") == "−0.50"
    assert bounds(np.nan, np.nan) == "[no interval]"
