"""Active speech: found where it was put, at whatever level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan.signal import SAMPLE_RATE
from cmgan.study.silence.activity import active_frames, active_ms, active_samples, level_dbfs


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


def test_active_duration_is_that_of_the_speech():
    assert active_ms(tone_between(0.5, 0.9, 2.0)) == pytest.approx(400, abs=10)


def test_recording_that_is_mostly_silent_still_has_its_speech():
    assert active_ms(tone_between(1.0, 1.1, 10.0)) == pytest.approx(100, abs=10)


@settings(max_examples=20, deadline=None)
@given(st.floats(-80, 40))
def test_level_of_the_recording_does_not_matter(decibels):
    clean = tone_between(0.2, 0.5, 1.0, background=0.02)
    assert (active_frames(clean) == active_frames(clean * np.float32(10 ** (decibels / 20)))).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50))
def test_shift_by_frames_shifts_the_activity(frames):
    clean = tone_between(0.2, 0.5, 1.0, background=0.001)
    shifted = np.roll(clean, frames * 160)
    assert (active_frames(shifted) == np.roll(active_frames(clean), frames)).all()


def test_digital_silence_is_inactive():
    assert active_ms(np.zeros(16000, dtype=np.float32)) == 0


def test_incomplete_last_frame_counts_with_its_own_samples():
    assert active_samples(np.full(250, 0.1, dtype=np.float32)).sum() == 250


def test_empty_waveform_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        active_frames(np.zeros(0, dtype=np.float32))


def test_level_of_a_full_scale_sine_is_minus_three_decibels():
    assert level_dbfs(np.sin(np.arange(16000) * 2 * np.pi / 16)) == pytest.approx(-3.01, abs=0.01)
    assert level_dbfs(np.zeros(10)) == -np.inf
