"""What PESQ labels and loading cost a training step: python -m benchmarks.bench_training_step.

One batch in turn through steps without labels (constants in their place), with labels scored in a worker during
the backward pass, and with labels scored inline; times are medians of interleaved steps in one process.
"""

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator

from cmgan.dataset import Batch, UtterancePair, epoch_batches
from cmgan.labels import LabelSource
from cmgan.metrics.pesq import PesqScore, PesqWorkers
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.systems import build_generator
from cmgan.recipe import Budget, Recipe
from cmgan.training.checkpoints import TrainingState
from cmgan.training.step import TrainingContext, training_step
from data_prep.whole_files import write_text
from tests.speech_like import noisy_copy, speech_like

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks" / "training_step.csv"
REPEATS = 7
BUDGETS = {
    "laptop profile": Budget(channels=16, blocks=1, discriminator_width=8, batch_size=2, crop_seconds=1.0),
    "study profile": Budget(channels=16, blocks=2, discriminator_width=16, batch_size=4, crop_seconds=2.0),
}


class ConstantScores:
    """Stands in for the scorer of a step without PESQ: every sample scores the same, at no cost."""

    def submit(self, references: np.ndarray, _: np.ndarray) -> "ConstantScores":
        """Note how many scores will be wanted."""
        self._count = len(references)
        return self

    def result(self) -> list[PesqScore]:
        """One score per sample."""
        return [PesqScore(2.0) for _ in range(self._count)]


def main() -> None:
    """Print the table and write results/benchmarks/training_step.csv."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = [row for name, budget in BUDGETS.items() for row in _rows(name, budget)]
    table = pd.DataFrame(rows)
    write_text(table.to_csv(index=False, float_format="%.4g"), RESULTS)
    print(table.to_string(index=False, float_format="%.4g"))


def _rows(name: str, budget: Budget) -> list[dict[str, str | float]]:
    pairs = speech_pairs(2 * budget.batch_size)
    state, accelerator = fresh_state(budget)
    labels = LabelSource(Recipe(), np.random.default_rng(0))

    def step(scorer: PesqWorkers | ConstantScores) -> Callable[[], object]:
        return lambda: training_step(
            next(batches), TrainingContext(state, Recipe(), accelerator, scorer), labels
        )

    batches = endless_batches(pairs, budget)
    with PesqWorkers(1) as worker, PesqWorkers(0) as inline:
        kinds = {
            "without labels": step(ConstantScores()),
            "labels from a worker": step(worker),
            "labels inline": step(inline),
            "loading a batch": lambda: next(batches),
        }
        seconds = _medians(kinds)
    return [
        {"profile": name, "step": kind, "seconds": value, "ratio": value / seconds["without labels"]}
        for kind, value in seconds.items()
    ]


def _medians(kinds: dict[str, Callable[[], object]]) -> dict[str, float]:
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for repeat in range(REPEATS + 1):
        for kind, run in kinds.items():
            started = time.perf_counter()
            run()
            if repeat:  # the first round warms up
                times[kind].append(time.perf_counter() - started)
    return {kind: float(np.median(values)) for kind, values in times.items()}


def speech_pairs(number: int) -> list[UtterancePair]:
    """Synthetic clips of 3 s with white noise, each with its own seed."""
    pairs = []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        clean = speech_like(rng, 3.0)
        noisy = noisy_copy(rng, clean)
        pairs.append(UtterancePair(str(seed), clean.astype(np.float32), noisy.astype(np.float32)))
    return pairs


def endless_batches(pairs: list[UtterancePair], budget: Budget) -> Iterator[Batch]:
    """Crops of all pairs, epoch after epoch."""
    for epoch in count():
        yield from epoch_batches(pairs, budget.batch_size, budget.crop_seconds, 0, epoch, True)


def fresh_state(budget: Budget) -> tuple[TrainingState, Accelerator]:
    """Untrained networks, from torch's generator, with their optimisers."""
    accelerator = Accelerator(cpu=True, mixed_precision=budget.mixed_precision)
    generator = build_generator("tscnet", budget)
    discriminator = MetricDiscriminator(ndf=budget.discriminator_width)
    optimisers = [torch.optim.AdamW(network.parameters(), lr=5e-4) for network in (generator, discriminator)]
    schedules = [torch.optim.lr_scheduler.StepLR(optimiser, 30) for optimiser in optimisers]
    return TrainingState(
        *accelerator.prepare(generator, discriminator, *optimisers), *schedules, accelerator.scaler
    ), accelerator


if __name__ == "__main__":
    main()
