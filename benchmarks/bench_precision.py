"""What bfloat16 (`mixed_precision: bf16`) costs and gains here: python -m benchmarks.bench_precision.

Against float32 by the compiled kernels, on one thread: error of outputs and gradients and CPU time of a step of the
published network, and short trainings of a small one, whose difference is to be read beside that between seeds.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.bench_training_step import endless_batches, fresh_state, speech_pairs
from cmgan.enhancement.waveforms import enhance
from cmgan.labels import LabelSource
from cmgan.metrics.pesq import PesqWorkers, pesq_score
from cmgan.models.tscnet import TSCNet
from cmgan.recipe import Budget, Recipe
from cmgan.signal import SAMPLE_RATE
from cmgan.training.step import TrainingContext, training_step
from data_prep.whole_files import write_text

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks" / "precision.csv"
FRAMES, BINS = 321, 201  # a crop of 2 s
TURNS, STEPS, SEEDS, HELD_OUT = 2, 60, (0, 1), 4
PRECISIONS = {"float32": "no", "bfloat16": "bf16"}
SMALL = {"channels": 16, "blocks": 1, "discriminator_width": 8, "batch_size": 2, "crop_seconds": 0.5}


def main() -> None:
    """Print the table and write results/benchmarks/precision.csv."""
    torch.set_num_threads(1)
    table = pd.DataFrame([*_network_rows(), *_training_rows()])
    table["difference"] = table["bfloat16"] - table["float32"]
    table["ratio"] = table["bfloat16"] / table["float32"]
    write_text(table.to_csv(index=False, float_format="%.4g"), RESULTS)
    print(table.to_string(index=False, float_format="%.4g"))


def _network_rows() -> list[dict[str, str | float]]:
    """Errors are relative: of outputs to their RMS, of a parameter's gradient norm to that in float32."""
    torch.manual_seed(0)
    generator, noisy = TSCNet(dropout=0.0), torch.randn(1, 2, FRAMES, BINS)
    outputs: dict[str, Tensor] = {}
    norms: dict[str, Tensor] = {}
    seconds: dict[str, list[float]] = {name: [] for name in PRECISIONS}
    for _ in range(TURNS):
        for name in PRECISIONS:
            started = time.process_time()
            outputs[name], norms[name] = _step(generator, noisy, name == "bfloat16")
            seconds[name].append(time.process_time() - started)
    error = (outputs["bfloat16"] - outputs["float32"]).square().mean() / outputs["float32"].square().mean()
    # A bias before a norm has a gradient of rounding only.
    told = norms["float32"] > 1e-4 * norms["float32"].max()
    off = (norms["bfloat16"][told] / norms["float32"][told] - 1).abs()
    rows = {
        "outputs, RMS": error.sqrt(),
        "gradient norm, median": off.median(),
        "gradient norm, largest": off.max(),
    }
    return [
        *({"measure": f"relative error of {name}", "bfloat16": value.item()} for name, value in rows.items()),
        {"measure": "CPU seconds a step, width 64"} | {name: min(values) for name, values in seconds.items()},
    ]


def _step(generator: TSCNet, noisy: Tensor, autocast: bool) -> tuple[Tensor, Tensor]:
    """Outputs, and the norm of each parameter's gradient."""
    generator.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        estimate = torch.cat(generator(noisy), dim=1).float()
    estimate.square().mean().backward()
    return estimate.detach(), torch.stack([parameter.grad.norm() for parameter in generator.parameters()])


def _training_rows() -> list[dict[str, str | float]]:
    # One process a training: accelerate keeps one precision for a process.
    jobs = [(seed, precision) for seed in SEEDS for precision in PRECISIONS.values()]
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        done = dict(zip(jobs, pool.map(_train, *zip(*jobs, strict=True)), strict=True))
    return [
        {"measure": f"{measure}, seed {seed}"}
        | {name: done[seed, precision][measure] for name, precision in PRECISIONS.items()}
        for seed in SEEDS
        for measure in done[seed, "no"]
    ]


def _train(seed: int, mixed_precision: str) -> dict[str, float]:
    """Means over the last ten of the steps, and of PESQ on clips held out."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    budget = Budget(**SMALL, mixed_precision=mixed_precision)
    pairs = speech_pairs(8 + HELD_OUT)
    batches = endless_batches(pairs[HELD_OUT:], budget)
    state, accelerator = fresh_state(budget)
    labels = LabelSource(Recipe(), np.random.default_rng(seed))
    started = time.process_time()
    with PesqWorkers(0) as scorer:
        steps = [
            training_step(next(batches), TrainingContext(state, Recipe(), accelerator, scorer), labels)
            for _ in range(STEPS)
        ]
    seconds = time.process_time() - started
    scores = [
        pesq_score(pair.clean, enhance(state.generator, pair.noisy, SAMPLE_RATE)).value
        for pair in pairs[:HELD_OUT]
    ]
    return {
        "loss at the end": float(np.mean([step["loss_total"] for step in steps[-10:]])),
        "PESQ of held-out clips": float(np.mean(scores)),
        f"CPU seconds for {STEPS} steps, width 16": seconds,
    }


if __name__ == "__main__":
    main()
