"""Checkpoints of a run: everything that resuming needs, in one file that is whole or absent, and the one before."""

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn

from cmgan.torch_files import DamagedFileError, is_whole, load_whole, save_whole

CURRENT, PREVIOUS = "state.pt", "state_previous.pt"
WAY_OUT = (
    "the last checkpoint is as it was; train with a lower learning rate or gradient clipping, and look at the "
    "recordings named"
)


class DivergenceError(ValueError):
    """Training came to a number that is not finite; the message names step, term and samples."""


@dataclass
class TrainingState:
    """Both networks with their optimisers and schedules, and where the run stands.

    scaler: of the losses, where fp16 needs one; epoch: complete ones; batches: of the next epoch, those done; step:
    in all; labels: what `LabelSource.state` gave after the last of them.
    """

    generator: nn.Module
    discriminator: nn.Module
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    generator_schedule: torch.optim.lr_scheduler.LRScheduler
    discriminator_schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler | None
    epoch: int = 0
    batches: int = 0
    step: int = 0
    labels: str = ""
    best_pesq: float = float("-inf")
    best_loss: float = float("inf")
    epochs_without_improvement: int = 0

    def parts(self) -> dict:
        """Networks (without a wrapper for several processes), optimisers, schedules and scaler, by name."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.default is MISSING}
        unwrapped = {
            name: extract_model_from_parallel(part) if isinstance(part, nn.Module) else part
            for name, part in own.items()
        }
        return {name: part for name, part in unwrapped.items() if part is not None}

    @classmethod
    def counters(cls) -> list[str]:
        """Names of what says where the run stands."""
        return [entry.name for entry in fields(cls) if entry.default is not MISSING]


def random_state() -> dict[str, torch.Tensor]:
    """State of torch's random generators in this process."""
    on_gpu = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **on_gpu}


def save_state(state: TrainingState, folder: Path, identity: dict, random_states: list[dict]) -> None:
    """Write the checkpoint of a run beside the one before.

    identity: of the run, so that it is never taken for another's; random_states: `random_state` of every process.
    Raises DivergenceError, and writes nothing, where a number in it is not finite.
    """
    content = {name: part.state_dict() for name, part in state.parts().items()}
    content |= {name: getattr(state, name) for name in TrainingState.counters()}
    content |= {"random_states": random_states, "identity": json.dumps(identity)}
    if name := _not_finite(content):
        raise DivergenceError(f"after step {state.step}, {name} is not finite: {WAY_OUT}")
    newest, current = folder / "state_newest.pt", folder / CURRENT
    save_whole(content, newest)
    # A torn one never takes the place of the last good one.
    if current.exists() and is_whole(current):
        current.replace(folder / PREVIOUS)
    newest.replace(current)


def load_state(state: TrainingState, folder: Path, identity: dict, process: int = 0) -> Path | None:
    """Restore the newest checkpoint that can be read, random generators too; None where there is none.

    process: which of the random states to take. Raises ValueError for the checkpoint of another run, or where
    there are checkpoints and none can be read.
    """
    torn = []
    for path in (folder / CURRENT, folder / PREVIOUS):
        if path.exists():
            content = _content(path)
            if content is None:
                torn.append(path.name)
                continue
            if content.get("identity") != json.dumps(identity):
                raise ValueError(f"{path} is of another run: remove {folder} to train from the beginning")
            _restore(state, content, process)
            return path
    if torn:
        raise ValueError(
            f"{folder}: {' and '.join(torn)} cannot be read: remove {folder} to train from the beginning"
        )
    return None


def start_from(state: TrainingState, path: Path, process: int = 0) -> None:
    """Put a state where another run's checkpoint stands, with a record of its own of what was best.

    Raises ValueError for a file that is no whole checkpoint, or one of other networks.
    """
    if not is_whole(path):
        raise ValueError(f"{path} is not a whole checkpoint: train that run again")
    try:
        _restore(state, load_whole(path), process)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} does not fit this run ({str(error).splitlines()[0]})") from None
    state.best_pesq, state.best_loss, state.epochs_without_improvement = float("-inf"), float("inf"), 0


def _not_finite(content: object, name: str = "") -> str:
    """Name of the first tensor, in dictionaries and lists of them, that holds NaN or infinity; "" for none."""
    if isinstance(content, torch.Tensor):
        return "" if torch.isfinite(content).all() else name
    if isinstance(content, list):
        content = dict(enumerate(content))
    items = content.items() if isinstance(content, dict) else ()
    return next(filter(None, (_not_finite(value, f"{name}.{key}".lstrip(".")) for key, value in items)), "")


def _content(path: Path) -> dict | None:
    """What is in a checkpoint; None for one that is torn or damaged."""
    try:
        return load_whole(path)
    except DamagedFileError:
        return None


def _restore(state: TrainingState, content: dict, process: int) -> None:
    for name, part in state.parts().items():
        part.load_state_dict(content[name])
    for name in TrainingState.counters():
        setattr(state, name, content[name])
    random = content["random_states"][process]
    torch.set_rng_state(random["cpu"])
    if "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"])
