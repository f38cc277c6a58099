"""How much faster the metrics are than literal loops, and how evaluation scales: python -m benchmarks.bench_metrics.

Times are the least of interleaved repeats, so that other work on the machine disturbs them little.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pystoi
from pesq import PesqError, pesq

from cmgan.metrics.composite import spectral_distances
from cmgan.metrics.evaluation import available_cores, evaluate_waveforms
from cmgan.metrics.intelligibility import stoi
from cmgan.metrics.pesq import PesqWorkers, pesq_score
from cmgan.metrics.snr import segmental_snr, si_sdr
from data_prep.audio import read_audio
from data_prep.folder import find_recordings
from tests.oracles.metrics import loop_llr, loop_segmental_snr, loop_stoi, loop_wss
from tests.speech_like import RATE, noisy_copy, speech_like

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "benchmarks" / "metrics.csv"
SAMPLE = ROOT.parent / "shared" / "voicebank_demand_sample"
REAL_SPEECH = ROOT.parent / "shared" / "real_speech"
CLIPS = 8
REPEATS = 5
EVALUATED = 48

Pair = tuple[np.ndarray, np.ndarray]
Row = dict[str, str | float]


def main() -> None:
    """Print the table and write results/benchmarks/metrics.csv."""
    pairs = _pairs()
    seconds = sum(len(clean) for clean, _ in pairs) / RATE
    print(f"{len(pairs)} clips, {seconds:.1f} s of speech, {available_cores()} cores")
    table = pd.DataFrame(
        [*_metric_rows(pairs), *_scoring_rows(pairs), *_denormal_rows(), *_scaling_rows(pairs)]
    )
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    partial = RESULTS.with_suffix(".part")
    table.to_csv(partial, index=False, float_format="%.4g")
    partial.replace(RESULTS)
    print(table.to_string(index=False, float_format="%.4g"))
    print(f"written to {RESULTS.relative_to(ROOT)}")


def _pairs() -> list[Pair]:
    """Clips of real speech where there are some, else synthetic ones: float64, scale ±1."""
    if SAMPLE.is_dir():
        names = [path.name for path in sorted((SAMPLE / "clean").glob("*.wav"))[:CLIPS]]
        read = [[read_audio(SAMPLE / kind / name) for name in names] for kind in ("clean", "noisy")]
        shorter = [min(map(len, pair)) for pair in zip(*read, strict=True)]
        return [
            (clean[:samples].astype(np.float64), noisy[:samples].astype(np.float64))
            for clean, noisy, samples in zip(*read, shorter, strict=True)
        ]
    rng = np.random.default_rng(0)
    clips = [speech_like(rng, 4.0) for _ in range(CLIPS)]
    return [(clean, noisy_copy(rng, clean)) for clean in clips]


def _metric_rows(pairs: list[Pair]) -> list[Row]:
    def loops(clean: np.ndarray, noisy: np.ndarray) -> None:
        loop_segmental_snr(clean, noisy), loop_llr(clean, noisy), loop_wss(clean, noisy)
        loop_stoi(clean, noisy), si_sdr(clean, noisy)

    def vectorised(clean: np.ndarray, noisy: np.ndarray) -> None:
        segmental_snr(clean, noisy), spectral_distances(clean, noisy)
        stoi(clean, noisy), si_sdr(clean, noisy)

    comparisons: dict[str, tuple[Callable, Callable]] = {
        "segmental SNR, loop": (loop_segmental_snr, segmental_snr),
        "LLR and WSS, loops": (lambda c, n: (loop_llr(c, n), loop_wss(c, n)), spectral_distances),
        "STOI, loop": (loop_stoi, stoi),
        "STOI, pystoi": (lambda c, n: pystoi.stoi(c, n, RATE), stoi),
        "all but PESQ, loops": (loops, vectorised),
        "PESQ, with denormals": (lambda c, n: pesq(RATE, c, n, "wb"), pesq_score),
    }
    rows = []
    for name, (reference, ours) in comparisons.items():
        slow, fast = np.sum([_least_of_interleaved(reference, ours, pair) for pair in pairs], axis=0)
        rows.append(_row("metric", name, 1e3 * slow / len(pairs), 1e3 * fast / len(pairs), "ms per clip"))
    return rows


def _scoring_rows(pairs: list[Pair]) -> list[Row]:
    """PESQ of a training batch: inline, and what the training step waits when the scores come from workers."""
    batch = [np.stack([signal[: 2 * RATE] for signal in signals]) for signals in zip(*pairs, strict=True)]
    references, estimates = (signals[:4].astype(np.float32) for signals in batch)
    start = time.perf_counter()
    with PesqWorkers(1) as workers, PesqWorkers(0) as inline:
        workers.submit(references[:1], estimates[:1]).result()
        first = time.perf_counter() - start
        blocked, waited = [], []
        for _ in range(REPEATS):
            start = time.perf_counter()
            inline.submit(references, estimates)
            blocked.append(time.perf_counter() - start)
            start = time.perf_counter()
            pending = workers.submit(references, estimates)
            waited.append(time.perf_counter() - start)
            pending.result()
    return [
        _row(
            "PESQ",
            "four 2 s crops: how long the caller is held, inline and by submit",
            1e3 * min(blocked),
            1e3 * min(waited),
            "ms",
        ),
        _row("PESQ", "worker started to its first score", np.nan, 1e3 * first, "ms"),
    ]


def _denormal_rows() -> list[Row]:
    """Where the real speech is: CPU time of PESQ with denormals and without, and how many scores differ by a bit."""
    scored, differing, plain, ours = 0, 0, 0.0, 0.0
    for recording in find_recordings(REAL_SPEECH) if REAL_SPEECH.is_dir() else []:
        clean, noisy = map(read_audio, (recording.clean_path, recording.noisy_path))
        samples = min(len(clean), len(noisy), 2 * RATE)
        clean, noisy = clean[:samples], noisy[:samples]
        start = time.process_time()
        try:
            expected = pesq(RATE, clean, noisy, "wb")
        except PesqError:
            expected = np.nan
        middle = time.process_time()
        score = pesq_score(clean, noisy).value
        scored, plain, ours = scored + 1, plain + middle - start, ours + time.process_time() - middle
        differing += not np.array_equal(expected, score, equal_nan=True)
    name = f"with denormals, first 2 s of {scored} pairs of real speech, CPU time: {differing} scores differ"
    return [_row("PESQ", name, plain, ours, "s")] if scored else []


def _scaling_rows(pairs: list[Pair]) -> list[Row]:
    many = [(str(number), *pairs[number % len(pairs)]) for number in range(EVALUATED)]
    counts = sorted({1, 2, 4, available_cores()} & set(range(1, available_cores() + 1)))
    elapsed: dict[int, list[float]] = {count: [] for count in (0, *counts)}
    processor: dict[int, list[float]] = {count: [] for count in (0, *counts)}
    for _ in range(3):
        for count in elapsed:
            before = os.times()
            evaluate_waveforms(many, workers=count)
            after = os.times()
            elapsed[count].append(after.elapsed - before.elapsed)
            processor[count].append(sum(after[:4]) - sum(before[:4]))
    rows = []
    for count in counts:
        name = f"{EVALUATED} utterances, inline and {count} workers"
        rows.append(_row("evaluation", name, min(elapsed[0]), min(elapsed[count]), "s"))
        # Cores that others use cannot show a speed-up: the work done is what the workers cost anywhere.
        rows.append(_row("evaluation", f"{name}: CPU time", min(processor[0]), min(processor[count]), "s"))
    return rows


def _least_of_interleaved(reference: Callable, ours: Callable, pair: Pair) -> tuple[float, float]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for function, taken in zip((reference, ours), times, strict=True):
            start = time.perf_counter()
            function(*pair)
            taken.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])


def _row(group: str, item: str, reference: float, ours: float, unit: str) -> Row:
    ratio = reference / ours
    return {
        "group": group,
        "item": item,
        "reference": reference,
        "ours": ours,
        "unit": unit,
        "ratio": ratio,
        "cores": available_cores(),
    }


if __name__ == "__main__":
    main()
