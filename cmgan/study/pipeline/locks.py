"""Who works in a run's folder: one whole run, or several workers with a part of its trainings each.

The locks go with the process, so that a killed run leaves nothing to clean up. A folder that several machines share
must pass flock on (NFS since version 4 does).
"""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

LOCKS = ".locks"


@contextmanager
def whole_run(folder: Path) -> Iterator[None]:
    """Hold the run's folder alone; ends with a message where anyone works in it."""
    with _opened(folder, "run") as lock:
        if not _taken(lock, fcntl.LOCK_EX):
            sys.exit(
                f"error: {folder} is being written by another run: wait for it or choose --config run=<name>"
            )
        yield


@contextmanager
def part_of_run(folder: Path, trainings: list[str]) -> Iterator[bool]:
    """Hold some trainings (ARM-SEED) of the run beside other workers; ends with a message where one is taken.

    Gives whether no other worker was there.
    """
    with ExitStack() as held:
        run = held.enter_context(_opened(folder, "run"))
        alone = _taken(run, fcntl.LOCK_EX)
        if not _taken(run, fcntl.LOCK_SH):
            sys.exit(f"error: {folder} is being written by a whole run: wait for it")
        for training in trainings:
            if not _taken(held.enter_context(_opened(folder, training)), fcntl.LOCK_EX):
                sys.exit(f"error: another worker has {training}: give this one another part, e.g. SHARE=2/2")
        yield alone


@contextmanager
def preparation(folder: Path) -> Iterator[None]:
    """Wait until no other worker prepares the run's data, then hold it."""
    with _opened(folder, "preparation") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _opened(folder: Path, name: str) -> TextIO:
    (folder / LOCKS).mkdir(parents=True, exist_ok=True)
    return (folder / LOCKS / name).open("w")


def _taken(lock: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
