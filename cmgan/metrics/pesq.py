"""Wide-band PESQ with a reason instead of an exception: of one utterance, or of batches beside the training step."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from pesq import PesqError, pesq

from cmgan.metrics.process_pool import ProcessPool, WorkerError
from data_prep.audio import SAMPLE_RATE

# The C code keeps 50 utterances in fixed arrays without checking: from the 51st on it overwrites memory, and from
# about the 60th the process dies. An utterance lasts at least 0.2 s, a pause between two more than 0.2 s, so that
# shorter signals cannot hold that many.
SAFE_SECONDS = 20.0
# A call takes about 0.03 s for each second of audio: only one that hangs takes that long, on a loaded machine too.
CALL_LIMIT_S = 600.0
PESQ_FUNCTION = f"{__name__}:pesq_score"

_MXCSR = 7
_FLUSH_TO_ZERO, _DENORMALS_ARE_ZERO = 0x8000, 0x0040

_REASON_OF_CODE = {
    PesqError.OUT_OF_MEMORY_REF: "out_of_memory",
    PesqError.OUT_OF_MEMORY_DEG: "out_of_memory",
    PesqError.OUT_OF_MEMORY_TMP: "out_of_memory",
    PesqError.BUFFER_TOO_SHORT: "buffer_too_short",
    PesqError.NO_UTTERANCES_DETECTED: "no_utterances",
}


@dataclass(frozen=True)
class PesqScore:
    """MOS-LQO, about 1.0 to 4.64, NaN where PESQ failed; reason is empty where it succeeded."""

    value: float
    reason: str = ""

    @classmethod
    def failure(cls, reason: str) -> "PesqScore":
        """A missing score."""
        return cls(float("nan"), reason)


def pesq_score(reference: np.ndarray, estimate: np.ndarray) -> PesqScore:
    """Wide-band PESQ (ITU-T P.862.2) of an estimate against its reference, both (N,) at 16 kHz, any scale.

    Audio that cannot be scored gives NaN and one of the reasons: length_mismatch, buffer_too_short (below 0.25 s),
    not_finite, silent_reference, silent_estimate, no_utterances (no active stretch of about 0.2 s),
    out_of_memory, unknown_error, worker_crash, timeout. The last two can only happen beyond SAFE_SECONDS, where more
    than 50 utterances make the C code end its process: such signals are scored in one of their own (0.3 s more).
    Raises ValueError for arrays that are not vectors of real numbers.
    """
    for name, signal in (("reference", reference), ("estimate", estimate)):
        if signal.ndim != 1:
            raise ValueError(f"{name} has shape {signal.shape}: pass one utterance (N,)")
        if signal.dtype.kind not in "fiu":
            raise ValueError(f"{name} has dtype {signal.dtype}: pass real numbers")
    if len(reference) != len(estimate):
        return PesqScore.failure("length_mismatch")
    if len(reference) < SAMPLE_RATE // 4:
        return PesqScore.failure("buffer_too_short")
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        return PesqScore.failure("not_finite")
    if not reference.any():
        return PesqScore.failure("silent_reference")
    if not estimate.any():
        return PesqScore.failure("silent_estimate")
    # int16 holds −32768 but not its magnitude, and the package takes that of every sample.
    reference, estimate = (
        signal.astype(np.float64) if signal.dtype.kind in "iu" else signal for signal in (reference, estimate)
    )
    if len(reference) <= SAFE_SECONDS * SAMPLE_RATE:
        return score_here(reference, estimate)
    limit = CALL_LIMIT_S + len(reference) / SAMPLE_RATE
    with ProcessPool(f"{__name__}:score_here", workers=1, timeout_s=limit) as pool:
        return _score_of(pool.submit(reference, estimate))


def score_here(reference: np.ndarray, estimate: np.ndarray) -> PesqScore:
    """`pesq_score` of checked floating-point signals in this process, however long they are."""
    with denormals_as_zero():
        value = float(pesq(SAMPLE_RATE, reference, estimate, "wb", on_error=PesqError.RETURN_VALUES))
    if np.isnan(value):
        # Both are divided by the larger peak in float32: a far quieter estimate becomes silence there.
        return PesqScore.failure("silent_estimate")
    if value < 0 or np.isinf(value):
        return PesqScore.failure(_REASON_OF_CODE.get(value, "unknown_error"))
    return PesqScore(value)


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Within it, this thread's processor takes numbers below about 1e-38 (float32) for 0, on Linux with x86-64.

    PESQ's filters ring on in the silence around speech until their float32 state is that small, where every
    operation of such a processor takes many times as long. Elsewhere nothing changes.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        yield
        return
    # fenv_t of the x86-64 ABI: 28 bytes of the x87 unit, then MXCSR, which holds the two bits.
    environment = (ctypes.c_uint32 * 8)()
    libc = ctypes.CDLL(None)
    libc.fegetenv(environment)
    before = environment[_MXCSR]
    environment[_MXCSR] = before | _FLUSH_TO_ZERO | _DENORMALS_ARE_ZERO
    libc.fesetenv(environment)
    try:
        yield
    finally:
        environment[_MXCSR] = before
        libc.fesetenv(environment)


@dataclass(frozen=True)
class PendingScores:
    """Scores of one batch on their way."""

    futures: tuple[Future, ...]

    def result(self) -> list[PesqScore]:
        """Wait for the scores, in the batch's order; a lost or endless call is a missing score with its reason.

        Raises WorkerStartError when no worker process can start, CancelledError after the workers were closed.
        """
        return [_score_of(future) for future in self.futures]


class PesqWorkers(AbstractContextManager):
    """Processes that score batches of speech, a context manager.

    workers: number of processes; 0 scores inside `submit`, in this process, with the same numbers.
    timeout_s: seconds one utterance may take in a worker, 0 for CALL_LIMIT_S; without workers there is no limit.
    """

    def __init__(self, workers: int, timeout_s: float = 0.0) -> None:
        self._pool = ProcessPool(PESQ_FUNCTION, workers, timeout_s or CALL_LIMIT_S)

    def submit(self, references: np.ndarray, estimates: np.ndarray) -> PendingScores:
        """Start scoring a batch: references and estimates (B, N), 16 kHz.

        Raises ValueError for other shapes.
        """
        if references.ndim != 2 or references.shape != estimates.shape:
            raise ValueError(
                f"references {references.shape} and estimates {estimates.shape}: pass two arrays (B, N)"
            )
        return PendingScores(tuple(map(self._pool.submit, references, estimates)))

    def __exit__(self, *error: object) -> None:
        self._pool.__exit__(*error)


def _score_of(future: Future) -> PesqScore:
    try:
        return future.result()
    except WorkerError as failure:
        return PesqScore.failure(failure.reason)
