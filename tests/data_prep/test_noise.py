"""Pauses, levels, SNRs and noises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.noise import (
    BABBLE_VOICES,
    PEAK_LIMIT,
    TEST_NOISES,
    TRAINING_NOISES,
    Pause,
    join_with_pauses,
    level_db,
    make_noise,
    mix,
    scaled_to,
)

RATE = 16_000


def voices_for(name):
    generator = np.random.default_rng(5)
    return [generator.standard_normal(RATE) for _ in range(BABBLE_VOICES.get(name, 0))]


def power_share(samples, low, high):
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return power[(hertz >= low) & (hertz < high)].sum() / power.sum()


@given(st.lists(st.floats(0, 0.2), min_size=3, max_size=3))
def test_pauses_are_silent_and_the_rest_is_speech(seconds):
    speech, active, pauses = join_with_pauses([np.full(100, 0.5), np.full(50, 0.5)], seconds)
    assert active.sum() == 150
    np.testing.assert_array_equal(speech, np.where(active, 0.5, 0.0))
    assert [pause.stop - pause.start for pause in pauses] == [n for s in seconds if (n := round(s * RATE))]


def test_pauses_say_where_they_are():
    _, _, pauses = join_with_pauses([np.ones(10), np.ones(20)], [0.001, 0.002, 0.003])
    assert pauses == [Pause("leading", 0, 16), Pause("inner", 26, 58), Pause("trailing", 78, 126)]


@given(st.floats(-60, 0), st.integers(0, 2**32))
def test_scaled_signal_has_the_level_asked_for(target, seed):
    samples = np.random.default_rng(seed).standard_normal(500)
    assert level_db(scaled_to(samples, target)) == pytest.approx(target)


@given(st.floats(-10, 40), st.floats(0.001, 3), st.integers(0, 2**32))
def test_mixture_has_the_snr_asked_for_over_active_speech_and_never_clips(snr, scale, seed):
    generator = np.random.default_rng(seed)
    speech, active, _ = join_with_pauses([scale * generator.standard_normal(400)], [0.02, 0.01])
    clean, noisy = mix(speech, generator.standard_normal(len(speech)), active, snr)
    assert level_db(clean[active]) - level_db(noisy - clean) == pytest.approx(snr, abs=1e-6)
    assert max(np.abs(clean).max(), np.abs(noisy).max()) <= PEAK_LIMIT + 1e-12


@pytest.mark.parametrize("name", [*TRAINING_NOISES, *TEST_NOISES])
def test_every_noise_fills_its_length_and_follows_its_generator(name):
    for length in (RATE, 2 * RATE + 1):
        first, again, other = (
            make_noise(name, length, np.random.default_rng(seed), voices_for(name)) for seed in (1, 1, 2)
        )
        assert first.shape == (length,)
        assert np.isfinite(first).all()
        assert first.std() > 0
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_training_and_test_noises_differ():
    assert not set(TRAINING_NOISES) & set(TEST_NOISES)


def test_noises_sound_like_their_names(rng):
    length = 4 * RATE
    share = {
        name: power_share(make_noise(name, length, rng), 0, 1_000) for name in ("white", "pink", "brown")
    }
    assert share["white"] == pytest.approx(1 / 8, abs=0.02)
    assert share["white"] < share["pink"] < share["brown"]
    mains = make_noise("hum", length, rng)
    assert power_share(mains, 45, 1_500) > 0.95
    assert power_share(make_noise("siren", length, rng), 350, 1_400) > 0.5


def test_modulated_noise_swells_and_white_noise_does_not(rng):
    def depth(samples):
        levels = samples.reshape(-1, 800).std(axis=1)
        return levels.std() / levels.mean()

    assert depth(make_noise("modulated", 4 * RATE, rng)) > 3 * depth(make_noise("white", 4 * RATE, rng))


def test_speech_shaped_noise_takes_the_spectrum_of_its_voices(rng):
    tone = np.sin(2 * np.pi * 2_000 * np.arange(RATE) / RATE)
    noise = make_noise("speech_shaped", 4 * RATE, rng, [tone, tone])
    assert power_share(noise, 1_700, 2_300) > 0.8
