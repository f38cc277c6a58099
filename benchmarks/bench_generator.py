"""Generator against its literal rebuild, time and peak memory: python -m benchmarks.bench_generator [--quick].

Every measurement runs in a process of its own, whose peak resident memory is taken, in the environment of
the study's jobs; literal and fused take turns, and the least time of all turns counts. Training mode with dropout.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch

from cmgan.job_environment import JOB_ENVIRONMENT
from cmgan.models.tscnet import TSCNet
from tests.oracles.generator import LiteralTSCNet

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "benchmarks" / "generator.csv"
FRAMES, BINS = 321, 201  # a crop of 2 s
IMPLEMENTATIONS = ("literal", "fused")


@dataclass(frozen=True)
class Configuration:
    """One size of generator and batch; precision: float32, or bfloat16 by autocast."""

    width: int
    blocks: int
    batch: int
    threads: int
    precision: str = "float32"

    @property
    def name(self) -> str:
        return f"C{self.width} x{self.blocks} B{self.batch} {self.threads}t {self.precision}"


@dataclass(frozen=True)
class Measurement:
    """Least times of a process in seconds (CPU time counts all threads), its peak memory in MiB."""

    forward_s: float
    forward_backward_s: float
    cpu_s: float
    peak_mib: float


QUICK = (Configuration(64, 4, 1, 1), Configuration(16, 2, 2, 1))
FULL = (
    *QUICK,
    Configuration(64, 4, 1, 2),
    Configuration(64, 4, 2, 2),
    Configuration(16, 1, 2, 1),
    Configuration(16, 2, 1, 1),
    Configuration(64, 4, 1, 2, "bfloat16"),
)


def main() -> None:
    """Print the table and the largest difference; write results/benchmarks/generator.csv (not with --quick)."""
    parser = argparse.ArgumentParser(description="Time and peak memory of the generator as ratios.")
    parser.add_argument(
        "--quick", action="store_true", help="two configurations, one turn each, nothing written"
    )
    parser.add_argument("--turns", type=int, default=3, help="processes for each implementation")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_work(json.loads(arguments.worker))))
        return
    print(f"largest difference from literal at full width: {_in_process({'task': 'compare'})['error']:.1e}")
    turns = 1 if arguments.quick else arguments.turns
    rows = [row for one in (QUICK if arguments.quick else FULL) for row in _rows(one, turns)]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.3g"))
    if not arguments.quick:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        partial = RESULTS.with_suffix(".part")
        table.to_csv(partial, index=False, float_format="%.4g")
        partial.replace(RESULTS)
        print(f"written to {RESULTS.relative_to(ROOT)}")


def _rows(configuration: Configuration, turns: int) -> list[dict[str, str | float]]:
    """A row for each implementation; ratios are literal time over fused, fused memory over literal."""
    least: dict[str, Measurement] = {}
    for _ in range(turns):
        for name in IMPLEMENTATIONS:
            task = {"task": "measure", "implementation": name, **asdict(configuration)}
            taken = Measurement(**_in_process(task))
            best = least.get(name, taken)
            least[name] = Measurement(
                **{key: min(value, getattr(best, key)) for key, value in asdict(taken).items()}
            )
    literal, fused = (least[name] for name in IMPLEMENTATIONS)
    ratios = {
        "literal": (1.0, 1.0),
        "fused": (literal.forward_backward_s / fused.forward_backward_s, fused.peak_mib / literal.peak_mib),
    }
    return [
        {
            "configuration": configuration.name,
            "implementation": name,
            **{key: value for key, value in asdict(configuration).items() if key != "precision"},
            **asdict(least[name]),
            "ratio_time": ratios[name][0],
            "ratio_memory": ratios[name][1],
        }
        for name in IMPLEMENTATIONS
    ]


def _in_process(task: dict) -> dict:
    command = [sys.executable, "-m", "benchmarks.bench_generator", "--worker", json.dumps(task)]
    threads = str(task.get("threads", 1))
    environment = os.environ | JOB_ENVIRONMENT | {"OMP_NUM_THREADS": threads}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{task}: the process ended with {done.returncode}; -9: it ran out of memory")
    return json.loads(done.stdout.splitlines()[-1])


def _work(task: dict) -> dict[str, float]:
    torch.manual_seed(0)
    if task.pop("task") == "compare":
        return {"error": _largest_difference()}
    literal = task.pop("implementation") == "literal"
    return asdict(_measure(Configuration(**task), literal))


def _measure(configuration: Configuration, literal: bool) -> Measurement:
    torch.set_num_threads(configuration.threads)
    build = LiteralTSCNet if literal else TSCNet
    generator = build(configuration.width, BINS, configuration.blocks).train()
    noisy = torch.randn(configuration.batch, 2, FRAMES, BINS)
    times = [_step(generator, noisy, configuration.precision == "bfloat16") for _ in range(3)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measurement(*(min(column) for column in zip(*times, strict=True)), peak)


def _step(generator: torch.nn.Module, noisy: torch.Tensor, autocast: bool) -> tuple[float, float, float]:
    start, start_cpu = time.perf_counter(), time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        estimate = torch.cat(generator(noisy), dim=1)
    forward = time.perf_counter() - start
    estimate.float().square().mean().backward()
    return forward, time.perf_counter() - start, time.process_time() - start_cpu


def _largest_difference() -> float:
    """Of the outputs in evaluation mode at full width, relative to the largest output."""
    generator, literal = TSCNet().eval(), LiteralTSCNet().eval()
    literal.load_state_dict(generator.state_dict())
    noisy = torch.randn(1, 2, FRAMES, BINS)
    with torch.no_grad():
        actual, expected = torch.cat(generator(noisy), dim=1), torch.cat(literal(noisy), dim=1)
    return ((actual - expected).abs().max() / expected.abs().max()).item()


if __name__ == "__main__":
    main()
