"""What /proc says of other processes."""

import time
from pathlib import Path


def alive(process: int) -> bool:
    """Whether it runs. A killed process whose parent is gone may stay as a zombie where nothing reaps it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(process: int, seconds: float = 10) -> bool:
    """Whether it has ended, or does so in that time."""
    deadline = time.monotonic() + seconds
    while alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def children(process: int | str = "self") -> set[int]:
    """The processes that it started and that are still there, dead or alive."""
    tasks = Path(f"/proc/{process}/task")
    return {int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()}
