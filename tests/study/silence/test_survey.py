"""Where PESQ fails: crops, batches, doses of speech and levels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cmgan.dataset import UtterancePair
from cmgan.signal import SAMPLE_RATE
from cmgan.statistics import batch_share, needed_crop_share
from cmgan.study.silence.survey import (
    active_samples,
    batch_failures,
    dose_response,
    failure_shares,
    level_changes,
    random_crops,
    scored_crops,
    window_of_speech,
)


def speech_like(name: str, seconds: float, speech_from: float, seed: int) -> UtterancePair:
    """Coloured noise with syllables of 4 Hz from `speech_from` on, silence before; noisy at about 15 dB."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0.05, None) * (time >= speech_from)
    carrier = np.convolve(rng.normal(size=len(time)), np.ones(8) / 8, mode="same")
    clean = (0.2 * syllables * carrier).astype(np.float32)
    return UtterancePair(name, clean, clean + rng.normal(0, 0.005, len(time)).astype(np.float32))


def active_ms(clean: np.ndarray) -> float:
    return active_samples(clean).sum() / 16


def tone_between(start: float, stop: float, seconds: float, background: float = 0.0) -> np.ndarray:
    """A tone from start to stop (s) in a recording of `seconds`, with a background of that RMS."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * 300 * time) * ((time >= start) & (time < stop))
    return (tone + np.random.default_rng(0).normal(0, background, len(time))).astype(np.float32)


def test_speech_is_found_where_it_is():
    active = active_samples(tone_between(0.5, 0.9, 2.0, background=0.003))
    assert active[8000:14400].all()
    assert not active[:8000].any()
    assert not active[14400:].any()


def test_active_duration_is_that_of_the_speech_however_little():
    assert active_ms(tone_between(0.5, 0.9, 2.0)) == pytest.approx(400, abs=10)
    assert active_ms(tone_between(1.0, 1.1, 10.0)) == pytest.approx(100, abs=10)


@settings(max_examples=20, deadline=None)
@given(st.floats(-80, 40))
def test_level_of_the_recording_does_not_matter(decibels):
    clean = tone_between(0.2, 0.5, 1.0, background=0.02)
    assert (active_samples(clean) == active_samples(clean * np.float32(10 ** (decibels / 20)))).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50))
def test_shift_by_frames_shifts_the_activity(frames):
    clean = tone_between(0.2, 0.5, 1.0, background=0.001)
    shifted = np.roll(clean, frames * 160)
    assert (active_samples(shifted) == np.roll(active_samples(clean), frames * 160)).all()


def test_digital_silence_is_inactive():
    assert active_ms(np.zeros(16000, dtype=np.float32)) == 0


def test_incomplete_last_frame_counts_with_its_own_samples():
    assert active_samples(np.full(250, 0.1, dtype=np.float32)).sum() == 250


@pytest.fixture(scope="module")
def pairs() -> list[UtterancePair]:
    return [speech_like("a", 3.0, 0.0, 1), speech_like("b", 2.5, 0.3, 2)]


def test_crops_of_speech_are_scored_and_crops_of_silence_are_not():
    survey = scored_crops([speech_like("half", 4.0, 2.0, 3)], [0.5], 40, seed=0)
    assert survey.loc[survey["active_ms"] == 0, "pesq_reason"].eq("silent_reference").all()
    assert survey.loc[survey["active_ms"] > 200, "pesq"].notna().all()
    assert (survey["pesq"].isna() == (survey["pesq_reason"] != "")).all()
    assert 0 < survey["pesq"].isna().mean() < 1


def test_survey_is_the_same_for_the_same_seed(pairs):
    first, again, other = (scored_crops(pairs, [0.5], 6, seed) for seed in (4, 4, 5))
    pd.testing.assert_frame_equal(first, again)
    assert not first["active_ms"].equals(other["active_ms"])


def test_one_length_does_not_depend_on_the_number_of_crops_of_another(pairs):
    both = scored_crops(pairs, [0.5, 0.6], 3, seed=0)
    more = scored_crops(pairs, [0.5, 0.6], 5, seed=0)
    first_three = more.groupby("crop_seconds").head(3).reset_index(drop=True)
    pd.testing.assert_frame_equal(both, first_three)


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_length_that_pesq_cannot_take_is_refused(pairs, seconds):
    with pytest.raises(ValueError, match="crop_seconds"):
        scored_crops(pairs, [seconds], 1, seed=0)


def survey_with(failures: int, crops: int) -> pd.DataFrame:
    scores = np.where(np.arange(crops) < failures, np.nan, 2.0)
    reasons = np.where(np.isnan(scores), "no_utterances", "")
    return pd.DataFrame({"crop_seconds": 1.0, "pesq": scores, "pesq_reason": reasons})


def test_observed_batches_agree_with_independent_crops():
    batches = batch_failures(survey_with(400, 4000), [1, 4, 16], seed=0)
    assert batches["predicted"].iloc[0] == pytest.approx(batches["share"].iloc[0])
    assert ((batches["low"] <= batches["predicted"]) & (batches["predicted"] <= batches["high"])).all()
    assert batches["batches"].tolist() == [4000, 1000, 250]


def test_survey_without_failures_still_bounds_the_batches():
    row = batch_failures(survey_with(0, 150), [4], seed=0).iloc[0]
    assert row["share"] == row["predicted"] == 0
    assert row["predicted_high"] == pytest.approx(batch_share(1 - 0.025 ** (1 / 150), 4))


def test_batch_larger_than_the_survey_is_left_out():
    assert batch_failures(survey_with(1, 10), [4, 16], seed=0)["batch_size"].tolist() == [4]


@given(st.floats(0.0, 0.99), st.integers(1, 32))
def test_needed_crop_share_undoes_batch_share(share, size):
    assert batch_share(needed_crop_share(share, size), size) == pytest.approx(share, abs=1e-9)


def test_failures_are_counted_by_reason():
    frame = pd.DataFrame(
        {
            "side": ["both"] * 4 + ["estimate"],
            "dose_ms": [50] * 5,
            "pesq": [np.nan, np.nan, np.nan, 2.0, 1.0],
            "pesq_reason": ["no_utterances", "silent_reference", "no_utterances", "", ""],
        }
    )
    shares = failure_shares(frame, ["side", "dose_ms"]).set_index("side")
    assert shares.loc["both", "reasons"] == "no_utterances:2;silent_reference:1"
    assert (shares.loc["both", "failed"], shares.loc["both", "n"], shares.loc["both", "share"]) == (
        3,
        4,
        0.75,
    )
    assert shares.loc["estimate", "reasons"] == ""


def test_little_speech_fails_in_the_reference_but_not_in_the_estimate(pairs):
    shares = failure_shares(dose_response(pairs, [0, 50, 500], 8, seed=0), ["side", "dose_ms"])
    table = shares.pivot(index="dose_ms", columns="side", values="share")
    assert table.loc[0].eq(1).all()
    assert table.loc[50, "reference"] == table.loc[50, "both"] > 0
    assert table.loc[50, "estimate"] == 0
    assert table.loc[500].eq(0).all()


def test_speech_asked_for_and_not_there_is_refused(pairs):
    with pytest.raises(ValueError, match="lower doses_ms"):
        dose_response([speech_like("quiet", 3.0, 2.7, 0)], [1000], 1, seed=0)
    with pytest.raises(ValueError, match="use 0 to 2000 ms"):
        dose_response(pairs, [3000], 1, seed=0)


def test_level_hardly_moves_the_score(pairs):
    changes = level_changes(pairs, [0.05, 20.0], 2, seed=0)
    assert len(changes) == 2 * 2 * 3
    assert changes["change"].abs().max() < 1e-3


def test_crop_comes_from_one_place_of_all_three_signals(rng):
    pair = speech_like("a", 3.0, 1.0, 0)
    drawn, _ = next(random_crops([pair], 0.5, rng))
    start = np.flatnonzero(
        np.lib.stride_tricks.sliding_window_view(pair.noisy, 8000)[:, 0] == drawn.noisy[0]
    )[0]
    np.testing.assert_array_equal(drawn.clean, pair.clean[start : start + 8000])
    np.testing.assert_array_equal(drawn.noisy, pair.noisy[start : start + 8000])


def test_utterance_shorter_than_the_crop_repeats(rng):
    drawn, active = next(random_crops([speech_like("short", 0.3, 0.0, 0)], 1.0, rng))
    np.testing.assert_array_equal(drawn.noisy[:4800], drawn.noisy[4800:9600])
    assert len(active) == 16000


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 40), st.integers(0, 99))
def test_window_holds_the_dose_of_speech(frames, dose_frames, seed):
    active = np.repeat(frames, 160)
    assume(dose_frames <= sum(frames))
    window = window_of_speech(active, dose_frames * 10, np.random.default_rng(seed))
    assert (window & active).sum() == dose_frames * 160
    assert np.abs(np.diff(window.astype(int), prepend=0, append=0)).sum() == (2 if dose_frames else 0)


def test_published_recordings_do_not_fail_at_the_length_of_training(real_pairs):
    assert scored_crops([*real_pairs.values()], [2.0], 25, seed=0)["pesq"].notna().all()
