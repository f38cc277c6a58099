"""VoiceBank+DEMAND with 28 training speakers: downloaded, or from a folder in any usual layout."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from data_prep.audio import SUFFIXES, AudioError
from data_prep.download import fetch
from data_prep.folder import (
    CorpusError,
    Recording,
    assign_splits,
    find_recordings,
    limit_splits,
    write_corpus,
)
from data_prep.manifest import read_manifest
from data_prep.whole_files import alone_in, whole_file, write_text

FOLDERS = (
    "clean_trainset_28spk_wav",
    "noisy_trainset_28spk_wav",
    "clean_testset_wav",
    "noisy_testset_wav",
)
TRANSCRIPTS = ("trainset_28spk_txt", "testset_txt")
BASE_URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2791"
LICENCE = """VoiceBank+DEMAND: Valentini-Botinhao, C. (2017), Noisy speech database for training speech enhancement
algorithms and TTS models, University of Edinburgh, https://doi.org/10.7488/ds/2117.
Licence: Creative Commons Attribution 4.0 International (CC BY 4.0).
"""
# The test speakers as published; those for validation are the study's choice.
HELD_OUT = {"p226": "validation", "p287": "validation", "p232": "test", "p257": "test"}
PUBLISHED_COUNTS = {"training and validation": 11_572, "test": 824}
_WHERE = (
    "download the archives of Valentini-Botinhao (2017), DOI 10.7488/ds/2117, from Edinburgh DataShare and put them "
    "into this folder, packed or unpacked, or leave the folder out to have them downloaded"
)
# The published archives hold at most 11,572 recordings and some GB; speech does not shrink below a twentieth.
_MOST_FILES = 100_000
_MOST_BYTES = 50 * 2**30
_MOST_SHRUNK = 100
_CHUNK = 1 << 20


def download_voicebank(folder: Path, base_url: str = BASE_URL, report: Callable[[str], None] = print) -> None:
    """Fetch the six archives that are not in the folder, note their licence and unpack the recordings there.

    Raises what `fetch` does, CorpusError for an archive that is not to be trusted, and BlockingIOError where another
    process downloads into the folder.
    """
    packed = [name for name in FOLDERS if not (folder / name).is_dir()]
    if not packed:
        return
    with alone_in(folder):
        fetch([f"{name}.zip" for name in (*packed, *TRANSCRIPTS)], base_url, folder, report)
        write_text(LICENCE, folder / "LICENCE.txt")
        for name in packed:
            report(f"unpacking {name}.zip")
            unpack_recordings(folder / f"{name}.zip", folder / name)


def prepare_voicebank(
    corpus_folder: Path, output_folder: Path, seed: int, limits: Mapping[str, int | None], *, workers: int = 2
) -> Path:
    """Convert the corpus to 16 kHz where it is not and return the path of its manifest.csv.

    The folder holds the four archives, packed or unpacked, or clean and noisy folders in any layout that
    `find_recordings` reads. Archives are unpacked under the output folder once. limits: of `limit_splits`. Raises
    CorpusError where recordings are missing or of other speakers or an archive is not to be trusted, AudioError for a
    recording that cannot be used, BlockingIOError where another process prepares a corpus there.
    """
    if not corpus_folder.is_dir():
        raise CorpusError(f"{corpus_folder}: no such folder; {_WHERE}")
    with alone_in(output_folder):
        corpus_folder = _unpacked(corpus_folder, output_folder / "unpacked")
        try:
            found = find_recordings(corpus_folder)
        except (CorpusError, AudioError) as error:
            raise CorpusError(f"{error}; or {_WHERE}") from error
        recordings = assign_splits([_in_published_split(recording) for recording in found], seed)
        chosen = limit_splits(recordings, limits, seed)
        return write_corpus(chosen, output_folder, resample=True, workers=workers)


def count_notes(manifest: Path) -> list[str]:
    """Sentences on splits that hold fewer recordings than were published; none for the whole corpus."""
    splits = [utterance.split for utterance in read_manifest(manifest)]
    counts = {"training and validation": len(splits) - splits.count("test"), "test": splits.count("test")}
    return [
        f"{name}: {counts[name]} of the {published} published recordings"
        for name, published in PUBLISHED_COUNTS.items()
        if counts[name] != published
    ]


def unpack_recordings(archive: Path, folder: Path) -> None:
    """Put the recordings of an archive into a folder, without the archive's own folders; a folder there is kept.

    The folder appears when all of it is unpacked. Raises CorpusError for an archive that is damaged, that holds links
    or paths leading out of it, two recordings of one name, or more than such an archive can hold.
    """
    if folder.is_dir():
        return
    try:
        with zipfile.ZipFile(archive) as packed, whole_file(folder) as partial:
            partial.mkdir()
            for name, member in _trusted_recordings(packed, archive).items():
                with packed.open(member) as source, (partial / name).open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise CorpusError(f"{archive}: damaged archive ({error}); download it again") from error


def _trusted_recordings(packed: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Members to unpack by their file names; CorpusError for an archive that no publisher would make."""

    def refuse(reason: str) -> CorpusError:
        return CorpusError(f"{archive}: not unpacked, {reason}; download it again from the publisher")

    members = packed.infolist()
    if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_BYTES:
        raise refuse("holds more than a corpus of recordings can")
    chosen: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        if is_link or path.is_absolute() or ".." in path.parts or ":" in str(path):
            raise refuse(f"{member.filename!r} is a link or leads out of it")
        # Archives made on a Mac carry a hidden "._" companion of every file.
        if not path.name.lower().endswith(SUFFIXES) or path.name.startswith("."):
            continue
        if member.file_size > _MOST_SHRUNK * max(member.compress_size, _CHUNK // _MOST_SHRUNK):
            raise refuse(f"{member.filename!r} would unpack to {member.file_size} bytes")
        if path.name in chosen:
            raise refuse(f"two recordings are named {path.name}")
        chosen[path.name] = member
    return chosen


def _unpacked(corpus_folder: Path, unpacking: Path) -> Path:
    """The folder itself, or where its archives are unpacked now."""
    unpacked = [name for name in FOLDERS if (corpus_folder / name).is_dir()]
    packed = [name for name in FOLDERS if (corpus_folder / f"{name}.zip").is_file() and name not in unpacked]
    missing = [name for name in FOLDERS if name not in (*packed, *unpacked)]
    if missing and len(missing) < len(FOLDERS):
        raise CorpusError(f"{corpus_folder}: {', '.join(missing)} missing; {_WHERE}")
    if packed and unpacked:
        raise CorpusError(
            f"{corpus_folder}: only {', '.join(packed)} still packed; unpack them beside the others"
        )
    for name in packed:
        unpack_recordings(corpus_folder / f"{name}.zip", unpacking / name)
    return unpacking if packed else corpus_folder


def _in_published_split(recording: Recording) -> Recording:
    if not recording.speaker.startswith("p"):
        raise CorpusError(
            f"{recording.clean_path}: not named as a recording of VoiceBank+DEMAND (p232_001.wav); "
            "use the corpus folder for other recordings"
        )
    return replace(recording, split=HELD_OUT.get(recording.speaker, "train"))
