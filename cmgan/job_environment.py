"""Environment for jobs that train or enhance.

glibc keeps freed memory instead of paging it in again. torch's OpenMP threads sleep between their
operations: spinning, they would hold the cores that the compiled kernels' own threads need next.
"""

import ctypes
import os
import platform

JOB_ENVIRONMENT: dict[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
    "OMP_WAIT_POLICY": "PASSIVE",
}
# Of mallopt in glibc's malloc.h.
ALLOCATOR_PARAMETERS = {"MALLOC_MMAP_THRESHOLD_": -3, "MALLOC_TRIM_THRESHOLD_": -1}
LARGEST_INT = 2**31 - 1


def prepare_process() -> None:
    """Give this process what JOB_ENVIRONMENT gives a job; call it before torch is imported.

    What the user's environment sets already stays; other C libraries than glibc are left alone.
    """
    unset = {name: value for name, value in JOB_ENVIRONMENT.items() if name not in os.environ}
    # Processes that this one starts read them at their start.
    os.environ.update(unset)
    if platform.libc_ver()[0] == "glibc":
        # The allocator of a process that runs already does not read the environment again.
        for name, parameter in ALLOCATOR_PARAMETERS.items():
            if name in unset:
                ctypes.CDLL(None).mallopt(parameter, min(int(unset[name]), LARGEST_INT))
