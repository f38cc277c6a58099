"""Labels of the same scores under every policy, and their rank correlation with the scores."""

import numpy as np
import pandas as pd
import pytest

from cmgan.labels import INVENTED_LABEL
from cmgan.study.silence.label_policies import label_effects, label_samples, published_length
from cmgan.study.silence.words import labels_in_words


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 4, 1200)


@pytest.fixture(scope="module")
def effects(scores) -> pd.DataFrame:
    return label_effects(label_samples(scores, [1, 4], [0.0, 0.56, 0.9], seed=0), seed=0)


def row(effects: pd.DataFrame, policy: str, size: int, rate: float) -> pd.Series:
    chosen = (
        (effects["policy"] == policy) & (effects["batch_size"] == size) & (effects["failure_rate"] == rate)
    )
    return effects[chosen].iloc[0]


def test_own_labels_keep_the_order_of_the_scores(effects):
    for policy in ("skip_batch", "mask"):
        assert row(effects, policy, 4, 0.56)["rank_correlation"] == pytest.approx(1)


def test_shared_labels_lose_half_of_the_correlation_in_batches_of_four(effects):
    shared = row(effects, "batch_mean", 4, 0.0)
    assert shared["rank_correlation"] == pytest.approx(0.5, abs=0.06)
    assert shared["rank_correlation_low"] < 0.5 < shared["rank_correlation_high"]
    assert shared["label_std"] == pytest.approx(0, abs=1e-12)
    assert shared["label_std_all"] == pytest.approx(row(effects, "mask", 4, 0.0)["label_std"] / 2, rel=0.1)


def test_batch_mean_of_one_sample_is_its_own_label_and_invented_where_it_failed(effects, scores):
    own = row(effects, "batch_mean", 1, 0.0)
    assert own["rank_correlation"] == pytest.approx(1)
    assert np.isnan(own["label_std"])
    failing = label_samples(scores, [1], [0.56], seed=0)
    failing = failing[(failing["policy"] == "batch_mean") & failing["failed"]]
    assert failing["label"].eq(INVENTED_LABEL).all()
    assert row(effects, "batch_mean", 1, 0.56)["invented_share"] == pytest.approx(len(failing) / 1200)


def test_skipping_loses_the_batch_and_masking_the_sample(effects):
    skipped, masked = (row(effects, policy, 4, 0.56)["unlabelled_share"] for policy in ("skip_batch", "mask"))
    assert skipped == pytest.approx(4 * masked)
    assert skipped == pytest.approx(0.56, abs=0.07)
    filled = row(effects, "fill", 4, 0.56)
    assert filled["invented_share"] == pytest.approx(masked)
    assert filled["unlabelled_share"] == 0


def test_batches_that_fail_at_a_rate_fail_at_higher_ones_too(scores):
    samples = label_samples(scores, [4], [0.1, 0.5], seed=0)
    failed = [samples.loc[samples["failure_rate"] == rate, "failed"].to_numpy() for rate in (0.1, 0.5)]
    assert 0 < failed[0].sum() < failed[1].sum()
    assert failed[1][failed[0]].all()


def test_failures_of_the_survey_count_as_failures():
    samples = label_samples(np.array([np.nan, 2.0, 3.0, 4.0]), [2], [0.0], seed=0)
    assert samples.groupby("policy")["failed"].sum().eq(1).all()
    assert samples.groupby("policy")["label"].count().to_dict() == {
        "batch_mean": 4,
        "fill": 4,
        "mask": 3,
        "skip_batch": 2,
    }


def test_batch_larger_than_the_survey_is_left_out():
    assert label_samples(np.ones(3), [4], [0.0], seed=0).empty


def test_length_nearest_to_two_seconds_is_used():
    crops = pd.DataFrame({"crop_seconds": [0.5, 1.5, 1.5, 3.0], "pesq": [1.0, 2.0, 3.0, 4.0]})
    assert published_length(crops)["pesq"].tolist() == [2.0, 3.0]


def test_words_follow_the_numbers(effects):
    text = labels_in_words(effects)
    assert "In batches of 4" in text
    assert f"skipping leaves {100 * row(effects, 'skip_batch', 4, 0.56)['unlabelled_share']:.0f} %" in text
    few = label_effects(label_samples(np.array([1.0, 2.0]), [1], [0.0], seed=0), seed=0)
    assert "no value" in labels_in_words(few)
