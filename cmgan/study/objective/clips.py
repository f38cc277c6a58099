"""Clips whose objective is minimised: from pairs in memory or a folder of recordings, at the network's scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmgan.dataset import UtterancePair
from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, rms_gain
from data_prep.audio import read_audio, read_together
from data_prep.folder import Recording, find_recordings

LEAST_SECONDS = 0.25  # shorter ones have no PESQ
CLIPS_A_BATCH = 8


@dataclass(frozen=True)
class Clips:
    """Clips of one length at the scale where the noisy signal has RMS 1, and the gain that brought them there.

    names of B clips; clean, noisy (B, N) float32; gains (B, 1), dimensionless.
    """

    names: tuple[str, ...]
    clean: Tensor
    noisy: Tensor
    gains: Tensor

    def with_gain(self, gain: float) -> "Clips":
        """The same clips as if normalisation had applied `gain` to files that much quieter. ValueError unless > 0."""
        if not gain > 0 or not math.isfinite(gain):
            raise ValueError(f"gain is {gain:g}: use a positive number, 1 for files of RMS 1")
        return replace(self, gains=torch.full_like(self.gains, gain))

    def part(self, index: int) -> "Clips":
        """One clip, B = 1."""
        one = slice(index, index + 1)
        return Clips(self.names[one], self.clean[one], self.noisy[one], self.gains[one])


def clips_of(pairs: Sequence[UtterancePair], seconds: float = 0.0) -> Clips:
    """The middle `seconds` of every pair (0: as much as the shortest has), normalised as in public code.

    Lengths are cut to whole frames. Raises ValueError, naming the clip, for a silent or too short one.
    """
    if not pairs:
        raise ValueError("there are no clips: give at least one pair of clean and noisy speech")
    shortest = min(pairs, key=lambda pair: len(pair.clean))
    samples = len(shortest.clean)
    if samples < LEAST_SECONDS * SAMPLE_RATE:
        raise ValueError(
            f"{shortest.id}: {samples / SAMPLE_RATE:.2f} s are too short, PESQ needs {LEAST_SECONDS:g} s"
        )
    if seconds:
        samples = min(round(seconds * SAMPLE_RATE), samples)
    samples = samples // CMGAN_STFT.hop * CMGAN_STFT.hop
    cuts = []
    for pair in pairs:
        first = (len(pair.clean) - samples) // 2
        cuts.append(np.stack([pair.clean, pair.noisy])[:, first : first + samples])
        if not cuts[-1].any(axis=1).all():
            raise ValueError(f"{pair.id}: the clip is silent, choose one that holds speech")
    clean, noisy = torch.from_numpy(np.stack(cuts, axis=1))
    gains = rms_gain(noisy)
    return Clips(tuple(pair.id for pair in pairs), gains * clean, gains * noisy, gains)


def batches_of_clips(pairs: Sequence[UtterancePair], seconds: float) -> list[Clips]:
    """The middle `seconds` of every pair, clips of one length together; 0 takes all of each, one by one."""
    cut = [pair for pair in pairs if seconds and len(pair.clean) >= seconds * SAMPLE_RATE]
    whole = [pair for pair in pairs if not seconds or len(pair.clean) < seconds * SAMPLE_RATE]
    groups = [cut[first : first + CLIPS_A_BATCH] for first in range(0, len(cut), CLIPS_A_BATCH)]
    return [clips_of(group, seconds) for group in groups] + [clips_of([pair]) for pair in whole]


def recorded_pairs(folder: Path, limit: int = 0) -> list[UtterancePair]:
    """The pairs of a folder's clean/ and noisy/, `limit` of them evenly spread, 0 for all.

    Lengths that differ by no more than 0.1 s are cut. Raises what `find_recordings` does, and AudioError for what
    cannot be read.
    """
    found = _recordings(folder, limit)
    return [
        UtterancePair(one.id, *read_together(one.clean_path, one.noisy_path, one.id)[:2]) for one in found
    ]


def gains_of_files(folder: Path, limit: int = 0) -> np.ndarray:
    """The gain that normalisation applies to each noisy file, 1 / RMS (n,); silent files are left out.

    limit and errors as in `recorded_pairs`; ValueError where every file is silent.
    """
    waves = (read_audio(one.noisy_path) for one in _recordings(folder, limit))
    powers = np.array([np.square(wave, dtype=np.float64).mean() for wave in waves])
    if not powers.any():
        raise ValueError(f"{folder}: every noisy file is silent")
    return powers[powers > 0] ** -0.5


def _recordings(folder: Path, limit: int) -> list[Recording]:
    found = find_recordings(folder)
    if 0 < limit < len(found):
        return [found[index] for index in np.linspace(0, len(found) - 1, limit).round().astype(int)]
    return found
