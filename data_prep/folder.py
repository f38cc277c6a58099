"""Recordings in a folder: clean and noisy found, split by speaker, checked, and converted where asked for."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from data_prep.audio import (
    SAMPLE_RATE,
    AudioError,
    files_by_name,
    read_audio,
    read_header,
    read_together,
    write_audio,
)
from data_prep.manifest import SPLITS, Utterance, write_manifest
from data_prep.whole_files import alone_in

_SHOWN = 3
_SPLIT_WORDS = {"test": "test", "valid": "validation", "dev": "validation", "train": "train"}
_CORPUS_SPEAKER = re.compile(r"^([ps]\d{3})_")
_LEADING_TOKEN = re.compile(r"^([^_-]+)[_-].")
_EVALUATED_SHARE = 0.15

Result = TypeVar("Result")


class CorpusError(ValueError):
    """A corpus folder cannot be used; the message names the folder or file, what is wrong and what to do."""


@dataclass(frozen=True)
class Recording:
    """A pair of files; split and speaker are empty where nothing shows them."""

    id: str
    clean_path: Path
    noisy_path: Path
    split: str = ""
    speaker: str = ""
    note: str = ""


def find_recordings(corpus_folder: Path, speaker_pattern: str = "") -> list[Recording]:
    """Pairs under clean… and noisy… folders, at the top or one level down, in the order of their names.

    Files belong together when their paths below clean/ and noisy/ agree but for the suffix. A folder name or a
    leading subfolder with test, valid, dev or train in it decides the split. The speaker is what the group of the
    regular expression finds in the path below clean/, without suffix. Without one it is the beginning of a name like
    p232_001, else the subfolder where there are several, else what a name has before its first - or _.
    Raises CorpusError where a folder is missing, or holds files without their counterpart or the pattern, AudioError
    where one is empty.
    """
    if not corpus_folder.is_dir():
        raise CorpusError(f"{corpus_folder}: no such folder; check the path of the corpus")
    found = [item for folders in _folder_pairs(corpus_folder) for item in _paired(*folders, corpus_folder)]
    if speaker_pattern:
        speakers = _speakers_by_pattern(found, speaker_pattern)
    else:
        folders = [_speaker_folder(item.id) for item in found]
        several = len({*folders} - {""}) > 1
        speakers = [
            _speaker(item.clean_path, several and own) for item, own in zip(found, folders, strict=True)
        ]
    names = [item.id for item in found]
    if len(set(names)) < len(names):
        names = [item.clean_path.relative_to(corpus_folder).with_suffix("").as_posix() for item in found]
    return [
        replace(item, id=name.replace("/", "-"), speaker=speaker)
        for item, name, speaker in zip(found, names, speakers, strict=True)
    ]


def assign_splits(recordings: Sequence[Recording], seed: int) -> list[Recording]:
    """Give every recording a split, by speaker wherever the number of speakers allows it.

    Splits that the folders show stay. Otherwise, of three speakers or more about 15 % of the recordings, whole
    speakers, go to test and validation each; of two, the one with more recordings trains and the other tests; one
    is split by recording. Where no speaker is left for validation it takes 15 % of the training recordings.
    Raises CorpusError where there are too few recordings for three splits.
    """
    rng = np.random.default_rng(seed)
    shown = {recording.split for recording in recordings}
    if shown == {""}:
        assigned = _split_by_speaker(recordings, rng)
    elif "" in shown:
        odd = next(recording for recording in recordings if not recording.split)
        raise CorpusError(
            f"{odd.clean_path}: not in a train, validation or test folder as others are; move it"
        )
    elif not {"train", "test"} <= shown:
        raise CorpusError(
            f"{recordings[0].clean_path.parent}: the folders show only {', '.join(sorted(shown))} recordings; "
            f"add train and test, or put all in one clean/ and noisy/"
        )
    else:
        assigned = list(recordings)
    if all(recording.split != "validation" for recording in assigned):
        assigned = _hold_out(assigned, "validation", rng)
    return assigned


def limit_splits(
    recordings: Sequence[Recording], limits: Mapping[str, int | None], seed: int
) -> list[Recording]:
    """At most the given number of recordings of each split, drawn at random and kept in order.

    A split without a limit, or with None, stays whole. A larger limit keeps what a smaller one kept.
    """
    kept: list[Recording] = []
    for position, split in enumerate(SPLITS):
        limit = limits.get(split)
        members = [recording for recording in recordings if recording.split == split]
        draws = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(position,)))
        kept += [members[index] for index in sorted(draws.permutation(len(members))[:limit])]
    return kept


def check_corpus(corpus_folder: Path, speaker_pattern: str = "") -> None:
    """Look at every file of a 16 kHz corpus; raises CorpusError or AudioError as `prepare_folder` would."""
    recordings = assign_splits(find_recordings(corpus_folder, speaker_pattern), seed=0)
    _each(lambda item: read_together(item.clean_path, item.noisy_path, item.id), recordings, workers=2)


def prepare_folder(
    corpus_folder: Path,
    output_folder: Path,
    seed: int,
    limits: Mapping[str, int | None],
    *,
    speaker_pattern: str = "",
    resample: bool = False,
    workers: int = 2,
) -> Path:
    """Check the recordings, split them by speaker and return the path of the manifest.csv written.

    Recordings are referenced where they are; with `resample` those of another sample rate are converted to 16 kHz
    copies under the output folder. limits: of `limit_splits`. Pairs are cut as `read_together` does. Raises
    CorpusError where the folders do not fit together, AudioError for a recording that cannot be used, BlockingIOError
    where another process prepares a corpus there.
    """
    recordings = assign_splits(find_recordings(corpus_folder, speaker_pattern), seed)
    with alone_in(output_folder):
        return write_corpus(limit_splits(recordings, limits, seed), output_folder, resample, workers)


def write_corpus(recordings: Sequence[Recording], output_folder: Path, resample: bool, workers: int) -> Path:
    """Check every recording (AudioError), write copies where asked for, and last the manifest; returns its path."""
    manifest = output_folder / "manifest.csv"
    manifest.unlink(missing_ok=True)
    utterances = _each(lambda item: _prepared(item, output_folder, resample), recordings, workers)
    return write_manifest(utterances, manifest)


def _folder_pairs(corpus_folder: Path) -> list[tuple[Path, Path]]:
    folders = {
        (path.parent, path.name.lower()): path
        for pattern in ("*", "*/*")
        for path in sorted(corpus_folder.glob(pattern))
        if path.is_dir()
    }
    pairs = [
        (_innermost(folder), _innermost(folders[counterpart]))
        for (parent, name), folder in folders.items()
        if "clean" in name and (counterpart := (parent, name.replace("clean", "noisy"))) in folders
    ]
    if not pairs:
        raise CorpusError(
            f"{corpus_folder}: no clean/ and noisy/ beside each other; put the recordings into folders so named"
        )
    return pairs


def _innermost(folder: Path) -> Path:
    # Unpacking archives into a folder of their own name nests them.
    while len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    return folder


def _paired(clean_folder: Path, noisy_folder: Path, corpus_folder: Path) -> list[Recording]:
    clean, noisy = files_by_name(clean_folder), files_by_name(noisy_folder)
    lonely = [clean[name] for name in sorted(clean.keys() - noisy.keys())]
    lonely += [noisy[name] for name in sorted(noisy.keys() - clean.keys())]
    if lonely:
        names = ", ".join(str(path.relative_to(corpus_folder)) for path in lonely[:_SHOWN])
        more = f" and {len(lonely) - _SHOWN} more" if len(lonely) > _SHOWN else ""
        raise CorpusError(
            f"{corpus_folder}: {len(lonely)} files without a counterpart of the same name in clean and noisy: "
            f"{names}{more}; add the missing ones or remove these"
        )
    recordings = []
    for name in sorted(clean):
        leading, below, _ = name.partition("/")
        split = _split_in(clean_folder.relative_to(corpus_folder).as_posix()) or _split_in(below and leading)
        recordings.append(Recording(name, clean[name], noisy[name], split))
    return recordings


def _split_in(text: str) -> str:
    return next((split for word, split in _SPLIT_WORDS.items() if word in text.lower()), "")


def _speaker_folder(name: str) -> str:
    """The innermost folder of a path below clean/, "" where it has none or one that names a split."""
    folder = PurePosixPath(name).parent.name
    return "" if _split_in(folder) else folder


def _speaker(clean_path: Path, folder: str) -> str:
    if found := _CORPUS_SPEAKER.match(clean_path.stem):
        return found[1]
    found = _LEADING_TOKEN.match(clean_path.stem)
    return folder or (found[1] if found else "unknown")


def _speakers_by_pattern(recordings: Sequence[Recording], pattern: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise CorpusError(f"speaker pattern {pattern!r}: not a regular expression ({error})") from error
    if compiled.groups != 1:
        raise CorpusError(f"speaker pattern {pattern!r}: give it one group, around the speaker: ^([^_]+)_")
    found = [compiled.search(recording.id) for recording in recordings]
    unnamed = [item for item, match in zip(recordings, found, strict=True) if not (match and match[1])]
    if unnamed:
        raise CorpusError(
            f"{unnamed[0].clean_path}: the speaker pattern {pattern!r} finds no speaker in {unnamed[0].id!r} "
            f"({len(unnamed)} of {len(recordings)} recordings)"
        )
    return [match[1] for match in found]


def _split_by_speaker(recordings: Sequence[Recording], rng: np.random.Generator) -> list[Recording]:
    count = Counter(recording.speaker for recording in recordings)
    speakers = sorted(count)
    if len(speakers) == 1:
        return _hold_out([replace(recording, split="train") for recording in recordings], "test", rng)
    if len(speakers) == 2:
        trains = max(speakers, key=count.__getitem__)
        return [replace(item, split="train" if item.speaker == trains else "test") for item in recordings]
    wanted = _EVALUATED_SHARE * len(recordings)
    order = [speakers[index] for index in rng.permutation(len(speakers))]
    split_of: dict[str, str] = {}
    for split, to_leave in (("test", 2), ("validation", 1)):
        taken = 0
        while len(order) > to_leave:
            name = next((name for name in order if taken + count[name] <= wanted), None)
            if name is None and taken:
                break
            # Where no speaker is small enough, one must be taken whole all the same.
            name = name or min(order, key=count.__getitem__)
            order.remove(name)
            taken += count[name]
            split_of[name] = split
    return [replace(recording, split=split_of.get(recording.speaker, "train")) for recording in recordings]


def _hold_out(recordings: list[Recording], split: str, rng: np.random.Generator) -> list[Recording]:
    """Move 15 % of the training recordings, at least one, to another split, and say so in their note."""
    members = [index for index, recording in enumerate(recordings) if recording.split == "train"]
    if len(members) < 2:
        raise CorpusError(
            f"{recordings[0].clean_path.parent}: {len(members)} recordings left to take {split} recordings from; "
            f"add recordings, preferably of three speakers or more"
        )
    moved = rng.permutation(members)[: max(1, round(_EVALUATED_SHARE * len(members)))]
    note = f"{split} shares its speaker with train"
    return [
        replace(recording, split=split, note=note) if index in moved else recording
        for index, recording in enumerate(recordings)
    ]


def _each(work: Callable[[Recording], Result], recordings: Sequence[Recording], workers: int) -> list[Result]:
    """Results of the work in order; the AudioErrors of all recordings are raised as one that counts them."""

    def attempt(recording: Recording) -> Result | AudioError:
        try:
            return work(recording)
        except AudioError as error:
            return error

    results = thread_map(
        attempt, recordings, max_workers=workers, tqdm_class=tqdm, unit="utterance", disable=None
    )
    problems = [result for result in results if isinstance(result, AudioError)]
    if problems:
        others = f" ({len(problems) - 1} more recordings cannot be used)" if len(problems) > 1 else ""
        raise AudioError(f"{problems[0]}{others}")
    return results


def _prepared(recording: Recording, folder: Path, resample: bool) -> Utterance:
    clean_path, noisy_path = recording.clean_path, recording.noisy_path
    if resample:
        clean_path = _at_16_khz(clean_path, folder / "clean" / f"{recording.id}.wav")
        noisy_path = _at_16_khz(noisy_path, folder / "noisy" / f"{recording.id}.wav")
    clean, _, cut = read_together(clean_path, noisy_path, recording.id)
    note = "; ".join(filter(None, (recording.note, cut)))
    paths = clean_path, noisy_path
    return Utterance.of_files(recording.id, recording.split, recording.speaker, paths, len(clean), note=note)


def _at_16_khz(path: Path, copy: Path) -> Path:
    """The recording, or its 16 kHz copy, which is made where there is none with the time of the recording."""
    if read_header(path).samplerate == SAMPLE_RATE:
        return path
    time = path.stat().st_mtime_ns
    if not copy.exists() or copy.stat().st_mtime_ns != time:
        samples = read_audio(path, resample_to_16k=True)
        # Resampling may overshoot a full-scale recording by a fraction of a dB.
        write_audio(copy, np.clip(samples, -1, 1))
        os.utime(copy, ns=(time, time))
    return copy
