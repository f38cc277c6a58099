"""A corpus of a few short utterances, enough to train on for a moment."""

from pathlib import Path

import numpy as np

from data_prep.audio import write_audio
from data_prep.manifest import Utterance, write_manifest
from tests.speech_like import noisy_copy, speech_like


def write_tiny_corpus(
    folder: Path,
    rng: np.random.Generator,
    utterances: int = 6,
    held_out: int = 2,
    split: str = "validation",
) -> Path:
    """Clean and noisy WAV files of 0.6 s, the last `held_out` of them in `split`, and their manifest's path."""
    rows = []
    for number in range(utterances):
        clean = speech_like(rng, 0.6)
        paths = folder / f"clean{number}.wav", folder / f"noisy{number}.wav"
        write_audio(paths[0], clean)
        write_audio(paths[1], np.clip(noisy_copy(rng, clean), -0.99, 0.99))
        part = "train" if number < utterances - held_out else split
        rows.append(Utterance.of_files(f"u{number}", part, "s", paths, len(clean)))
    return write_manifest(rows, folder / "manifest.csv")
