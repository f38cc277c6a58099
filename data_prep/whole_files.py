"""Files that exist whole or not at all, whoever else writes them: written under another name, then renamed."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


# Errors of a full disk, a quota and a largest file size; of what may not be written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A free name beside `path`, for a file or a folder, that becomes `path` where the block ends well.

    Makes the folder above. Where the block fails, what was written under that name is removed and `path` stays as
    it was. Where another process writes the same path, the block waits until that one is done.
    durable: the content is on the disk before it has its name, for files that stand for something done.
    Raises OSError that says what to do where the disk is full or may not be written.
    """
    # Names may be as long as a file system takes: one derived from this one may not be longer.
    name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}"
    partial = path.with_name(f"{name}.partial")
    with explained_when_unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with held(path.with_name(f"{name}.lock")):
            try:
                # Of a process that was killed.
                _remove(partial)
                yield partial
                if durable:
                    with partial.open("rb") as file:
                        os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                _remove(partial)
                raise


def alone_in(folder: Path) -> AbstractContextManager:
    """Hold a folder, made where there is none, for as long as the block; BlockingIOError where another does."""
    with explained_when_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    refusal = f"{folder} is being written by another process: wait for it, or give another folder"
    return held(folder / ".lock", refusal)


@contextmanager
def held(lock: Path, refusal: str = "") -> Iterator[None]:
    """Hold a file that is there for as long as the block, alone among processes and threads.

    The lock goes with the process, however that ends. Where another holds it, waits, or raises BlockingIOError with
    the refusal where one is given. On a file system without locks nobody waits.
    """
    while True:
        with lock.open("ab") as file:
            if not taken(file, wait=not refusal):
                raise BlockingIOError(refusal)
            # The one before removed its file: another may hold a new one of that name.
            if not _is_at(lock, file.fileno()):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def taken(lock: IO, shared: bool = False, wait: bool = False) -> bool:
    """Hold an open file's lock, alone or shared, until the file is closed; returns whether nobody else had it.

    Where another has it, waits for it or leaves it. On a file system without locks everyone has it.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(lock, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


@contextmanager
def explained_when_unwritable(path: Path) -> Iterator[None]:
    """Name the file or folder, and what to do, in the OSError of one that is full or may not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in FORBIDDEN:
            reason = os.strerror(error.errno)
            raise OSError(
                f"{path}: cannot be written ({reason}); give another place, or make this one writable"
            ) from error
        if error.errno not in FULL:
            raise
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        free = shutil.disk_usage(folder).free / 1e6
        raise OSError(
            f"{path}: cannot be written ({os.strerror(error.errno)}, {free:.1f} MB free in {folder}); "
            "make room and give the same command again"
        ) from error


def write_text(text: str, path: Path) -> None:
    """Write a text file, UTF-8.

    A file that holds the same already keeps its time, so that nothing that depends on it is done again.
    """
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with whole_file(path) as partial:
        partial.write_bytes(text.encode())


def write_table(frame: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    """Write a frame as CSV without its index (see `write_text`) and return it."""
    write_text(frame.to_csv(index=False), path)
    return frame


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
