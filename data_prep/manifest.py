"""The manifest: one row an utterance pair, the only thing that later steps read."""

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from data_prep.audio import SAMPLE_RATE, AudioError, read_together
from data_prep.whole_files import whole_file

SPLITS = ("train", "validation", "test")
_AGAIN = "run 01_data_preparation again"


class ManifestError(ValueError):
    """A manifest cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Utterance:
    """One clean and noisy pair. Paths are absolute; `samples` is the length both have (readers cut to it)."""

    id: str
    split: str
    speaker: str
    clean_path: Path
    noisy_path: Path
    samples: int
    sample_rate: int
    snr_db: float | None
    noise: str
    clean_sha256: str
    noisy_sha256: str
    note: str = ""

    @classmethod
    def of_files(
        cls,
        name: str,
        split: str,
        speaker: str,
        paths: tuple[Path, Path],
        samples: int,
        snr_db: float | None = None,
        noise: str = "",
        note: str = "",
    ) -> "Utterance":
        """A pair of 16 kHz files, clean and noisy, with their checksums as they are now."""
        sums = map(sha256_of, paths)
        return cls(name, split, speaker, *paths, samples, SAMPLE_RATE, snr_db, noise, *sums, note)

    @property
    def seconds(self) -> float:
        """Duration of the pair."""
        return self.samples / self.sample_rate


COLUMNS = tuple(field.name for field in fields(Utterance))


def write_manifest(utterances: Sequence[Utterance], path: Path) -> Path:
    """Write the manifest whole or not at all; paths inside its folder become relative to it. Returns its path.

    To be called after every audio file is written, so that a manifest stands for a finished corpus.
    Raises ManifestError when there is nothing to write or an id occurs twice.
    """
    _check(utterances, path)
    folder = path.parent.resolve()

    def text(value: str | float | Path | None) -> str | float | None:
        if not isinstance(value, Path):
            return value
        value = value.resolve()
        return (value.relative_to(folder) if value.is_relative_to(folder) else value).as_posix()

    with whole_file(path, durable=True) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([text(getattr(item, name)) for name in COLUMNS] for item in utterances)
    return path


def read_manifest(path: Path) -> list[Utterance]:
    """Utterances of a manifest, in its order.

    Raises ManifestError when the manifest or an audio file it names is missing, a column is missing, a value
    cannot be read, it has no rows, or an id occurs twice.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no manifest there; {_AGAIN}")
    folder = path.parent.resolve()
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ManifestError(f"{path}: columns missing: {', '.join(missing)}; {_AGAIN}")
        utterances = [_utterance(row, folder, f"{path}, line {reader.line_num}") for row in reader]
    _check(utterances, path)
    absent = [
        file for item in utterances for file in (item.clean_path, item.noisy_path) if not file.is_file()
    ]
    if absent:
        raise ManifestError(f"{path}: {len(absent)} audio files missing, first {absent[0]}; {_AGAIN}")
    return utterances


def select_split(utterances: Sequence[Utterance], split: str) -> list[Utterance]:
    """Utterances of one split, in their order. Raises ManifestError where there are none."""
    chosen = [utterance for utterance in utterances if utterance.split == split]
    if not chosen:
        raise ManifestError(
            f"the manifest has no {split} utterances; add speech or raise the limit, then {_AGAIN}"
        )
    return chosen


def read_pair(utterance: Utterance) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy samples cut to the length both have: two (N,) float32 of scale ±1.

    Raises AudioError where a file is unusable, shorter than the manifest says, or changed since.
    """
    item = utterance
    clean, noisy, _ = read_together(item.clean_path, item.noisy_path, item.id)
    for path, noted in ((item.clean_path, item.clean_sha256), (item.noisy_path, item.noisy_sha256)):
        if sha256_of(path) != noted:
            raise AudioError(f"{path}: is not what it was when the manifest was written; {_AGAIN}")
    if len(clean) < item.samples:
        raise AudioError(
            f"{item.clean_path}: {len(clean)} samples where the manifest says {item.samples}; {_AGAIN}"
        )
    return clean[: item.samples], noisy[: item.samples]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _utterance(row: dict[str, str | None], folder: Path, where: str) -> Utterance:
    if None in row.values():
        raise ManifestError(f"{where}: the row is cut short; {_AGAIN}")
    try:
        read = {
            "clean_path": folder / row["clean_path"],
            "noisy_path": folder / row["noisy_path"],
            "samples": int(row["samples"]),
            "sample_rate": int(row["sample_rate"]),
            "snr_db": float(row["snr_db"]) if row["snr_db"] else None,
        }
        return Utterance(**{name: read.get(name, row[name]) for name in COLUMNS})
    except ValueError as error:
        raise ManifestError(f"{where}: a value is missing or unreadable ({error}); {_AGAIN}") from error


def _check(utterances: Sequence[Utterance], path: Path) -> None:
    if not utterances:
        raise ManifestError(f"{path}: a manifest needs at least one utterance; {_AGAIN}")
    ids = Counter(utterance.id for utterance in utterances)
    for utterance in utterances:
        if ids[utterance.id] > 1:
            raise ManifestError(f"{path}: id {utterance.id!r} occurs twice; rename one of the recordings")
        if utterance.split not in SPLITS:
            raise ManifestError(f"{path}: {utterance.id}: unknown split {utterance.split!r}; {_AGAIN}")
        if utterance.samples < 1 or utterance.sample_rate != SAMPLE_RATE:
            raise ManifestError(
                f"{path}: {utterance.id}: {utterance.samples} samples at {utterance.sample_rate} Hz, "
                f"expected at least 1 at {SAMPLE_RATE} Hz; {_AGAIN}"
            )
