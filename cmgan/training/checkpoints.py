"""Checkpoints of a run: everything that resuming needs, in one file that is whole or absent, and the one before."""

import json
import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils import extract_model_from_parallel
from torch import nn

CURRENT, PREVIOUS = "state.pt", "state_previous.pt"


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

    NETWORKS = ("generator", "discriminator")
    OPTIMISATION = (
        "generator_optimiser",
        "discriminator_optimiser",
        "generator_schedule",
        "discriminator_schedule",
        "scaler",
    )
    COUNTERS = (
        "epoch",
        "batches",
        "step",
        "labels",
        "best_pesq",
        "best_loss",
        "epochs_without_improvement",
    )

    def parts(self) -> dict:
        """Networks (without a wrapper for several processes), optimisers, schedules and scaler, by name."""
        networks = {name: extract_model_from_parallel(getattr(self, name)) for name in self.NETWORKS}
        optimisation = {name: getattr(self, name) for name in self.OPTIMISATION}
        return networks | {name: part for name, part in optimisation.items() if part is not None}


def random_state() -> dict[str, torch.Tensor]:
    """State of torch's random generators in this process."""
    on_gpu = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **on_gpu}


def save_state(state: TrainingState, folder: Path, identity: dict, random_states: list[dict]) -> None:
    """Write the checkpoint of a run beside the one before.

    identity: of the run, so that it is never taken for another's; random_states: `random_state` of every process.
    """
    content = {name: part.state_dict() for name, part in state.parts().items()}
    content |= {name: getattr(state, name) for name in TrainingState.COUNTERS}
    content |= {"random_states": random_states, "identity": json.dumps(identity)}
    newest, current = folder / "state_newest.pt", folder / CURRENT
    save_whole(content, newest)
    # A torn one never takes the place of the last good one.
    if current.exists() and _is_whole(current):
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
            if not _is_whole(path):
                torn.append(path.name)
                continue
            _restore(state, _content(path, identity), process)
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
    if not _is_whole(path):
        raise ValueError(f"{path} is not a whole checkpoint: train that run again")
    try:
        _restore(state, torch.load(path, map_location="cpu", weights_only=True), process)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} does not fit this run ({str(error).splitlines()[0]})") from None
    state.best_pesq, state.best_loss, state.epochs_without_improvement = float("-inf"), float("inf"), 0


def _is_whole(path: Path) -> bool:
    """Whether a file is what torch.save wrote, to its end and with the right checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError):
        return False


def _content(path: Path, identity: dict) -> dict:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError):
        content = None
    if not isinstance(content, dict) or content.get("identity") != json.dumps(identity):
        raise ValueError(f"{path} is of another run: remove {path.parent} to train from the beginning")
    return content


def _restore(state: TrainingState, content: dict, process: int) -> None:
    for name, part in state.parts().items():
        part.load_state_dict(content[name])
    for name in TrainingState.COUNTERS:
        setattr(state, name, content[name])
    random = content["random_states"][process]
    torch.set_rng_state(random["cpu"])
    if "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"])


def save_whole(content: dict, path: Path) -> None:
    """torch.save under a temporary name, then rename: a partial file never has the final name."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
