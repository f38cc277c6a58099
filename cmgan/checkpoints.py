"""Checkpoints of a run: everything that resuming needs, in one file that is whole or absent."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn


@dataclass
class TrainingState:
    """Both networks with their optimisers and schedules, and where the run stands."""

    generator: nn.Module
    discriminator: nn.Module
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    generator_schedule: torch.optim.lr_scheduler.LRScheduler
    discriminator_schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0
    step: int = 0
    best_pesq: float = float("-inf")
    best_loss: float = float("inf")
    epochs_without_improvement: int = 0

    PARTS = (
        "generator",
        "discriminator",
        "generator_optimiser",
        "discriminator_optimiser",
        "generator_schedule",
        "discriminator_schedule",
    )
    COUNTERS = ("epoch", "step", "best_pesq", "best_loss", "epochs_without_improvement")


def save_state(state: TrainingState, path: Path) -> None:
    """Write the state and torch's random state; the file appears only when complete."""
    content = {name: getattr(state, name).state_dict() for name in TrainingState.PARTS}
    content |= {name: getattr(state, name) for name in TrainingState.COUNTERS}
    content["random_state"] = torch.get_rng_state()
    save_whole(content, path)


def load_state(state: TrainingState, path: Path) -> None:
    """Restore what `save_state` wrote, into `state` and torch's random generator."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    for name in TrainingState.PARTS:
        getattr(state, name).load_state_dict(content[name])
    for name in TrainingState.COUNTERS:
        setattr(state, name, content[name])
    torch.set_rng_state(content["random_state"])


def save_whole(content: dict, path: Path) -> None:
    """torch.save under a temporary name, then rename: a partial file never has the final name."""
    temporary = path.with_name(path.name + ".part")
    torch.save(content, temporary)
    temporary.replace(path)
