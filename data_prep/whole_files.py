"""Files that exist whole or not at all: written under another name, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A free name beside `path`, for a file or a folder, that becomes `path` where the block ends well.

    Makes the folder above. Where the block fails, what was written under that name is removed and `path` stays as
    it was. The content is on the disk before it has its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    try:
        yield partial
        if partial.is_file():
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        _remove(partial)
        raise


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
