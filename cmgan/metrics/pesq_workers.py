"""PESQ of whole batches beside the training step: submitted when the estimate exists, joined when it is needed."""

from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import Self

import numpy as np

from cmgan.metrics.pesq_score import PesqScore
from cmgan.metrics.process_pool import ProcessPool, WorkerError

PESQ_FUNCTION = "cmgan.metrics.pesq_score:pesq_score"


@dataclass(frozen=True)
class PendingScores:
    """Scores of one batch on their way."""

    futures: tuple[Future, ...]

    def result(self) -> list[PesqScore]:
        """Wait for the scores, in the batch's order; a lost or endless call is a missing score with its reason.

        Raises WorkerStartError when no worker process can start, CancelledError after the workers were closed.
        """
        return [_score_of(future) for future in self.futures]


class PesqWorkers:
    """Processes that score batches of speech, a context manager.

    workers: number of processes; 0 scores inside `submit`, in this process, with the same numbers.
    timeout_s: seconds one utterance may take in a worker, None for any; inline scoring cannot be interrupted, so
    it has no limit. function: "module:name" of the scoring function (reference (N,), estimate (N,)) → PesqScore.
    """

    def __init__(self, workers: int, timeout_s: float | None = None, function: str = PESQ_FUNCTION) -> None:
        if workers < 0:
            raise ValueError(
                f"workers is {workers}: use 0 to score in this process, or the number of processes"
            )
        module, name = function.split(":")
        self._inline = None if workers else getattr(import_module(module), name)
        self._pool = ProcessPool(function, workers, timeout_s) if workers else None

    def submit(self, references: np.ndarray, estimates: np.ndarray) -> PendingScores:
        """Start scoring a batch: references and estimates (B, N), 16 kHz.

        Raises ValueError for other shapes.
        """
        if references.ndim != 2 or references.shape != estimates.shape:
            raise ValueError(
                f"references {references.shape} and estimates {estimates.shape}: pass two arrays (B, N)"
            )
        return PendingScores(tuple(map(self._start, references, estimates)))

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, reference: np.ndarray, estimate: np.ndarray) -> Future:
        if self._pool is not None:
            return self._pool.submit(reference, estimate)
        done: Future = Future()
        done.set_result(self._inline(reference, estimate))
        return done


def _score_of(future: Future) -> PesqScore:
    try:
        return future.result()
    except WorkerError as failure:
        return PesqScore.failure(failure.reason)
