"""Noise of validation PESQ on random crops: what moves when only the crops do."""

import numpy as np
import pandas as pd
import pytest

from cmgan.statistics import visible_drop
from cmgan.study.silence.validation_noise import (
    CLAIMED_COLLAPSE,
    PUBLISHED_VALIDATION,
    crop_variance,
    crop_variance_of_estimates,
    random_crop_scores,
    visible_drops,
)
from cmgan.study.silence.words import estimates_in_words, noise_in_words
from tests.speech_like import speech_pair


def simulated(deviation: float, utterances: int = 200, repeats: int = 12) -> pd.DataFrame:
    """Scores whose crops scatter by `deviation` around each utterance's own level."""
    rng = np.random.default_rng(0)
    level = np.repeat(rng.normal(2, 0.7, utterances), repeats)
    return pd.DataFrame(
        {
            "utterance": np.repeat(np.arange(utterances), repeats),
            "repeat": np.tile(np.arange(repeats), utterances),
            "pesq": level + rng.normal(0, deviation, len(level)),
            "whole_pesq": level,
        }
    )


def test_crops_of_a_long_utterance_differ_and_those_of_a_short_one_do_not():
    scores = random_crop_scores([speech_pair("long", 4, 0), speech_pair("short", 0.8, 1)], 3, seed=0)
    spread = scores.groupby("utterance")["pesq"].std()
    assert spread["long"] > 0
    assert spread["short"] == 0
    assert scores.groupby("utterance")["whole_pesq"].nunique().eq(1).all()


def test_scores_of_an_utterance_do_not_depend_on_the_others():
    both = random_crop_scores([speech_pair("a", 1, 0), speech_pair("b", 1, 1)], 2, seed=3)
    alone = random_crop_scores([speech_pair("a", 1, 0)], 2, seed=3)
    pd.testing.assert_frame_equal(both[both["utterance"] == "a"], alone)


def test_spread_between_utterances_is_no_noise():
    variance = crop_variance(simulated(0.3), seed=0)
    assert variance.low < 0.09 < variance.high
    assert variance.estimate == pytest.approx(0.09, rel=0.1)


def test_a_drop_of_that_size_is_chance_once_in_twenty():
    rng = np.random.default_rng(1)
    epochs = rng.normal(0, 0.3, (2, 4000, 6)).mean(axis=2)
    chance = (np.abs(epochs[0] - epochs[1]) > visible_drop(0.09, 6)).mean()
    assert chance == pytest.approx(0.05, abs=0.012)


def test_published_split_sees_a_collapse_that_six_utterances_hide():
    drops = visible_drops(simulated(0.8), 6, seed=0).set_index("mark")
    assert drops.loc["this run", "low"] > CLAIMED_COLLAPSE
    assert drops.loc["published", "high"] < CLAIMED_COLLAPSE
    assert drops.loc["published", "utterances"] == PUBLISHED_VALIDATION


def test_failed_crops_are_left_out():
    scores = simulated(0.3)
    scores.loc[scores["utterance"] == 0, "pesq"] = np.nan
    assert crop_variance(scores, seed=0).n == 199


def validation(epochs: int, deviation: float, seed: int) -> pd.DataFrame:
    """A training that learns by 0.2 PESQ an epoch while its random crops scatter."""
    rng = np.random.default_rng(seed)
    learned = np.repeat(0.2 * np.arange(epochs), 20)
    crops = learned + rng.normal(0, deviation, len(learned))
    return pd.DataFrame({"id": np.tile(np.arange(20), epochs), "pesq": learned, "pesq_random_crop": crops})


def test_learning_is_no_noise_of_the_crops():
    trainings = [validation(12, 0.3, seed) for seed in range(4)]
    variance = crop_variance_of_estimates(trainings)
    assert variance.estimate == pytest.approx(0.09, rel=0.15)
    assert variance.n == 20
    assert "(4 trainings, 20 utterances)" in estimates_in_words(trainings)
    assert "single epoch" in estimates_in_words([validation(1, 0.3, 0)])


def test_words_follow_the_noise():
    quiet, loud = (noise_in_words(s, visible_drops(s, 6, 0)) for s in (simulated(0.05), simulated(40.0)))
    assert "stands out **with 1 utterance or more**" in quiet
    assert "stands out **with none of these numbers**" in loud
    assert "with 6 (this run's validation)" in quiet
    assert "with 824 (the published test split)" in quiet
