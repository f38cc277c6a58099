"""Join speech with known pauses, set its level, and add noise at a known signal-to-noise ratio."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.audio import SAMPLE_RATE

PEAK_LIMIT = 0.95


@dataclass(frozen=True)
class Pause:
    """A stretch without speech: its place in the utterance and its samples, `stop` excluded."""

    kind: str
    start: int
    stop: int


def join_with_pauses(
    parts: Sequence[np.ndarray], pause_seconds: Sequence[float]
) -> tuple[np.ndarray, list[Pause]]:
    """Speech parts with a pause before the first, between every two, and after the last.

    `pause_seconds` holds one duration more than there are parts; a pause of 0 s is left out of the list.
    Returns (N,) float64 and the pauses. Raises ValueError where the numbers do not fit.
    """
    if len(pause_seconds) != len(parts) + 1:
        raise ValueError(f"{len(parts)} parts need {len(parts) + 1} pauses, got {len(pause_seconds)}")
    kinds = ["leading", *["inner"] * (len(parts) - 1), "trailing"]
    pieces: list[np.ndarray] = []
    pauses: list[Pause] = []
    position = 0
    for kind, seconds, part in zip(kinds, pause_seconds, [*parts, np.zeros(0)], strict=True):
        length = round(seconds * SAMPLE_RATE)
        if length:
            pauses.append(Pause(kind, position, position + length))
        pieces += [np.zeros(length), part]
        position += length + len(part)
    return np.concatenate(pieces), pauses


def active_mask(length: int, pauses: Sequence[Pause]) -> np.ndarray:
    """(N,) bool, true where someone speaks: everywhere but in the pauses."""
    active = np.ones(length, dtype=bool)
    for pause in pauses:
        active[pause.start : pause.stop] = False
    return active


def level_db(samples: np.ndarray) -> float:
    """Mean power in dB relative to full scale 1; minus infinity for silence or no samples."""
    power = float(np.square(samples, dtype=np.float64).mean()) if samples.size else 0.0
    return 10 * float(np.log10(power)) if power > 0 else float("-inf")


def scaled_to(samples: np.ndarray, target_db: float, active: np.ndarray | None = None) -> np.ndarray:
    """Samples scaled so that their active part has the level asked for, in dB relative to full scale.

    Raises ValueError for silence, which no gain brings to a level.
    """
    level = level_db(samples if active is None else samples[active])
    if level == float("-inf"):
        raise ValueError("silence cannot be scaled to a level")
    return samples * 10 ** ((target_db - level) / 20)


def snr_db(clean: np.ndarray, noise: np.ndarray, active: np.ndarray) -> float:
    """Level of the clean signal where someone speaks less the level of the whole noise, in dB.

    The active speech level is what VoiceBank+DEMAND was mixed by (Valentini-Botinhao 2017, ITU-T P.56).
    """
    return level_db(clean[active]) - level_db(noise)


def mix(
    clean: np.ndarray, noise: np.ndarray, active: np.ndarray, snr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy signals whose active SNR is `snr` dB; both are turned down by one gain if one would clip.

    clean, noise (N,) float64, active (N,) bool → two (N,) float64 with peaks of at most PEAK_LIMIT.
    """
    noisy = clean + scaled_to(noise, level_db(clean[active]) - snr)
    peak = max(np.abs(clean).max(), np.abs(noisy).max())
    gain = min(1.0, PEAK_LIMIT / peak)
    return clean * gain, noisy * gain
