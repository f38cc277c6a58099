"""Sentences of notebook 02: they follow the numbers, whichever way these turn out."""

import numpy as np
import pandas as pd

from cmgan.study.silence.survey import batch_failures, failure_shares
from cmgan.study.silence.words import (
    activity_in_words,
    batches_in_words,
    crops_in_words,
    doses_in_words,
    levels_in_words,
)


def crops_with(failures: int, crops: int = 100, seconds: float = 2.0) -> pd.DataFrame:
    scores = np.where(np.arange(crops) < failures, np.nan, 2.0)
    return pd.DataFrame(
        {"crop_seconds": seconds, "active_ms": 100.0, "pesq": scores, "pesq_reason": "no_utterances"}
    )


def test_failures_are_told_for_every_length():
    frame = pd.concat([crops_with(3, seconds=1.0), crops_with(0)])
    text = crops_in_words(failure_shares(frame, ["crop_seconds"]))
    assert "3 of 100 crops of 1 s" in text
    assert "0 of 100 crops of 2 s" in text


def test_claimed_share_is_excluded_by_rare_failures_and_not_by_frequent_ones():
    rare = batches_in_words(batch_failures(crops_with(0), [1, 4], 0))
    frequent = batches_in_words(batch_failures(crops_with(40), [4, 8], 0))
    assert "batches of 4, 19 % of the crops" in rare
    assert "**for batches of 1, 4**" in rare
    assert "**for no batch size**" in frequent


def responses(failing: dict[str, tuple[int, ...]]) -> pd.DataFrame:
    """Three crops whose PESQ fails at the doses listed for each side."""
    rows = [
        {
            "crop": crop,
            "side": side,
            "dose_ms": dose,
            "pesq_reason": "x",
            "pesq": np.nan if dose in doses else 2,
        }
        for crop in range(3)
        for side, doses in failing.items()
        for dose in (0, 50, 200)
    ]
    return pd.DataFrame(rows)


def test_threshold_of_speech_lies_between_the_doses():
    frame = responses({"reference": (0, 50), "both": (0, 50), "estimate": (0,)})
    text = doses_in_words(failure_shares(frame, ["side", "dose_ms"]), frame)
    assert "Some crops fail with up to 50 ms of speech left in the reference, none with 200 ms." in text
    assert "the estimate alone fails 0 times" in text
    assert "in 6 of 6 cases" in text


def test_failures_of_the_estimate_are_told_too():
    frame = responses({"reference": (), "both": (50,), "estimate": (0, 50)})
    text = doses_in_words(failure_shares(frame, ["side", "dose_ms"]), frame)
    assert "No crop fails" in text
    assert "the estimate alone fails 3 times" in text
    assert "in 3 of 6 cases" in text


def test_scores_without_speech_are_counted():
    text = activity_in_words(crops_with(2, crops=5))
    assert (
        "5 of 5 crops hold less than 200 ms of active speech; 3 of these still get a score. 2 of the 2 failures"
        in text
    )


def test_change_by_level_is_compared_with_the_margin():
    changes = pd.DataFrame({"pesq": [2.0, 3.0], "pesq_scaled": [2.0, np.nan], "change": [0.0002, np.nan]})
    assert "is 0.0002, below the margin" in levels_in_words(changes)
    assert "made 1 scores fail" in levels_in_words(changes)
    assert "not below" in levels_in_words(changes.assign(change=0.3))
