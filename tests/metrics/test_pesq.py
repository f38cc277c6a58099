"""PESQ with a reason instead of an exception, and batches scored in order, whatever happens to a sample's process."""

import platform
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pesq import pesq

from cmgan.metrics.pesq import PesqScore, PesqWorkers, denormals_as_zero, pesq_score
from tests.metrics.scoring_doubles import CRASH, HANG, RAISE, first_samples
from tests.speech_like import noisy_copy, speech_like


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    clean = speech_like(rng, 1.5)
    return clean, noisy_copy(rng, clean)


@pytest.fixture
def _echoed(monkeypatch) -> None:
    """Workers return the first sample of the estimate as its score."""
    monkeypatch.setattr("cmgan.metrics.pesq.PESQ_FUNCTION", "tests.metrics.scoring_doubles:echo")


def test_a_score_is_the_packages_wide_band_score(pair):
    assert pesq_score(*pair) == PesqScore(pesq(16_000, *pair, "wb"), "")


DENORMAL = np.float32(1e-40)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="other processors are left alone"
)
def test_denormals_count_as_zero_only_while_pesq_runs(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cmgan.metrics.pesq.pesq", lambda *_, **__: seen.append(DENORMAL * np.float32(2)) or 1.0
    )
    pesq_score(np.ones(8_000), np.ones(8_000))
    assert seen == [0.0]
    assert DENORMAL * np.float32(2) > 0


def test_an_error_leaves_denormals_as_they_were():
    with pytest.raises(ZeroDivisionError), denormals_as_zero():
        raise ZeroDivisionError
    assert DENORMAL * np.float32(2) > 0


def test_a_pause_between_words_scores_as_the_package_scores_it(pair):
    paused = [np.concatenate([signal, np.zeros(8_000), signal]) for signal in pair]
    assert pesq_score(*paused).value == pesq(16_000, *paused, "wb")


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


def _with_sample(signal: np.ndarray, value: float) -> np.ndarray:
    return np.where(np.arange(len(signal)) == 5, value, signal)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c, n: (c, n[:-1]), "length_mismatch"),
        (lambda c, n: (c[:3_999], n[:3_999]), "buffer_too_short"),
        (lambda c, n: (c[:0], n[:0]), "buffer_too_short"),
        (lambda c, n: (0 * c, n), "silent_reference"),
        (lambda c, n: (0 * c, 0 * n), "silent_reference"),
        (lambda c, n: (c, 0 * n), "silent_estimate"),
        # Below float32 beside the reference.
        (lambda c, n: (c, n * 1e-60), "silent_estimate"),
        # 0.15 s of activity: below the 0.2 s that make an utterance.
        (lambda c, n: (np.where(np.arange(len(c)) < 2_400, c, 0), n), "no_utterances"),
        (lambda c, n: (c, _with_sample(n, np.nan)), "not_finite"),
        (lambda c, n: (_with_sample(c, np.inf), n), "not_finite"),
    ],
)
def test_unscorable_audio_is_missing_with_its_reason(pair, change, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = pesq_score(*change(*pair))
    assert np.isnan(score.value)
    assert score.reason == reason


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
    ],
)
def test_wrong_calls_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        pesq_score(*arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_scores_as_its_samples_do_one_by_one(rng, workers, dtype):
    references = np.stack([speech_like(rng, 1.0) for _ in range(3)]).astype(dtype)
    references[1] = 0
    estimates = np.stack([noisy_copy(rng, reference) for reference in references]).astype(dtype)
    with PesqWorkers(workers) as scorer:
        scores = scorer.submit(references, estimates).result()
    expected = [pesq_score(*pair) for pair in zip(references, estimates, strict=True)]
    assert [score.reason for score in scores] == ["", "silent_reference", ""]
    np.testing.assert_array_equal([score.value for score in scores], [score.value for score in expected])


@pytest.mark.usefixtures("_echoed")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_the_batch_although_the_first_takes_longest(workers):
    values = [float(value) for value in range(12)]
    with PesqWorkers(workers) as scorer:
        pending = [scorer.submit(*first_samples(*values[start : start + 4])) for start in (0, 4, 8)]
        last_first = [one.result() for one in reversed(pending)]
    assert [score.value for scores in reversed(last_first) for score in scores] == values


@pytest.mark.usefixtures("_echoed")
@pytest.mark.parametrize("workers", [1, 2])
def test_crashes_and_calls_beyond_the_limit_cost_one_sample_each_with_their_reasons(workers):
    with PesqWorkers(workers, timeout_s=0.5) as scorer:
        scores = scorer.submit(*first_samples(1, CRASH, 3, HANG, CRASH, 5)).result()
        after = scorer.submit(*first_samples(6, 7)).result()
    reasons = ["", "worker_crash", "", "timeout", "worker_crash", ""]
    assert [score.reason for score in scores] == reasons
    np.testing.assert_array_equal([score.value for score in scores], [1, np.nan, 3, np.nan, np.nan, 5])
    assert [score.value for score in after] == [6, 7]


@pytest.mark.usefixtures("_echoed")
def test_an_exception_in_a_worker_is_a_crash_whose_traceback_is_seen(capfd):
    with PesqWorkers(1) as scorer:
        scores = scorer.submit(*first_samples(RAISE, 2)).result()
    assert [score.reason for score in scores] == ["worker_crash", ""]
    assert "told to raise" in capfd.readouterr().err


@pytest.mark.usefixtures("_echoed")
def test_the_caller_may_overwrite_its_arrays_after_submitting():
    with PesqWorkers(1) as scorer:
        references, estimates = first_samples(1, 2, 3, 4)
        pending = scorer.submit(references, estimates)
        estimates[:] = 9
        assert [score.value for score in pending.result()] == [1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(50,), (3, 50)])
def test_arrays_that_are_not_two_equal_batches_are_refused(shape):
    with PesqWorkers(0) as scorer, pytest.raises(ValueError, match="pass two arrays"):
        scorer.submit(np.zeros(shape), np.zeros((2, 50)))
