"""Real-time factor and memory of enhancing with the published width on all cores.

Run as `python -m benchmarks.bench_enhancement`; writes results/benchmarks/enhancement.csv.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cmgan.enhancement.waveforms import enhance
from cmgan.models.tscnet import TSCNet
from cmgan.signal import SAMPLE_RATE

OUTPUT = Path("results/benchmarks/enhancement.csv")


def measure(model: TSCNet, seconds: float, repeats: int) -> dict[str, float]:
    """One row: fastest and median wall time of enhancing `seconds` of noise, and the process's peak memory so far."""
    noisy = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        enhance(model, noisy, SAMPLE_RATE)
        times.append(time.perf_counter() - started)
    return {
        "audio_seconds": seconds,
        "fastest_seconds": min(times),
        "median_seconds": float(np.median(times)),
        "real_time_factor": min(times) / seconds,
        "peak_gigabytes": _peak_gigabytes(),
    }


def _peak_gigabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seconds", type=float, nargs="+", default=[4.0, 30.0])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(0)
    model = TSCNet(num_channel=arguments.width)
    enhance(model, np.ones(SAMPLE_RATE, np.float32), SAMPLE_RATE)  # first use compiles and allocates
    # Shortest first: the peak memory of a process only grows.
    rows = [measure(model, seconds, arguments.repeats) for seconds in sorted(arguments.seconds)]
    table = pd.DataFrame(rows).assign(
        width=arguments.width, threads=torch.get_num_threads(), torch=torch.__version__
    )
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(OUTPUT, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()
