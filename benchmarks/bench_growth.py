"""How time and memory grow with what a study is made of, each with its exponent: python -m benchmarks.bench_growth.

One thing grows at a time: width, blocks, crop length and batch of a generator's step, utterances of a corpus that is
prepared, arms of a study that is planned. The exponent is the slope of log time (memory) over log size: 1 grows in
proportion. Every point is a process of its own. Writes results/benchmarks/growth.csv.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import numpy as np
import pandas as pd
import torch
import yaml

from cmgan.models.tscnet import TSCNet
from cmgan.study.arms import ARMS
from cmgan.study.profile import read_settings
from data_prep.synthetic import prepare_synthetic

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "benchmarks" / "growth.csv"
BINS, FRAMES_A_SECOND, STEPS = 201, 160, 3
SIZES: dict[str, tuple[int, ...]] = {
    "width": (16, 32, 64),
    "blocks": (1, 2, 4),
    "crop_seconds": (1, 2, 4, 8),
    "batch": (1, 2, 4),
    "utterances": (10, 20, 40),
    "arms": (2, 4, 8, 16),
}


def main() -> None:
    """Print the table and write it."""
    rows = []
    for grows, sizes in SIZES.items():
        points = [_in_process(_TASKS[grows], grows, size) for size in sizes]
        seconds, memory = zip(*points, strict=True)
        rows += [
            {
                "grows": grows,
                "size": size,
                "seconds": own_seconds,
                "peak_mib": own_memory,
                "time_exponent": _exponent(sizes, seconds),
                "memory_exponent": _exponent(sizes, memory),
            }
            for size, own_seconds, own_memory in zip(sizes, seconds, memory, strict=True)
        ]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.3g"))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS, index=False, float_format="%.4g")


def generator_step(grows: str, size: int) -> tuple[float, float]:
    """Least seconds of a forward and backward pass on one thread, and the process's peak memory in MiB."""
    torch.set_num_threads(1)
    sizes = {"width": 16, "blocks": 1, "crop_seconds": 1, "batch": 1} | {grows: size}
    generator = TSCNet(sizes["width"], BINS, sizes["blocks"]).train()
    noisy = torch.randn(sizes["batch"], 2, sizes["crop_seconds"] * FRAMES_A_SECOND + 1, BINS)

    def step() -> None:
        torch.cat(generator(noisy), dim=1).square().mean().backward()

    return min(_seconds(step) for _ in range(STEPS)), _peak(RUSAGE_SELF)


def corpus(_: str, utterances: int) -> tuple[float, float]:
    """The same of preparing synthetic speech."""
    counts = {"train": utterances - 2, "validation": 1, "test": 1}
    with tempfile.TemporaryDirectory() as folder:
        return _seconds(lambda: prepare_synthetic(Path(folder), 0, counts)), _peak(RUSAGE_SELF)


def planned_arms(_: str, arms: int) -> tuple[float, float]:
    """The same of Snakemake's finding out what a study of one seed has to do."""
    grown = {"run": "growth", "arms": list(ARMS)[:arms], "seeds": [0], "branches": []}
    profile = read_settings("laptop", ROOT / "notebooks" / "profiles", grown)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "profile.yaml"
        settings.write_text(yaml.safe_dump(profile))
        asked = ["--snakefile", str(ROOT / "notebooks" / "Snakefile"), "--directory", folder]
        command = [
            sys.executable,
            "-m",
            "snakemake",
            *asked,
            "--configfile",
            str(settings),
            "--dry-run",
            "--quiet",
        ]
        seconds = _seconds(lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True))
    return seconds, _peak(RUSAGE_CHILDREN)


_TASKS: dict[str, Callable[[str, int], tuple[float, float]]] = {
    **dict.fromkeys(("width", "blocks", "crop_seconds", "batch"), generator_step),
    "utterances": corpus,
    "arms": planned_arms,
}


def _in_process(
    task: Callable[[str, int], tuple[float, float]], grows: str, size: int
) -> tuple[float, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(task, grows, size).result()


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _peak(whose: int) -> float:
    return getrusage(whose).ru_maxrss / 1024


def _exponent(sizes: tuple[int, ...], values: tuple[float, ...]) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


if __name__ == "__main__":
    main()
