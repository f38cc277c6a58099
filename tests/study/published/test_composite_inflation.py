"""The public evaluation's slope scale against the original's."""

import numpy as np
import pandas as pd
import pytest

from cmgan.dataset import UtterancePair
from cmgan.metrics.speech import speech_metrics
from cmgan.study.published.composite_inflation import (
    RATINGS,
    composite_inflation,
    inflation_in_words,
    mean_inflation,
)
from tests.speech_like import speech_pair


@pytest.fixture(scope="module")
def pairs() -> list[UtterancePair]:
    return [speech_pair(f"u{number}", 1.0, number, 0.1, 3e-3) for number in range(3)]


@pytest.fixture(scope="module")
def inflation(pairs) -> pd.DataFrame:
    return composite_inflation(pairs)


def test_ratings_are_those_of_the_metrics_at_either_scale(pairs, inflation):
    for scale, column in (("int16", "int16_scale"), ("float", "float_scale")):
        expected = speech_metrics(pairs[1].clean, pairs[1].noisy, wss_scale=scale)
        rows = inflation[inflation["id"] == "u1"].set_index("metric")[column]
        for metric in RATINGS:
            assert rows[metric] == pytest.approx(expected[metric], abs=1e-6)


def test_slopes_below_the_floor_lower_wss_and_raise_ratings(inflation):
    changes = inflation.set_index(["id", "metric"])["inflation"].unstack()
    assert (changes["wss"] < 0).all()
    assert (changes[list(RATINGS)] > 0).all().all()
    np.testing.assert_allclose(changes["cbak"], -0.007 * changes["wss"], atol=1e-9)


def table(changes: list[float]) -> pd.DataFrame:
    rows = [
        {"id": number, "metric": metric, "int16_scale": 3.0, "float_scale": 3.0 + change, "inflation": change}
        for number, change in enumerate(changes)
        for metric in (*RATINGS, "wss")
    ]
    return pd.DataFrame(rows)


def test_mean_is_over_the_utterances_that_have_a_rating():
    row = mean_inflation(table([0.1, 0.3, np.nan])).set_index("metric").loc["csig"]
    assert row["inflation"] == pytest.approx(0.2)
    assert row["utterances"] == 2


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([0.2, 0.25, 0.3, 0.2, 0.21], "certainly more than 0.1 for CSIG, CBAK, COVL"),
        ([0.01, 0.04, 0.02, 0.0, 0.03], "certainly less than 0.1 for CSIG, CBAK, COVL"),
        ([0.01, 0.4, 0.02, 0.0], "neither certainly more nor less than 0.1"),
    ],
)
def test_words_say_where_it_is_certain(changes, verdict):
    assert verdict in inflation_in_words(table(changes))


def test_published_ratings_of_the_real_clips_are_met(shared_folder, real_pairs):
    published = pd.read_csv(shared_folder / "parity" / "composite_metrics.csv")
    published = published[published["signal"] == "noisy"].set_index("track").iloc[:4]
    ours = composite_inflation([real_pairs[name] for name in published.index])
    ours = ours.set_index(["id", "metric"]).unstack()
    for metric in RATINGS:
        np.testing.assert_allclose(ours["int16_scale", metric], published[metric], atol=2e-3)
        np.testing.assert_allclose(ours["float_scale", metric], published[f"{metric}_float_scale"], atol=2e-3)
