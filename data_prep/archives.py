"""Recordings out of a ZIP archive, without trusting it."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from data_prep.corpus import AUDIO_SUFFIXES, CorpusError

# The published archives hold at most 11,572 recordings and some GB; speech does not shrink below a twentieth.
_MOST_FILES = 100_000
_MOST_BYTES = 50 * 2**30
_MOST_SHRUNK = 100
_CHUNK = 1 << 20


def unpack_recordings(archive: Path, folder: Path) -> None:
    """Put the recordings of an archive into a folder, without the archive's own folders; a folder there is kept.

    The folder appears when all of it is unpacked. Raises CorpusError for an archive that is damaged, that holds links
    or paths leading out of it, two recordings of one name, or more than such an archive can hold.
    """
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as packed:
            for name, member in _recordings(packed, archive).items():
                with packed.open(member) as source, (partial / name).open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise CorpusError(f"{archive}: damaged archive ({error}); download it again") from error
    partial.replace(folder)


def _recordings(packed: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Members to unpack by their file names."""
    members = packed.infolist()
    if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_BYTES:
        raise _untrusted(archive, "holds more than a corpus of recordings can")
    chosen: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise _untrusted(archive, f"{member.filename!r} leads out of it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _untrusted(archive, f"{member.filename!r} is a link")
        # Archives made on a Mac carry a hidden "._" companion of every file.
        if not path.name.lower().endswith(AUDIO_SUFFIXES) or path.name.startswith("."):
            continue
        if member.file_size > _MOST_SHRUNK * max(member.compress_size, _CHUNK // _MOST_SHRUNK):
            raise _untrusted(archive, f"{member.filename!r} would unpack to {member.file_size} bytes")
        if path.name in chosen:
            raise _untrusted(archive, f"two recordings are named {path.name}")
        chosen[path.name] = member
    return chosen


def _untrusted(archive: Path, reason: str) -> CorpusError:
    return CorpusError(f"{archive}: not unpacked, {reason}; download it again from the publisher")
