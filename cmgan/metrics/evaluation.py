"""Score many utterances over all cores: a row each, in order, with a reason wherever a number is missing."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.metrics.process_pool import ProcessPool, WorkerError
from cmgan.metrics.snr import projection_gain
from cmgan.metrics.speech import SpeechMeasures, measure_estimate
from data_prep.audio import TOLERATED_SECONDS, check_pair, read_audio

MEASURE_FUNCTION = f"{measure_estimate.__module__}:{measure_estimate.__name__}"

Progress = Callable[[int, int], None]
Waveforms = tuple[str, np.ndarray, np.ndarray]


def evaluate_pairs(
    pairs: Sequence[tuple[str, Path, Path]], workers: int | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Score files: pairs of (id, reference file, estimate file) → the table of `evaluate_waveforms`.

    Every file is read once before anything is scored. Raises AudioError, naming the file, for one that is missing,
    unreadable, not mono or not 16 kHz, and for a pair whose lengths differ by more than 0.1 s; smaller
    differences are cut. Raises what `evaluate_waveforms` does.
    """
    for pair in pairs:
        _read_pair(*pair)
    _check_ids([name for name, _, _ in pairs])
    return _evaluate((_read_pair(*pair) for pair in pairs), len(pairs), workers, progress)


def evaluate_waveforms(
    pairs: Sequence[Waveforms], workers: int | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Score waveforms: pairs of (id, reference (N,), estimate (N,)), 16 kHz, scale ±1 → a row each, in order.

    Columns: id, pesq, csig, cbak, covl, ssnr, stoi, si_sdr (see `measure_speech`), gain (see `projection_gain`),
    samples, pesq_reason, and reasons ("metric:reason;…", empty when all are there). An estimate that is not
    finite, or whose scoring ends its process, has a row without metrics and says why.
    workers: processes, None for one per core, 0 to score in this process. progress is called with (done, total).
    Raises ValueError for no pairs, an id given twice, or a reference that is unusable or of another length.
    """
    _check_ids([name for name, _, _ in pairs])
    for name, reference, estimate in pairs:
        if reference.ndim != 1 or reference.shape != estimate.shape or not reference.size:
            raise ValueError(
                f"{name}: reference has shape {reference.shape} and estimate {estimate.shape}, pass two vectors (N,)"
            )
        if not np.isfinite(reference).all():
            raise ValueError(
                f"{name}: the reference has samples that are NaN or infinite; repair or drop the recording"
            )
    return _evaluate(pairs, len(pairs), workers, progress)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _evaluate(
    pairs: Iterable[Waveforms], total: int, workers: int | None, progress: Progress | None
) -> pd.DataFrame:
    workers = min(available_cores(), total) if workers is None else workers
    if workers == 0:
        return _table(((pair, measure_estimate(*pair[1:])) for pair in pairs), total, progress)
    with ProcessPool(MEASURE_FUNCTION, workers) as pool:
        return _table(_measured_in_order(pool, pairs, ahead=2 * workers), total, progress)


def _measured_in_order(
    pool: ProcessPool, pairs: Iterable[Waveforms], ahead: int
) -> Iterable[tuple[Waveforms, SpeechMeasures]]:
    # Only some pairs are in memory at a time, enough to keep every worker busy.
    waiting: deque[tuple[Waveforms, Future]] = deque()
    for pair in pairs:
        waiting.append((pair, pool.submit(*pair[1:])))
        if len(waiting) > ahead:
            oldest, future = waiting.popleft()
            yield oldest, _measures_of(future)
    for pair, future in waiting:
        yield pair, _measures_of(future)


def _measures_of(future: Future) -> SpeechMeasures:
    try:
        return future.result()
    except WorkerError as error:
        return SpeechMeasures.missing(error.reason)


def _table(
    scored: Iterable[tuple[Waveforms, SpeechMeasures]], total: int, progress: Progress | None
) -> pd.DataFrame:
    rows = []
    for (name, reference, estimate), measures in scored:
        rows.append(
            {"id": name}
            | measures.values()
            | {
                "gain": projection_gain(reference, estimate),
                "samples": len(reference),
                "pesq_reason": measures.reasons.get("pesq", ""),
                "reasons": ";".join(f"{metric}:{reason}" for metric, reason in measures.reasons.items()),
            }
        )
        if progress is not None:
            progress(len(rows), total)
    return pd.DataFrame(rows)


def _read_pair(name: str, reference_path: Path, estimate_path: Path) -> Waveforms:
    reference = read_audio(reference_path, tolerated_seconds=TOLERATED_SECONDS)
    estimate = read_audio(estimate_path, tolerated_seconds=TOLERATED_SECONDS)
    samples, _ = check_pair(reference, estimate, f"{name} ({estimate_path})")
    return name, reference[:samples], estimate[:samples]


def _check_ids(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("there is nothing to evaluate: pass at least one pair")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"id given twice: {', '.join(twice)}; every utterance needs its own")
