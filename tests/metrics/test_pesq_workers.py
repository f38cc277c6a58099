"""Batches are scored in order, whatever happens to one sample's process."""

import numpy as np
import pytest

from cmgan.metrics.pesq_score import pesq_score
from cmgan.metrics.pesq_workers import PesqWorkers
from tests.metrics.scoring_doubles import CRASH, HANG, RAISE
from tests.speech_like import noisy_copy, speech_like

ECHO = "tests.metrics.scoring_doubles:echo"


def _batch(*first_samples: float) -> tuple[np.ndarray, np.ndarray]:
    estimates = np.zeros((len(first_samples), 50), np.float32)
    estimates[:, 0] = first_samples
    return np.zeros_like(estimates), estimates


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("workers", [0, 2])
def test_scores_equal_those_of_pesq_score_one_by_one(rng, workers, dtype):
    references = np.stack([speech_like(rng, 1.0) for _ in range(3)]).astype(dtype)
    references[1] = 0
    estimates = np.stack([noisy_copy(rng, reference) for reference in references]).astype(dtype)
    with PesqWorkers(workers) as scorer:
        scores = scorer.submit(references, estimates).result()
    expected = [pesq_score(*pair) for pair in zip(references, estimates, strict=True)]
    assert [score.reason for score in scores] == ["", "silent_reference", ""]
    np.testing.assert_array_equal([score.value for score in scores], [score.value for score in expected])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_the_batch_although_the_first_takes_longest(workers):
    values = [float(value) for value in range(12)]
    with PesqWorkers(workers, function=ECHO) as scorer:
        pending = [scorer.submit(*_batch(*values[start : start + 4])) for start in (0, 4, 8)]
        last_first = [one.result() for one in reversed(pending)]
    assert [score.value for scores in reversed(last_first) for score in scores] == values


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crash_costs_one_sample_and_the_worker_is_replaced(workers):
    with PesqWorkers(workers, function=ECHO) as scorer:
        scores = scorer.submit(*_batch(1, CRASH, 3, CRASH, 5)).result()
        after = scorer.submit(*_batch(6, 7)).result()
    assert [score.reason for score in scores] == ["", "worker_crash", "", "worker_crash", ""]
    np.testing.assert_array_equal([score.value for score in scores], [1, np.nan, 3, np.nan, 5])
    assert [score.value for score in after] == [6, 7]


def test_a_sample_beyond_the_time_limit_is_missing_and_the_worker_is_replaced():
    with PesqWorkers(1, timeout_s=0.5, function=ECHO) as scorer:
        scores = scorer.submit(*_batch(1, HANG, 3)).result()
    assert [score.reason for score in scores] == ["", "timeout", ""]
    np.testing.assert_array_equal([score.value for score in scores], [1, np.nan, 3])


def test_an_exception_in_a_worker_is_a_crash_whose_traceback_is_seen(capfd):
    with PesqWorkers(1, function=ECHO) as scorer:
        scores = scorer.submit(*_batch(RAISE, 2)).result()
    assert [score.reason for score in scores] == ["worker_crash", ""]
    assert "told to raise" in capfd.readouterr().err


def test_the_caller_may_overwrite_its_arrays_after_submitting():
    with PesqWorkers(1, function=ECHO) as scorer:
        references, estimates = _batch(1, 2, 3, 4)
        pending = scorer.submit(references, estimates)
        estimates[:] = 9
        assert [score.value for score in pending.result()] == [1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(50,), (3, 50)])
def test_arrays_that_are_not_two_equal_batches_are_refused(shape):
    with PesqWorkers(0) as scorer, pytest.raises(ValueError, match="pass two arrays"):
        scorer.submit(np.zeros(shape), np.zeros((2, 50)))


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="workers is -1"):
        PesqWorkers(-1)
