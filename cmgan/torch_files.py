"""Files of torch.save: written whole or not at all, and read only where the checksums in them are right."""

import io
import zipfile
import zlib
from os import PathLike
from pathlib import Path

import torch

from data_prep.whole_files import whole_file

_ZIP = b"PK\x03\x04"
_MOST_SHRUNK = 10  # torch.save does not compress, and weights that somebody packed hardly shrink
# What a wrong byte in a ZIP archive's bookkeeping may lead to; those in its content have a wrong checksum.
_DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, zlib.error)


class DamagedFileError(ValueError):
    """A file is not what was written; the message names it and says what to do."""


def save_whole(content: object, path: Path) -> None:
    """torch.save, on the disk before the file has its name; OSError that says what to do where the disk is full."""
    encoded = io.BytesIO()
    torch.save(content, encoded)
    with whole_file(path, durable=True) as partial:
        partial.write_bytes(encoded.getbuffer())


def load_whole(path: str | PathLike[str]) -> object:
    """torch.load of tensors and plain values, on the CPU; DamagedFileError where it is none or a checksum is wrong.

    torch.load itself does not look at the checksums that torch.save writes. Files of its old format have none.
    """
    file = io.BytesIO(Path(path).read_bytes())
    if file.read(len(_ZIP)) == _ZIP:
        try:
            file = _checked(file)
        except _DAMAGE as error:
            reason = "cut off or damaged (its checksums are wrong)"
            raise DamagedFileError(f"{path}: {reason}: copy it again, or train again") from error
    file.seek(0)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    # Of other bytes the unpickler may make any error.
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise DamagedFileError(
            f"{path}: not plain tensors of torch.save ({reason}): copy it again, or save it with "
            "torch.save(model.state_dict(), path)"
        ) from error


def _checked(file: io.BytesIO) -> io.BytesIO:
    """The same archive made anew, from contents whose checksums are right.

    torch reads a content as zeros where a wrong bit in the archive's list calls it a folder.
    """
    anew = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(anew, "w") as copy:
        unpacked = sum(record.file_size for record in archive.infolist())
        if unpacked > _MOST_SHRUNK * len(file.getbuffer()):
            raise zipfile.BadZipFile(f"would unpack to {unpacked} bytes")
        for record in archive.infolist():
            copy.writestr(record.filename, archive.read(record))
    return anew


def is_whole(path: str | PathLike[str]) -> bool:
    """Whether a file is what torch.save wrote, to its end and with the right checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except _DAMAGE:
        return False
