"""What a clock that was set back, or another machine's, leaves in a run's folder: files dated in the future."""

import os
import time
from contextlib import suppress
from pathlib import Path


def date_now(folder: Path) -> int:
    """Date every file of a folder that lies in the future now, in the same order; returns how many there were.

    What is made from such a file is older than it: Snakemake takes the job for failed and removes what it made.
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
