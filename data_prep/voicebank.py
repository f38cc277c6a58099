"""VoiceBank+DEMAND from a folder holding the four published archives, packed or unpacked."""

import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from data_prep.corpus import AUDIO_SUFFIXES, CorpusError, find_recordings
from data_prep.folder import write_corpus
from data_prep.splits import assign_splits, hold_out_speakers, limit_splits

FOLDERS = (
    "clean_trainset_28spk_wav",
    "noisy_trainset_28spk_wav",
    "clean_testset_wav",
    "noisy_testset_wav",
)
VALIDATION_SPEAKERS = ("p226", "p287")
_WHERE = (
    "download the four archives of Valentini-Botinhao (2017), DOI 10.7488/ds/2117, from Edinburgh DataShare "
    "and put them into this folder, packed or unpacked"
)


def prepare_voicebank(
    corpus_folder: str | Path,
    output_folder: str | Path,
    seed: int,
    *,
    train_utterances: int | None = None,
    validation_utterances: int | None = None,
    test_utterances: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Convert the 28-speaker corpus from 48 to 16 kHz and return the path of its manifest.csv.

    Speakers p226 and p287 are held out of training for validation. Archives are unpacked under the output folder
    once; nothing is downloaded. Each limit is the largest number of recordings of that split, None for all.
    Raises CorpusError where an archive is missing or damaged, AudioError for a recording that cannot be used.
    """
    corpus_folder, output_folder = Path(corpus_folder), Path(output_folder)
    if not corpus_folder.is_dir():
        raise CorpusError(f"{corpus_folder}: no such folder; {_WHERE}")
    missing = [
        name for name in FOLDERS if not (_unpacked(corpus_folder, name) or _archive(corpus_folder, name))
    ]
    if missing:
        raise CorpusError(f"{corpus_folder}: {', '.join(missing)} missing; {_WHERE}")
    packed = [name for name in FOLDERS if not _unpacked(corpus_folder, name)]
    if packed and len(packed) < len(FOLDERS):
        raise CorpusError(
            f"{corpus_folder}: only {', '.join(packed)} still packed; unpack them beside the others"
        )
    if packed:
        for name in packed:
            _unpack(corpus_folder / f"{name}.zip", output_folder / "unpacked" / name)
        corpus_folder = output_folder / "unpacked"
    recordings = assign_splits(hold_out_speakers(find_recordings(corpus_folder), VALIDATION_SPEAKERS), seed)
    limits = {"train": train_utterances, "validation": validation_utterances, "test": test_utterances}
    chosen = limit_splits(recordings, limits, seed)
    return write_corpus(chosen, output_folder, resample=True, workers=workers, progress=progress)


def _unpacked(corpus_folder: Path, name: str) -> bool:
    return (corpus_folder / name).is_dir()


def _archive(corpus_folder: Path, name: str) -> bool:
    return (corpus_folder / f"{name}.zip").is_file()


def _unpack(archive: Path, folder: Path) -> None:
    """Put the recordings of an archive into a folder without the archive's own folders; a folder there is kept."""
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                name = Path(member.filename).name
                # Archives made on a Mac carry a hidden "._" companion of every file.
                if name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith("."):
                    with packed.open(member) as source, (partial / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{archive}: damaged archive ({error}); download it again") from error
    partial.replace(folder)
