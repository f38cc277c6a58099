"""Random crops of utterances together with where there is speech in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmgan.dataset import UtterancePair
from cmgan.signal import SAMPLE_RATE
from cmgan.study.silence.activity import active_samples, duration_ms

DRAWS_PER_CROP = 200


@dataclass(frozen=True)
class SpeechCrop:
    """A random crop: clean and noisy (N,) at the scale of their files, active (N,) bool where there is speech."""

    id: str
    clean: np.ndarray
    noisy: np.ndarray
    active: np.ndarray

    @property
    def active_ms(self) -> float:
        """Milliseconds of speech."""
        return duration_ms(int(self.active.sum()))


class CropSource:
    """Draws crops of one length; activity is found once an utterance, against the whole utterance's loud level."""

    def __init__(self, pairs: Sequence[UtterancePair], seconds: float, rng: np.random.Generator) -> None:
        if not pairs:
            raise ValueError("no utterances to crop: run 01_data_preparation first")
        self._pairs = pairs
        self._active = [active_samples(pair.clean) for pair in pairs]
        self._samples = round(seconds * SAMPLE_RATE)
        self._rng = rng

    def draw(self) -> SpeechCrop:
        """A crop from a random place of a random utterance; a shorter utterance repeats, as in training."""
        index = self._rng.integers(len(self._pairs))
        pair, active, samples = self._pairs[index], self._active[index], self._samples
        start = self._rng.integers(max(len(pair.clean) - samples, 0) + 1)
        parts = (np.resize(part[start:], samples) for part in (pair.clean, pair.noisy, active))
        return SpeechCrop(pair.id, *parts)

    def draw_with_speech(self, least_ms: float) -> SpeechCrop:
        """A crop with at least that much active speech; ValueError when none turns up."""
        for _ in range(DRAWS_PER_CROP):
            drawn = self.draw()
            if drawn.active_ms >= least_ms:
                return drawn
        raise ValueError(f"no crop with {least_ms} ms of speech in {DRAWS_PER_CROP} draws: lower doses_ms")


def window_of_speech(active: np.ndarray, dose_ms: float, rng: np.random.Generator) -> np.ndarray:
    """A contiguous window at a random place that holds `dose_ms` of the active samples: (N,) bool → (N,) bool.

    It begins and ends in speech and is empty for a dose of 0. ValueError when there is less speech than that.
    """
    places = np.flatnonzero(active)
    count = round(dose_ms * SAMPLE_RATE / 1000)
    if count > len(places):
        raise ValueError(f"{duration_ms(len(places)):g} ms of speech do not hold {dose_ms} ms")
    window = np.zeros(len(active), dtype=bool)
    if count:
        first = rng.integers(len(places) - count + 1)
        window[places[first] : places[first + count - 1] + 1] = True
    return window
