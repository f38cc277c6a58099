"""The user's own recordings: a tree with clean/ and noisy/, checked before any manifest is written."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from data_prep.audio import (
    SAMPLE_RATE,
    TOLERATED_SECONDS,
    AudioError,
    check_pair,
    read_audio,
    read_header,
    write_audio,
)
from data_prep.corpus import CorpusError, Recording, find_recordings
from data_prep.manifest import Utterance, sha256_of, write_manifest
from data_prep.splits import assign_splits, limit_splits

Result = TypeVar("Result")


def check_corpus(corpus_folder: str | Path, *, resample: bool = False, workers: int = 2) -> int:
    """Look at every file of a corpus without writing any; returns the number of pairs.

    Raises CorpusError or AudioError, as `prepare_folder` would.
    """
    recordings = assign_splits(find_recordings(corpus_folder), seed=0)
    return len(_each(lambda item: _checked(item, resample)[2], recordings, workers))


def prepare_folder(
    corpus_folder: str | Path,
    output_folder: str | Path,
    seed: int,
    *,
    train_utterances: int | None = None,
    validation_utterances: int | None = None,
    test_utterances: int | None = None,
    resample: bool = False,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Check the recordings, split them by speaker and return the path of the manifest.csv written.

    Recordings are referenced where they are; with `resample` those of another sample rate are converted to 16 kHz
    copies under the output folder. Each limit is the largest number of recordings of that split, None for all.
    A noisy recording up to 0.1 s longer or shorter than the clean one is cut at its end, and the note says so.
    Raises CorpusError where the folders do not fit together, AudioError for a recording that cannot be used.
    """
    limits = {"train": train_utterances, "validation": validation_utterances, "test": test_utterances}
    recordings = assign_splits(find_recordings(corpus_folder), seed)
    chosen = limit_splits(recordings, limits, seed)
    return write_corpus(chosen, output_folder, resample=resample, workers=workers, progress=progress)


def write_corpus(
    recordings: Sequence[Recording],
    output_folder: str | Path,
    *,
    resample: bool = False,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Check every recording, write converted copies where asked for, and last the manifest; returns its path.

    `progress` is called with the number of recordings done and of all. Raises CorpusError without recordings,
    AudioError that names the first recording that cannot be used and counts the others.
    """
    if not recordings:
        raise CorpusError(
            f"{output_folder}: no recordings left to prepare; raise the limits or add recordings"
        )
    folder = Path(output_folder)
    manifest = folder / "manifest.csv"
    manifest.unlink(missing_ok=True)
    utterances = _each(lambda item: _prepared(item, folder, resample), recordings, workers, progress)
    return write_manifest(utterances, manifest)


def _each(
    work: Callable[[Recording], Result],
    recordings: Sequence[Recording],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Results of the work in order; the AudioErrors of all recordings are raised as one that counts them."""
    results: list[Result] = []
    problems: list[AudioError] = []
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        pending = [pool.submit(work, recording) for recording in recordings]
        for done, future in enumerate(pending, start=1):
            try:
                results.append(future.result())
            except AudioError as error:
                problems.append(error)
            if progress:
                progress(done, len(recordings))
    if problems:
        others = f" ({len(problems) - 1} more recordings cannot be used)" if len(problems) > 1 else ""
        raise AudioError(f"{problems[0]}{others}")
    return results


def _checked(recording: Recording, resample: bool) -> tuple[np.ndarray, np.ndarray, str]:
    """Clean and noisy samples cut to one length, and a note where they had to be."""
    clean, noisy = (
        read_audio(path, resample_to_16k=resample, tolerated_seconds=TOLERATED_SECONDS)
        for path in (recording.clean_path, recording.noisy_path)
    )
    samples, note = check_pair(clean, noisy, recording.id)
    return clean[:samples], noisy[:samples], note


def _prepared(recording: Recording, folder: Path, resample: bool) -> Utterance:
    usable = replace(
        recording,
        clean_path=_usable_path(recording.clean_path, folder / "clean" / f"{recording.id}.wav", resample),
        noisy_path=_usable_path(recording.noisy_path, folder / "noisy" / f"{recording.id}.wav", resample),
    )
    clean, _, cut = _checked(usable, resample=False)
    return Utterance(
        id=recording.id,
        split=recording.split,
        speaker=recording.speaker,
        clean_path=usable.clean_path,
        noisy_path=usable.noisy_path,
        samples=len(clean),
        sample_rate=SAMPLE_RATE,
        snr_db=None,
        noise="",
        clean_sha256=sha256_of(usable.clean_path),
        noisy_sha256=sha256_of(usable.noisy_path),
        note="; ".join(filter(None, (recording.note, cut))),
    )


def _usable_path(path: Path, copy: Path, resample: bool) -> Path:
    """The recording, or its 16 kHz copy, which is made where there is none with the time of the recording."""
    if not resample or read_header(path, TOLERATED_SECONDS).samplerate == SAMPLE_RATE:
        return path
    time = path.stat().st_mtime_ns
    if not copy.exists() or copy.stat().st_mtime_ns != time:
        samples = read_audio(path, resample_to_16k=True, tolerated_seconds=TOLERATED_SECONDS)
        # Resampling may overshoot a full-scale recording by a fraction of a dB.
        write_audio(copy, np.clip(samples, -1, 1))
        os.utime(copy, ns=(time, time))
    return copy
