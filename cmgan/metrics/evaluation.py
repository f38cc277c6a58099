"""Score many utterances over all cores: a row each, in order, with a reason wherever a number is missing."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from cmgan.metrics.process_pool import ProcessPool, WorkerError
from cmgan.metrics.snr import projection_gain
from cmgan.metrics.speech import METRIC_NAMES, SpeechMeasures
from data_prep.audio import AudioError, files_by_name, read_together

MEASURE_FUNCTION = "cmgan.metrics.speech:measure_estimate"
# An hour of audio takes minutes: only a call that hangs takes that long.
CALL_LIMIT_S = 3600.0
SCORES = (*METRIC_NAMES, "gain")
COLUMNS = ("id", *SCORES, "samples", "pesq_reason", "reasons")

Pair = tuple[str, np.ndarray, np.ndarray]


def evaluate_waveforms(pairs: Sequence[Pair], workers: int | None = None) -> pd.DataFrame:
    """Score waveforms: pairs of (id, reference (N,), estimate (N,)), 16 kHz, scale ±1 → a row each, in order.

    Columns: id, pesq, csig, cbak, covl, ssnr, stoi, si_sdr (see `measure_speech`), gain (see `projection_gain`),
    samples, pesq_reason, and reasons ("metric:reason;…", empty when all are there). An estimate that is not
    finite, or whose scoring ends its process, has a row without metrics and says why.
    workers: processes, None for one per core, 0 to score in this process.
    """
    return _evaluate(pairs, len(pairs), workers, quiet=True)


def evaluate_files(
    clean: Path, enhanced: Path, workers: int | None = None, quiet: bool = False
) -> pd.DataFrame:
    """Score two files, or the files of two folders that share a path and name but for the suffix.

    The table of `evaluate_waveforms`. The enhanced files say what is scored: clean ones without a partner are left
    alone. A pair without a clean file, or that cannot be used, has a row without metrics, and with the reason;
    lengths may differ by 0.1 s, which are cut. Shows its progress on a terminal unless quiet. Raises AudioError for
    a path that is missing, a folder without audio, two files of the same name, or a file set against a folder.
    """
    for path in (clean, enhanced):
        if not path.exists():
            raise AudioError(f"{path}: no such file or folder; check the path")
    if clean.is_file() != enhanced.is_file():
        raise AudioError(
            f"{clean} and {enhanced}: one is a file, one a folder; give two files or two folders"
        )
    references, estimates = (
        {enhanced.stem: path} if path.is_file() else files_by_name(path) for path in (clean, enhanced)
    )
    faults: dict[str, str] = {}

    def usable() -> Iterator[Pair]:
        for name, estimate in estimates.items():
            try:
                yield name, *_read_pair(name, references.get(name), estimate)
            except AudioError as error:
                faults[name] = str(error)

    table = _evaluate(usable(), len(estimates), workers, quiet)
    table = table.set_index("id").reindex(list(estimates)).reset_index()
    return table.fillna({"reasons": table["id"].map(faults)})


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_pair(name: str, clean: Path | None, enhanced: Path) -> tuple[np.ndarray, np.ndarray]:
    if clean is None:
        raise AudioError("no clean file of that name")
    return read_together(clean, enhanced, f"{name} ({enhanced})")[:2]


def _evaluate(pairs: Iterable[Pair], total: int, workers: int | None, quiet: bool) -> pd.DataFrame:
    workers = min(available_cores(), total) if workers is None else workers
    with ProcessPool(MEASURE_FUNCTION, workers, CALL_LIMIT_S) as pool:
        submitted = _submitted_ahead(pool, pairs, 2 * workers)
        shown = tqdm(submitted, total=total, unit="file", disable=quiet or None)
        return pd.DataFrame([_row(*one) for one in shown], columns=COLUMNS)


def _submitted_ahead(
    pool: ProcessPool, pairs: Iterable[Pair], ahead: int
) -> Iterator[tuple[Pair, Future[SpeechMeasures]]]:
    # Only some pairs are in memory at a time, enough to keep every worker busy.
    waiting: deque[tuple[Pair, Future]] = deque()
    for pair in pairs:
        waiting.append((pair, pool.submit(*pair[1:])))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def _row(pair: Pair, future: Future[SpeechMeasures]) -> dict[str, str | float]:
    try:
        measures = future.result()
    except WorkerError as error:
        measures = SpeechMeasures.missing(error.reason)
    name, reference, estimate = pair
    return {
        "id": name,
        **measures.values(),
        "gain": projection_gain(reference, estimate),
        "samples": len(reference),
        "pesq_reason": measures.reasons.get("pesq", ""),
        "reasons": ";".join(f"{metric}:{reason}" for metric, reason in measures.reasons.items()),
    }
