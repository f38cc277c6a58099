"""The generator against what one would use instead, time and memory: python -m benchmarks.bench_generator [--quick].

Every measurement runs in a process of its own with nothing of ours in its environment; implementations take turns,
and the least time of all steps and turns counts. Training mode with dropout, then inference. Rows:

    literal         the public system's equations, rebuilt as they are written down
    torch           our networks without compiled kernels: scaled-dot-product attention, fewer copies
    compiled        that by torch.compile (inductor), part by part; "compiled whole": in one piece
    ours            as shipped; "without X": the part of one C file left to torch; bfloat16: by autocast
    …, memory …     kept: with the allocator's settings that a generator of ours makes; given back: without them

A row without numbers is of a process that ended without a result: too little memory, or a crash.

The floor is the operations of convolutions and products (torch's own count) at the speed of a large matrix product
that is measured beside.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from cmgan.kernels import torch_only
from cmgan.memory import SWITCH, keep_freed_memory
from cmgan.models.tscnet import TSCNet
from data_prep.whole_files import write_text
from tests.oracles.generator import LiteralTSCNet

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "benchmarks" / "generator.csv"
FRAMES, BINS = 321, 201  # a crop of 2 s
LARGEST_PROCESS = 18 * 2**30  # bytes; what needs more has no result
STEPS = 2
PRODUCTS = 40  # some seconds of them: the speed of a shared machine varies
KEPT, GIVEN_BACK = "literal, memory kept", "ours, memory given back"
RIVALS = ("literal", "torch", "ours")
WITHOUT = ("without attention.c", "without conformer.c", "without dense_net.c")


@dataclass(frozen=True)
class Configuration:
    """One size of generator and batch."""

    width: int
    blocks: int
    batch: int
    threads: int

    @property
    def name(self) -> str:
        return f"C{self.width} x{self.blocks} B{self.batch} {self.threads}t"


@dataclass(frozen=True)
class Measurement:
    """Least times of a process in seconds (CPU time counts all threads), its peak memory in MiB.

    compile_s: what the first step took longer than the least; step_s: forward and backward.
    """

    forward_s: float
    step_s: float
    inference_s: float
    cpu_s: float
    compile_s: float
    peak_mib: float


QUICK = {Configuration(16, 2, 1, 1): RIVALS}
FULL = {
    Configuration(16, 2, 1, 1): RIVALS,
    Configuration(16, 2, 4, 1): (*RIVALS, *WITHOUT),
    Configuration(64, 4, 1, 2): (
        *RIVALS,
        GIVEN_BACK,
        *WITHOUT,
        KEPT,
        "bfloat16",
        "compiled",
        "compiled whole",
    ),
    Configuration(64, 4, 4, 2): RIVALS,
    Configuration(32, 2, 1, 2): RIVALS,
}


def main() -> None:
    """Print the table and the largest difference; write results/benchmarks/generator.csv (not with --quick)."""
    parser = argparse.ArgumentParser(description="Time and peak memory of the generator as ratios.")
    parser.add_argument("--quick", action="store_true", help="one configuration, one turn, nothing written")
    parser.add_argument("--turns", type=int, default=1, help="processes for each implementation")
    names = [configuration.name for configuration in FULL]
    parser.add_argument("--only", choices=names, help="one configuration: the kept rows of the others stay")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_work(json.loads(arguments.worker))))
        return
    print(f"largest difference from literal at full width: {_in_process({'task': 'compare'})['error']:.1e}")
    turns = 1 if arguments.quick else arguments.turns
    chosen = QUICK if arguments.quick else FULL
    table = pd.DataFrame()
    if arguments.only:
        # Ratios are within a configuration: others may be of another day.
        chosen = {one: rivals for one, rivals in FULL.items() if one.name == arguments.only}
        table = pd.read_csv(RESULTS).query("configuration != @arguments.only")
    for configuration, names in chosen.items():
        for rows in _rows(configuration, names, turns):
            so_far = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
            # All of it takes long: what is measured is kept.
            if not arguments.quick:
                write_text(so_far.to_csv(index=False, float_format="%.4g"), RESULTS)
        table = so_far
    print(table.to_string(index=False, float_format="%.3g"))


def _rows(
    configuration: Configuration, names: tuple[str, ...], turns: int
) -> Iterator[list[dict[str, str | float]]]:
    """After each measurement a row for each implementation so far; ratios are literal time over its time."""
    floor = _in_process({"task": "floor", **asdict(configuration)})
    missing = Measurement(*6 * [float("nan")])
    least: dict[str, Measurement] = {}
    for _ in range(turns):
        for name in names:
            print(f"{configuration.name} {name} …", file=sys.stderr, flush=True)
            taken = _in_process({"task": "measure", "implementation": name, **asdict(configuration)})
            before = least.get(name, missing)
            if taken:
                known = asdict(before) if name in least else taken
                before = Measurement(**{key: min(value, known[key]) for key, value in taken.items()})
            least[name] = before
            literal = least.get("literal", missing)
            yield [
                {
                    "configuration": configuration.name,
                    "implementation": one,
                    **asdict(configuration),
                    **asdict(own),
                    "step_times_literal": literal.step_s / own.step_s,
                    "inference_times_literal": literal.inference_s / own.inference_s,
                    "memory_of_literal": own.peak_mib / literal.peak_mib,
                    **floor,
                }
                for one, own in least.items()
            ]


def _in_process(task: dict) -> dict[str, float]:
    """What the task measured; empty where the process had too little memory or crashed."""
    command = [sys.executable, "-m", "benchmarks.bench_generator", "--worker", json.dumps(task)]
    environment = os.environ | {"OMP_NUM_THREADS": str(task.get("threads", 1))}
    if task.get("implementation") == GIVEN_BACK:
        environment[SWITCH] = "0"
    # What was compiled before is not to be found again.
    with tempfile.TemporaryDirectory() as cache:
        environment["TORCHINDUCTOR_CACHE_DIR"] = cache
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    crashed = done.returncode < 0
    if done.returncode and not crashed and "memory" not in done.stderr:
        raise SystemExit(f"{task}: the process ended with {done.returncode}\n{done.stderr[-2000:]}")
    return {} if done.returncode else json.loads(done.stdout.splitlines()[-1])


def _work(task: dict) -> dict[str, float]:
    torch.manual_seed(0)
    kind = task.pop("task")
    if kind == "compare":
        return {"error": _largest_difference()}
    if kind == "floor":
        return _floor(Configuration(**task))
    name = task.pop("implementation")
    resource.setrlimit(resource.RLIMIT_DATA, (LARGEST_PROCESS, LARGEST_PROCESS))
    return asdict(_measure(Configuration(**task), name))


def _measure(configuration: Configuration, name: str) -> Measurement:
    literal = name in ("literal", KEPT)
    if name == KEPT:
        keep_freed_memory()
    build = LiteralTSCNet if literal else TSCNet
    generator = build(configuration.width, BINS, configuration.blocks)
    if name.startswith("compiled"):
        for part in [generator] if name == "compiled whole" else generator.children():
            part.compile(dynamic=False)
    noisy = torch.randn(configuration.batch, 2, FRAMES, BINS)
    with ExitStack() as stack:
        if name == "torch" or name.startswith("compiled"):
            stack.enter_context(torch_only())
        elif name.startswith("without "):
            stack.enter_context(torch_only(name.removeprefix("without ")))
        elif name == "bfloat16":
            stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        steps = [_step(generator.train(), noisy) for _ in range(STEPS)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        generator.eval()
        with torch.no_grad():
            inference = [_seconds(partial(generator, noisy)) for _ in range(STEPS)]
    forward, step, cpu = (min(column) for column in zip(*steps, strict=True))
    extra = steps[0][1] - step + inference[0] - min(inference) if name.startswith("compiled") else 0.0
    return Measurement(forward, step, min(inference), cpu, extra, peak)


def _step(generator: torch.nn.Module, noisy: torch.Tensor) -> tuple[float, float, float]:
    start, start_cpu = time.perf_counter(), time.process_time()
    estimate = torch.cat(generator(noisy), dim=1)
    forward = time.perf_counter() - start
    estimate.float().square().mean().backward()
    return forward, time.perf_counter() - start, time.process_time() - start_cpu


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _floor(configuration: Configuration) -> dict[str, float]:
    """Seconds that the operations of a step and of inference would take at the speed of a large matrix product."""
    generator = TSCNet(configuration.width, BINS, configuration.blocks)
    with torch_only(), FlopCounterMode(display=False) as forward:
        estimate = torch.cat(generator(torch.randn(1, 2, FRAMES, BINS)), dim=1)
    with FlopCounterMode(display=False) as backward:
        estimate.square().mean().backward()
    matrix = torch.randn(2048, 2048)
    speed = 2 * 2048**3 / min(_seconds(partial(torch.mm, matrix, matrix)) for _ in range(PRODUCTS))
    inference = configuration.batch * forward.get_total_flops() / speed
    step = inference + configuration.batch * backward.get_total_flops() / speed
    return {"floor_step_s": step, "floor_inference_s": inference}


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
