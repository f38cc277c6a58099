"""Each in a process of its own: what is set cannot be taken back."""

import platform
import subprocess
import sys

import pytest

SECOND_USE = """
import resource
import numpy as np
from cmgan.job_environment import prepare_process
{prepare}
def faults_of_use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**25, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults_of_use(), faults_of_use())
"""


def _printed(code: str) -> list[str]:
    clean = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory as it likes")
def test_memory_that_was_freed_is_kept_for_its_next_use():
    first, second = map(int, _printed(SECOND_USE.format(prepare="prepare_process()")))
    assert second < first / 10
    first, second = map(int, _printed(SECOND_USE.format(prepare="")))
    assert second > first / 2


def test_what_the_user_set_stays_and_torch_is_not_imported():
    code = """
import os, sys
os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
from cmgan.job_environment import prepare_process
prepare_process()
print(os.environ["OMP_WAIT_POLICY"], os.environ["MALLOC_TRIM_THRESHOLD_"], "torch" in sys.modules)
"""
    assert _printed(code) == ["ACTIVE", "2147483648", "False"]
