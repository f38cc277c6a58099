"""Access to a run's folder: who works in it, all of it or a share, and what a clock set back leaves there.

Locks go with the process, so that a killed run leaves nothing to clean up as Snakemake's own would; a folder that
several machines share must pass flock on (NFS since version 4 does), else nobody is refused.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from data_prep.whole_files import explained_when_unwritable, held, taken

FOLDER = ".locks"
RUN = "run"
# Where the environment of a job names the process that it ends with.
STUDY = "CMGAN_STUDY_PROCESS"


@contextmanager
def whole_run(folder: Path, advice: str = "wait for it or choose --config run=<name>") -> Iterator[None]:
    """Hold the run's folder alone; ends with a message, the advice last, where anyone works in it."""
    with _lock_file(folder, RUN) as lock:
        if not taken(lock):
            sys.exit(f"error: {folder} is being written by another run: {advice}")
        yield


def finished_run(folder: Path) -> AbstractContextManager:
    """Hold a run that is only looked at or drawn again, where it can be written at all.

    Ends with a message where anyone works in it. A kept run, which nobody works in, has no locks and gets none.
    """
    if os.access(folder / FOLDER / RUN, os.W_OK):
        return whole_run(folder, "wait for it")
    return nullcontext()


@contextmanager
def part_of_run(folder: Path, trainings: list[str]) -> Iterator[bool]:
    """Hold some trainings (ARM-SEED) of the run beside other workers; ends with a message where one is taken.

    Gives whether no other worker was there.
    """
    with ExitStack() as locks:
        run = locks.enter_context(_lock_file(folder, RUN))
        alone = taken(run)
        if not taken(run, shared=True):
            sys.exit(f"error: {folder} is being written by a whole run: wait for it")
        for training in trainings:
            if not taken(locks.enter_context(_lock_file(folder, training))):
                sys.exit(f"error: another worker has {training}: give this one another part, e.g. SHARE=2/2")
        yield alone


def one_at_a_time(folder: Path, what: str) -> AbstractContextManager:
    """Hold one thing of a run, part of which is held already; where another worker does, wait for it."""
    return held(folder / FOLDER / what)


def _lock_file(folder: Path, name: str) -> TextIO:
    with explained_when_unwritable(folder):
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        return (folder / FOLDER / name).open("w")


def end_with_the_study() -> None:
    """From now on this process, a job's, ends when the one that makes the run does, however that ended.

    Else the jobs of a run that was killed would meet those of the next one in the same files.
    """
    if STUDY not in os.environ:
        return
    try:
        study = os.pidfd_open(int(os.environ[STUDY]))
    except ProcessLookupError:
        sys.exit("error: the run that this job is of has ended")
    except OSError:
        return  # Linux before 5.3 cannot wait for a process that is not a child

    def follow() -> None:
        select.select([study], [], [])
        # At once: the notebook's client would first wait for its kernel, which sees that its parent is gone.
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def date_now(folder: Path) -> int:
    """Date every file of a folder that lies in the future now, in the same order; returns how many there were.

    A clock that was set back leaves such files, or another machine's. What is made from one is older than it:
    Snakemake takes the job for failed and removes what it made.
    """
    now, late = time.time_ns(), {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            # Other jobs are at work here.
            with suppress(OSError):
                if (written := path.stat().st_mtime_ns) > now:
                    late[path] = written
    order = {written: place for place, written in enumerate(sorted(set(late.values()), reverse=True))}
    for path, written in late.items():
        with suppress(OSError):
            # A millisecond apart: Snakemake tells no times apart that differ by less than some hundred nanoseconds.
            os.utime(path, ns=(now, now - 1_000_000 * order[written]))
    return len(late)
