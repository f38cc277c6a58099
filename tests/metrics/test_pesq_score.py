"""PESQ with a reason instead of an exception."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pesq import pesq

from cmgan.metrics.pesq_score import PesqScore, pesq_score
from tests.speech_like import noisy_copy, speech_like

SAMPLES = 24_000


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    clean = speech_like(rng, SAMPLES / 16_000)
    return clean, noisy_copy(rng, clean)


def test_a_score_is_the_packages_wide_band_score(pair):
    assert pesq_score(*pair) == PesqScore(pesq(16_000, *pair, "wb"), "")


def test_a_signal_against_itself_reaches_the_top_of_the_scale(pair):
    assert pesq_score(pair[0], pair[0]).value == pytest.approx(4.644, abs=1e-3)


@settings(max_examples=8, deadline=None)
@given(exponent=st.floats(-6, 6))
def test_the_level_of_the_estimate_does_not_matter(exponent):
    rng = np.random.default_rng(3)
    clean = speech_like(rng, 1.0)
    estimate = noisy_copy(rng, clean)
    scaled = pesq_score(clean, estimate * 10**exponent)
    assert scaled.value == pytest.approx(pesq_score(clean, estimate).value, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_every_usual_sample_type_scores_alike(pair, dtype):
    scale = 32_767 if dtype == "int16" else 1
    reference, estimate = ((signal * scale).astype(dtype) for signal in pair)
    assert pesq_score(reference, estimate).value == pytest.approx(pesq_score(*pair).value, abs=0.02)


def test_the_most_negative_int16_sample_counts_with_its_magnitude(pair):
    clean, noisy = ((0.01 * signal * 32_767).astype(np.int16) for signal in pair)
    clean[100] = noisy[100] = -32_768
    as_floats = pesq_score(clean.astype(np.float64), noisy.astype(np.float64))
    assert pesq_score(clean, noisy) == as_floats


def _impulse_of_nan(signal: np.ndarray, value: float) -> np.ndarray:
    changed = signal.copy()
    changed[5] = value
    return changed


FAILURES = {
    "length_mismatch": lambda c, n: (c, n[:-1]),
    "buffer_too_short": lambda c, n: (c[:3_999], n[:3_999]),
    "silent_reference": lambda c, n: (0 * c, n),
    "silent_estimate": lambda c, n: (c, 0 * n),
    # 0.15 s of activity: below the 0.2 s that make an utterance.
    "no_utterances": lambda c, n: (np.where(np.arange(len(c)) < 2_400, c, 0), n),
    "not_finite": lambda c, n: (c, _impulse_of_nan(n, np.nan)),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_unscorable_audio_is_missing_with_its_reason(pair, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = pesq_score(*FAILURES[reason](*pair))
    assert np.isnan(score.value)
    assert score.reason == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c, n: (_impulse_of_nan(c, np.inf), n), "not_finite"),
        (lambda c, n: (0 * c, 0 * n), "silent_reference"),
        (lambda c, n: (c[:0], n[:0]), "buffer_too_short"),
        (lambda c, n: (c, n * 1e-60), "silent_estimate"),
    ],
    ids=["infinite reference", "both silent", "empty", "estimate below float32"],
)
def test_corner_cases_get_a_reason_too(pair, change, reason):
    assert pesq_score(*change(*pair)).reason == reason


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), samples=st.integers(0, 9_000), gap=st.integers(0, 9_000))
def test_a_score_is_either_a_number_or_has_a_reason(seed, samples, gap):
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal(samples) * (np.arange(samples) >= gap)
    score = pesq_score(reference, reference + 0.1 * rng.standard_normal(samples))
    assert np.isnan(score.value) == bool(score.reason)
    assert score.reason or 1 <= score.value <= 4.65


def test_more_utterances_than_the_c_code_has_room_for_do_not_end_this_process():
    rng = np.random.default_rng(0)
    burst = np.concatenate([0.1 * rng.standard_normal(4_000), np.zeros(4_000)])
    reference = np.tile(burst, 90)
    score = pesq_score(reference, reference + 0.003 * rng.standard_normal(len(reference)))
    assert np.isnan(score.value)
    assert score.reason == "worker_crash"


def test_a_long_signal_scores_in_its_own_process_as_it_would_here():
    rng = np.random.default_rng(0)
    clean = speech_like(rng, 20.5)
    noisy = noisy_copy(rng, clean)
    assert pesq_score(clean, noisy).value == pytest.approx(pesq(16_000, clean, noisy, "wb"), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((2, 8_000)), np.ones((2, 8_000))), "pass one utterance"),
        ((np.ones(8_000, complex), np.ones(8_000)), "pass real numbers"),
        ((np.ones(8_000), np.ones(8_000), 48_000), "resample the audio"),
    ],
)
def test_wrong_calls_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        pesq_score(*arguments)
