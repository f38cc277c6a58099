"""Noisy and clean utterances in memory, and random crops of them in a seeded order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmgan.signal import SAMPLE_RATE
from data_prep.manifest import read_manifest, read_pair, select_split


@dataclass(frozen=True)
class UtterancePair:
    """One utterance, clean and noisy: float32 (N,) each, ±1, 16 kHz."""

    id: str
    clean: np.ndarray
    noisy: np.ndarray

    def at_rms(self, rms: float) -> "UtterancePair":
        """Both signals scaled by one number, so that the noisy one has this RMS; silence stays silence."""
        level = float(np.sqrt(np.mean(np.square(self.noisy, dtype=np.float64))))
        scale = np.float32(rms / level if level else 1.0)
        return UtterancePair(self.id, self.clean * scale, self.noisy * scale)


@dataclass(frozen=True)
class Batch:
    """Crops of B utterances at the scale of their files: clean, noisy (B, N) float32; ids of the utterances."""

    clean: Tensor
    noisy: Tensor
    ids: tuple[str, ...]


def load_pairs(manifest: Path, split: str, limit: int = 0) -> list[UtterancePair]:
    """Decode the utterances of a split once; `limit` > 0 takes that many, evenly spread over the split.

    Raises ManifestError for a missing manifest or an empty split, AudioError for an unusable file.
    """
    utterances = select_split(read_manifest(manifest), split)
    if 0 < limit < len(utterances):
        utterances = [utterances[i] for i in np.linspace(0, len(utterances) - 1, limit).round().astype(int)]
    return [UtterancePair(utterance.id, *read_pair(utterance)) for utterance in utterances]


def crop(pair: UtterancePair, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy (samples,) from one random place; a shorter utterance repeats from its beginning.

    Source: public code fact (random place, shorter files repeat).
    """
    available = len(pair.clean)
    if available <= samples:
        return np.resize(pair.clean, samples), np.resize(pair.noisy, samples)
    start = rng.integers(available - samples + 1)
    return pair.clean[start : start + samples], pair.noisy[start : start + samples]


def epoch_batches(
    pairs: list[UtterancePair],
    batch_size: int,
    crop_seconds: float,
    seed: int,
    epoch: int,
    reshuffle: bool,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[Batch]:
    """Batches of one epoch, the last incomplete one dropped; the same seed and epoch give the same batches.

    With reshuffle off every epoch keeps the first one's order, while the crops still move (public multi-GPU
    loader). Of `ranks` processes each gets its part of a batch that is `ranks` times as large, the same batch
    and crops that one process would get with that size.
    """
    order = np.random.default_rng([seed, epoch if reshuffle else 0, 0]).permutation(len(pairs))
    crops = np.random.default_rng([seed, epoch, 1, 0])
    samples, together = round(crop_seconds * SAMPLE_RATE), batch_size * ranks
    for first in range(0, batches_per_epoch(len(pairs), batch_size, ranks) * together, together):
        # Every process draws all the places, so that all draw the same ones.
        places = [(pairs[i], crop(pairs[i], samples, crops)) for i in order[first : first + together]]
        chosen, cut = zip(*places[rank * batch_size : (rank + 1) * batch_size], strict=True)
        clean, noisy = zip(*cut, strict=True)
        yield Batch(
            torch.from_numpy(np.stack(clean)),
            torch.from_numpy(np.stack(noisy)),
            tuple(pair.id for pair in chosen),
        )


def batches_per_epoch(utterances: int, batch_size: int, ranks: int = 1) -> int:
    """Complete batches of an epoch for one process, the same for every rank."""
    batches = utterances // (ranks * batch_size)
    if batches == 0:
        raise ValueError(
            f"{utterances} training utterances do not fill one batch of {batch_size} for {ranks} process(es): "
            "lower batch_size or add data"
        )
    return batches
