"""A training of the smallest networks: four steps on a corpus of `write_tiny_corpus`."""

from dataclasses import replace
from pathlib import Path

from cmgan.recipe import Budget, Recipe
from cmgan.training.loop import TrainingRun, train

BUDGET = Budget(
    channels=4, blocks=1, discriminator_width=4, epochs=2, batch_size=2, crop_seconds=0.5, threads=1
)


def tiny_run(
    manifest: Path, output: Path, recipe: Recipe | None = None, checkpoint_steps: int = 100, **budget: object
) -> TrainingRun:
    """A run with seed 1; budget: what differs from `BUDGET`."""
    given = recipe or Recipe(), replace(BUDGET, **budget)
    return TrainingRun(manifest, output, *given, 1, "tried", checkpoint_steps=checkpoint_steps)


def quietly(run: TrainingRun) -> Path:
    """Train without a word; returns the run's folder."""
    return train(run, lambda _: None)
