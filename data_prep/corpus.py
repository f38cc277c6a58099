"""Find clean and noisy recordings that belong together, and what their names show: speaker and split."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

AUDIO_SUFFIXES = (".flac", ".wav")
_SHOWN = 3
_SPLIT_WORDS = (("test", "test"), ("valid", "validation"), ("dev", "validation"), ("train", "train"))
_CORPUS_SPEAKER = re.compile(r"^([ps]\d{3})_")
_LEADING_TOKEN = re.compile(r"^([^_-]+)[_-].")


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


def find_recordings(corpus_folder: str | Path) -> list[Recording]:
    """Pairs under clean… and noisy… folders, at the top or one level down, in the order of their names.

    Files belong together when their paths below clean/ and noisy/ agree but for the suffix. A folder name or a
    leading subfolder with test, valid, dev or train in it decides the split. Raises CorpusError where a folder is
    missing, empty, or holds files without their counterpart.
    """
    corpus_folder = Path(corpus_folder)
    if not corpus_folder.is_dir():
        raise CorpusError(f"{corpus_folder}: no such folder; check the path of the corpus")
    recordings = [
        recording
        for clean_folder, noisy_folder in _folder_pairs(corpus_folder)
        for recording in _paired(clean_folder, noisy_folder, corpus_folder)
    ]
    return _with_speakers(_with_unique_ids(recordings, corpus_folder))


def _folder_pairs(corpus_folder: Path) -> list[tuple[Path, Path]]:
    pairs = []
    lonely = []
    for parent in (corpus_folder, *_subfolders(corpus_folder)):
        by_name = {folder.name.lower(): folder for folder in _subfolders(parent)}
        for name in sorted(name for name in by_name if "clean" in name):
            noisy = by_name.get(name.replace("clean", "noisy"))
            if noisy:
                pairs.append((_innermost(by_name[name]), _innermost(noisy)))
            else:
                lonely.append(by_name[name])
    if not pairs:
        problem = f"{lonely[0]} has no noisy counterpart" if lonely else "no clean/ and noisy/ folders in it"
        raise CorpusError(
            f"{corpus_folder}: {problem}; put the recordings into two folders named clean and noisy"
        )
    return pairs


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _innermost(folder: Path) -> Path:
    # Unpacking archives into a folder of their own name nests them.
    while len(entries := list(folder.iterdir())) == 1 and entries[0].is_dir():
        folder = entries[0]
    return folder


def _paired(clean_folder: Path, noisy_folder: Path, corpus_folder: Path) -> list[Recording]:
    clean, noisy = _audio_files(clean_folder), _audio_files(noisy_folder)
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
        first_part = name.split("/")[0] if "/" in name else ""
        shown_by = (clean_folder.relative_to(corpus_folder).as_posix(), first_part)
        split = next((split for text in shown_by if (split := _split_in(text))), "")
        recordings.append(Recording(name, clean[name], noisy[name], split))
    return recordings


def _audio_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in AUDIO_SUFFIXES or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in files:
            raise CorpusError(
                f"{path}: {files[name].name} has the same name beside it; remove one of the two"
            )
        files[name] = path
    if not files:
        raise CorpusError(f"{folder}: no WAV or FLAC files in it; put the recordings there")
    return files


def _split_in(text: str) -> str:
    return next((split for word, split in _SPLIT_WORDS if word in text.lower()), "")


def _with_unique_ids(recordings: Sequence[Recording], corpus_folder: Path) -> list[Recording]:
    names = [recording.id for recording in recordings]
    if len(set(names)) < len(names):
        names = [item.clean_path.relative_to(corpus_folder).with_suffix("").as_posix() for item in recordings]
    return [replace(item, id=name.replace("/", "-")) for item, name in zip(recordings, names, strict=True)]


def _with_speakers(recordings: Sequence[Recording]) -> list[Recording]:
    folders = {
        recording.clean_path.parent
        for recording in recordings
        if not _split_in(recording.clean_path.parent.name)
    }
    return [replace(recording, speaker=_speaker(recording, len(folders) > 1)) for recording in recordings]


def _speaker(recording: Recording, by_folder: bool) -> str:
    stem = recording.clean_path.stem
    if found := _CORPUS_SPEAKER.match(stem):
        return found[1]
    parent = recording.clean_path.parent.name
    if by_folder and not _split_in(parent):
        return parent
    found = _LEADING_TOKEN.match(stem)
    return found[1] if found else "unknown"
