"""Each in a process of its own: what the allocator is told cannot be taken back."""

import platform
import subprocess
import sys

import pytest

from cmgan.memory import PARAMETERS, SWITCH

SECOND_USE = """
import resource
import numpy as np
from cmgan import TSCNet
TSCNet(4, 9, 1)
def faults_of_use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**25, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults_of_use(), faults_of_use())
"""


def _page_faults(**environment: str) -> tuple[int, int]:
    """Of a first and a second use of 32 MiB once a generator was built."""
    clean = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)} | environment
    run = subprocess.run(
        [sys.executable, "-c", SECOND_USE], env=clean, capture_output=True, text=True, check=True
    )
    first, second = map(int, run.stdout.split())
    return first, second


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_once_a_generator_was_built_memory_that_was_freed_is_kept_unless_the_user_forbids_it():
    first, second = _page_faults()
    assert second < first / 10
    first, second = _page_faults(**{SWITCH: "0"})
    assert second > first / 2
    first, second = _page_faults(**dict.fromkeys(PARAMETERS, "65536"))
    assert second > first / 2
