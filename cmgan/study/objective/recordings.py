"""A folder of recordings, clean/ and noisy/: its clips, and the gains that the loader applies to its files."""

from pathlib import Path

import numpy as np

from cmgan.dataset import UtterancePair
from data_prep.audio import TOLERATED_SECONDS, check_pair, read_audio


def recorded_pairs(folder: Path, limit: int = 0) -> list[UtterancePair]:
    """The pairs of a folder's clean/ and noisy/, `limit` of them evenly spread, 0 for all.

    Lengths that differ by no more than 0.1 s are cut. Raises FileNotFoundError for a missing folder or file,
    AudioError for what cannot be read, ValueError for no recordings.
    """
    pairs = []
    for file in _clean_files(folder, limit):
        noisy_file = folder / "noisy" / file.name
        clean = read_audio(file, tolerated_seconds=TOLERATED_SECONDS)
        noisy = read_audio(noisy_file, tolerated_seconds=TOLERATED_SECONDS)
        samples, _ = check_pair(clean, noisy, file.stem)
        pairs.append(
            UtterancePair(file.stem, *(signal[:samples].astype(np.float32) for signal in (clean, noisy)))
        )
    return pairs


def gains_of_files(folder: Path, limit: int = 0) -> np.ndarray:
    """The gain that the loader applies to each noisy file, 1 / RMS (n,); silent files are left out.

    limit and errors as in `recorded_pairs`; ValueError where every file is silent.
    """
    files = [folder / "noisy" / file.name for file in _clean_files(folder, limit)]
    powers = np.array(
        [
            np.square(read_audio(file, tolerated_seconds=TOLERATED_SECONDS), dtype=np.float64).mean()
            for file in files
        ]
    )
    if not powers.any():
        raise ValueError(f"{folder / 'noisy'}: every file is silent")
    return powers[powers > 0] ** -0.5


def _clean_files(folder: Path, limit: int) -> list[Path]:
    for side in ("clean", "noisy"):
        if not (folder / side).is_dir():
            raise FileNotFoundError(f"{folder / side}: no such folder; give one that holds clean/ and noisy/")
    files = sorted(path for path in (folder / "clean").iterdir() if path.suffix.lower() in (".wav", ".flac"))
    if not files:
        raise ValueError(f"{folder / 'clean'}: holds no WAV or FLAC files")
    if 0 < limit < len(files):
        files = [files[index] for index in np.linspace(0, len(files) - 1, limit).round().astype(int)]
    missing = [file.name for file in files if not (folder / "noisy" / file.name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder / 'noisy' / missing[0]}: missing; every clean file needs its noisy one"
        )
    return files
