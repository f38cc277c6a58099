"""Memory that is freed is kept for its next use: a training step would else page hundreds of MB in again.

glibc hands large blocks back to the system as soon as they are freed, and gets them back page by page, each zeroed.
What that costs stands in docs/speed.md.
"""

import ctypes
import os
import platform
from functools import lru_cache

SWITCH = "CMGAN_KEEP_MEMORY"
# Variables of the environment that set the same, and their numbers in mallopt, of glibc's malloc.h.
PARAMETERS = {"MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_TRIM_THRESHOLD_": -1}
LARGEST_NUMBER_OF_MAPPINGS = -4
BYTES = 2**30


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Tell this process's allocator to keep blocks of up to 1 GiB; returns whether it was told.

    The first generator that is built calls this. The process then stays as large as it once was. The environment
    variable CMGAN_KEEP_MEMORY=0 switches it off, and MALLOC_… variables that the user has set stay as they are.
    Other C libraries than glibc are left alone.
    """
    if os.environ.get(SWITCH) == "0" or platform.libc_ver()[0] != "glibc":
        return False
    told = [_tell(number) for name, number in PARAMETERS.items() if name not in os.environ]
    return bool(told) and all(told)


def _tell(number: int) -> bool:
    allocator = ctypes.CDLL(None)
    # glibc before 2.35 takes no such threshold; it can be told to map no block at all.
    return bool(allocator.mallopt(number, BYTES) or allocator.mallopt(LARGEST_NUMBER_OF_MAPPINGS, 0))
