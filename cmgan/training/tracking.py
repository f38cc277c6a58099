"""Watching a run: its numbers and the sound of one clip, sent to TensorBoard or another of Accelerate's trackers."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from cmgan.dataset import UtterancePair
from cmgan.forward import forward
from cmgan.signal import SAMPLE_RATE, StftSettings, rms_gain
from cmgan.training.validation import whole_utterance

EVENTS = "events"
TENSORBOARD = "tensorboard"


def tracked_accelerator(mixed_precision: str, tracker: str, folder: Path) -> Accelerator:
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
        # What networks note while they train is the same in all processes (see `cmgan.models.global_batch_norm`).
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        cpu=not torch.cuda.is_available(),
        log_with=tracker or None,
        project_dir=str(folder) if tracker else None,
    )


class Tracker:
    """Sends numbers and sounds of a run to the trackers of an Accelerator; to none where it has none.

    Nothing here draws random numbers or changes a network, so that a run is the same with and without it.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._active = bool(accelerator.trackers)

    def log(self, group: str, values: Mapping[str, object], step: int) -> None:
        """Send the numbers of a row, as group/name; what is missing (NaN) or no number is left out."""
        if self._active:
            known = {f"{group}/{name}": float(value) for name, value in values.items() if _is_number(value)}
            self._accelerator.log(known, step=step)

    def sound(self, generator: nn.Module, pair: UtterancePair, stft: StftSettings, step: int) -> None:
        """Send how an utterance sounds, as sound/ID, at the level of its recording; TensorBoard only."""
        board = self._board()
        if board is None:
            return
        was_training = generator.training
        generator.eval()
        with torch.no_grad():
            batch = whole_utterance(pair, next(generator.parameters()).device, stft.hop)
            estimate = forward(generator, batch, stft).waveform / rms_gain(batch.noisy)
        generator.train(was_training)
        board.add_audio(f"sound/{pair.id}", estimate.clamp(-1, 1).cpu(), step, SAMPLE_RATE)
        board.flush()

    def _board(self):
        # Only the main process has a writer behind its tracker.
        names = [tracker.name for tracker in self._accelerator.trackers]
        if TENSORBOARD not in names or not self._accelerator.is_main_process:
            return None
        return self._accelerator.get_tracker(TENSORBOARD, unwrap=True)


@contextmanager
def tracking(accelerator: Accelerator) -> Iterator[Tracker]:
    """The tracker of an Accelerator, started, and ended whatever happens."""
    accelerator.init_trackers(EVENTS)
    try:
        yield Tracker(accelerator)
    finally:
        # Accelerate's own end_training would take down the process group as well.
        for tracker in accelerator.trackers:
            tracker.finish()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
