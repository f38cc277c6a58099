"""Each vectorised metric against literal loops, library code and the properties of its definition."""

import numpy as np
import pystoi
import pytest
import soundfile
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_toeplitz

from cmgan.metrics.composite import (
    autocorrelation,
    log_likelihood_ratio,
    power_spectrum,
    prediction_polynomial,
    spectral_distances,
    windowed_blocks,
)
from cmgan.metrics.intelligibility import stoi, stoi_at_10_khz
from cmgan.metrics.snr import projection_gain, segmental_snr, si_sdr
from tests.oracles.metrics import loop_llr, loop_segmental_snr, loop_si_sdr, loop_stoi, loop_wss
from tests.speech_like import noisy_copy, speech_like

seeds = st.integers(0, 10_000)
examples = settings(max_examples=5, deadline=None)


def _pair(seed: int, seconds: float = 0.8, level: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clean = speech_like(rng, seconds)
    return clean, noisy_copy(rng, clean, level)


@examples
@given(seed=seeds, level=st.floats(1e-4, 1))
def test_segmental_snr_equals_the_loop(seed, level):
    assert segmental_snr(*_pair(seed, level=level)) == pytest.approx(
        loop_segmental_snr(*_pair(seed, level=level)), abs=1e-9
    )


@examples
@given(seed=seeds, level=st.floats(1e-4, 1))
def test_log_likelihood_ratio_equals_the_loop(seed, level):
    pair = _pair(seed, level=level)
    assert spectral_distances(*pair).llr == pytest.approx(loop_llr(*pair), abs=1e-6)


@examples
@given(seed=seeds, level=st.floats(1e-4, 1), scale=st.sampled_from(["int16", "float"]))
def test_weighted_spectral_slope_equals_the_loop(seed, level, scale):
    pair = _pair(seed, level=level)
    expected = loop_wss(*pair, scale=1 if scale == "int16" else 1 / 32_768)
    assert spectral_distances(*pair, wss_scale=scale).wss == pytest.approx(expected, abs=1e-6)


@examples
@given(seed=seeds, level=st.floats(1e-4, 1))
def test_stoi_equals_the_loop(seed, level):
    pair = _pair(seed, level=level)
    assert stoi(*pair) == pytest.approx(loop_stoi(*pair), abs=1e-9)


def test_si_sdr_equals_the_sum_over_samples():
    pair = _pair(0)
    assert si_sdr(*pair) == pytest.approx(loop_si_sdr(*pair), abs=1e-9)


def test_the_metrics_of_a_recording_longer_than_one_block_equal_the_loops():
    pair = _pair(5, seconds=4.5)
    distances = spectral_distances(*pair)
    assert distances.llr == pytest.approx(loop_llr(*pair), abs=1e-6)
    assert distances.wss == pytest.approx(loop_wss(*pair), abs=1e-6)
    assert stoi(*pair) == pytest.approx(loop_stoi(*pair), abs=1e-9)


@examples
@given(seed=seeds)
def test_stoi_without_silence_equals_the_pystoi_package_at_its_rate(seed):
    rng = np.random.default_rng(seed)
    clean = rng.standard_normal(9_000) * (1.2 + np.sin(np.arange(9_000) / 700))
    noisy = clean + rng.standard_normal(9_000)
    expected = pystoi.stoi(clean, noisy, 10_000)
    assert stoi_at_10_khz(np.stack([clean, noisy])) == pytest.approx(expected, abs=1e-9)


def test_stoi_of_real_speech_is_close_to_the_pystoi_package(shared_folder):
    sample = shared_folder / "voicebank_demand_sample"
    clean, _ = soundfile.read(sample / "clean" / "p257_011.wav")
    noisy, _ = soundfile.read(sample / "noisy" / "p257_011.wav")
    assert stoi(clean, noisy) == pytest.approx(pystoi.stoi(clean, noisy, 16_000), abs=1e-4)


@examples
@given(seed=seeds)
def test_prediction_polynomials_solve_the_normal_equations(seed):
    signal = _pair(seed, level=0.1)[1]
    correlation = autocorrelation(power_spectrum(next(windowed_blocks(signal))))
    polynomial = prediction_polynomial(correlation)
    for frame in range(0, correlation.shape[1], 17):
        expected = -solve_toeplitz(correlation[:-1, frame], correlation[1:, frame])
        np.testing.assert_allclose(polynomial[1:, frame], expected, rtol=1e-6, atol=1e-8)


@examples
@given(seed=seeds, gain=st.floats(1e-3, 1e3))
def test_the_log_likelihood_ratio_is_blind_to_level_and_never_negative(seed, gain):
    clean, noisy = (power_spectrum(next(windowed_blocks(signal))) for signal in _pair(seed))
    ratio = log_likelihood_ratio(clean, noisy)
    assert (ratio >= 0).all()
    np.testing.assert_allclose(log_likelihood_ratio(clean, gain * noisy), ratio, atol=1e-7)
    np.testing.assert_allclose(log_likelihood_ratio(clean, clean), 0, atol=1e-12)


def test_frames_without_energy_have_a_flat_prediction_and_no_ratio_to_a_silent_reference():
    speech = power_spectrum(next(windowed_blocks(_pair(0)[0])))
    silence = np.zeros_like(speech)
    flat = prediction_polynomial(autocorrelation(silence))
    np.testing.assert_array_equal(flat[0], 1)
    assert not flat[1:].any()
    assert np.isnan(log_likelihood_ratio(silence, speech)).all()
    assert np.isfinite(log_likelihood_ratio(speech, silence)).all()


def test_digital_silence_in_the_reference_leaves_the_distances_finite():
    clean, noisy = _pair(0)
    clean[3_000:7_000] = 0
    distances = spectral_distances(clean, noisy)
    assert np.isfinite([distances.llr, distances.wss]).all()


@examples
@given(seed=seeds, gain=st.floats(1e-3, 1e3))
def test_si_sdr_is_blind_to_the_level_of_the_estimate(seed, gain):
    clean, noisy = _pair(seed)
    assert si_sdr(clean, gain * noisy) == pytest.approx(si_sdr(clean, noisy), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, gain=st.floats(-4, 4), distortion=st.floats(0.01, 2))
def test_si_sdr_and_gain_recover_how_an_estimate_was_made(seed, gain, distortion):
    assume(abs(gain) > 0.01)
    rng = np.random.default_rng(seed)
    clean, other = rng.standard_normal((2, 2_000))
    other -= (other @ clean) / (clean @ clean) * clean
    estimate = gain * clean + distortion * other
    expected = 10 * np.log10(gain**2 * (clean @ clean) / (distortion**2 * (other @ other)))
    assert projection_gain(clean, estimate) == pytest.approx(gain, abs=1e-9)
    assert si_sdr(clean, estimate) == pytest.approx(expected, abs=1e-6)


@examples
@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_segmental_snr_and_stoi_are_blind_to_a_common_level(seed, scale):
    clean, noisy = _pair(seed)
    assert segmental_snr(scale * clean, scale * noisy) == pytest.approx(segmental_snr(clean, noisy), abs=1e-6)
    assert stoi(scale * clean, scale * noisy) == pytest.approx(stoi(clean, noisy), abs=1e-6)


def test_segmental_snr_limits_every_frame():
    clean, _ = _pair(0)
    assert segmental_snr(clean, clean) == 35
    assert segmental_snr(clean, -100 * clean) == -10


def test_ratios_take_float32_without_losing_digits():
    clean, noisy = (signal.astype(np.float32) for signal in _pair(0))
    for ratio in (segmental_snr, si_sdr, projection_gain):
        assert ratio(clean, noisy) == ratio(clean.astype(np.float64), noisy.astype(np.float64))


def test_stoi_is_missing_when_too_little_speech_remains():
    clean, noisy = _pair(0, seconds=0.4)
    assert np.isnan(stoi(clean, noisy))
