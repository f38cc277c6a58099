"""A run's Accelerator: what its processes tell each other, and the trackers that it can be watched in."""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch import Tensor

from cmgan.signal import SAMPLE_RATE
from data_prep.whole_files import FULL, explained_when_unwritable

EVENTS = "events"
TENSORBOARD = "tensorboard"
Item = TypeVar("Item")


def accelerator_for(mixed_precision: str, tracker: str, folder: Path) -> Accelerator:
    """An Accelerator that logs to the named tracker, "" for none; TensorBoard's events go to folder/events.

    Raises ValueError for a tracker that Accelerate does not know or whose package is not installed.
    """
    available = [str(name) for name in get_available_trackers()]
    if tracker and tracker not in available:
        raise ValueError(
            f"tracker {tracker!r} is not available: install its package (pip install {tracker}) or use one of "
            f"{', '.join(available)}"
        )
    return Accelerator(
        mixed_precision=mixed_precision,
        # Batch statistics are already the same in all processes (see `cmgan.models.conformer`).
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        cpu=not torch.cuda.is_available(),
        log_with=tracker or None,
        project_dir=str(folder) if tracker else None,
    )


def gathered(values: np.ndarray, accelerator: Accelerator) -> np.ndarray:
    """(B,) of each process → (processes · B,) in their order, on all of them; float64."""
    local = torch.as_tensor(values, dtype=torch.float64, device=accelerator.device)
    return accelerator.gather(local).cpu().numpy()


def averaged(values: Mapping[str, float], accelerator: Accelerator) -> dict[str, float]:
    """Means over the processes of values that all of them have under the same names."""
    local = torch.tensor([*values.values()], dtype=torch.float64, device=accelerator.device)
    return dict(zip(values, accelerator.reduce(local, "mean").tolist(), strict=True))


def collected(items: list[Item], accelerator: Accelerator) -> list[Item]:
    """The items of all processes, in their order, on all of them."""
    return items if accelerator.num_processes == 1 else gather_object(items)


class Tracker:
    """Sends numbers and sounds of a run to the trackers of an Accelerator; to none where it has none.

    Nothing here draws random numbers or changes a network, so that a run is the same with and without it. Raises
    OSError that says what to do where the disk that it writes to is full.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        names = [tracker.name for tracker in accelerator.trackers]
        # Only the main process has a writer behind its tracker.
        self.takes_sound = TENSORBOARD in names and accelerator.is_main_process

    def log(self, group: str, values: Mapping[str, object], step: int) -> None:
        """Send the numbers of a row, as group/name; what is missing (NaN) or no number is left out."""
        if self._accelerator.trackers:
            numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
            known = {
                f"{group}/{name}": float(value) for name, value in numbers.items() if math.isfinite(value)
            }
            with _explained(self._accelerator):
                self._accelerator.log(known, step=step)

    def sound(self, name: str, waveform: Tensor, step: int) -> None:
        """Send a waveform (1, N), ±1, as sound/name."""
        board = self._accelerator.get_tracker(TENSORBOARD, unwrap=True)
        with _explained(self._accelerator):
            board.add_audio(f"sound/{name}", waveform.clamp(-1, 1).cpu(), step, SAMPLE_RATE)
            board.flush()


@contextmanager
def tracking(accelerator: Accelerator) -> Iterator[Tracker]:
    """The tracker of an Accelerator, started, and ended whatever happens."""
    told = threading.excepthook

    def hook(thread: threading.ExceptHookArgs) -> None:
        # TensorBoard writes in a thread of its own, and raises its error here too, with the next event.
        if getattr(thread.exc_value, "errno", None) not in FULL:
            told(thread)

    threading.excepthook = hook
    try:
        with _explained(accelerator):
            accelerator.init_trackers(EVENTS)
        try:
            yield Tracker(accelerator)
        except BaseException:
            with suppress(OSError):
                _finish(accelerator)
            raise
        with _explained(accelerator):
            _finish(accelerator)
    finally:
        threading.excepthook = told


def _explained(accelerator: Accelerator) -> AbstractContextManager[None]:
    return explained_when_unwritable(Path(accelerator.project_dir or "") / EVENTS)


def _finish(accelerator: Accelerator) -> None:
    # Accelerate's own end_training would take down the process group as well.
    for tracker in accelerator.trackers:
        tracker.finish()
