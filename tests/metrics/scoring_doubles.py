"""Functions that stand in for PESQ in a worker process: the first sample of the estimate says what happens."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from cmgan.metrics.pesq import PesqScore

CRASH, HANG, RAISE = -1.0, -2.0, -3.0


def first_samples(*values: float) -> tuple[np.ndarray, np.ndarray]:
    """References and estimates for which `echo` does what these values say."""
    estimates = np.zeros((len(values), 50), np.float32)
    estimates[:, 0] = values
    return np.zeros_like(estimates), estimates


def echo(_reference: np.ndarray, estimate: np.ndarray) -> PesqScore:
    """The estimate's first sample as the score, late for small ones, unless it is CRASH, HANG or RAISE."""
    value = float(estimate[0])
    if value == CRASH:
        os.kill(os.getpid(), signal.SIGSEGV)
    if value == HANG:
        hang(_reference, estimate)
    if value == RAISE:
        raise ValueError("told to raise")
    time.sleep(0.05 / (1 + value))
    return PesqScore(value)


def crash(_reference: np.ndarray, _estimate: np.ndarray) -> PesqScore:
    """End the process."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(_reference: np.ndarray, _estimate: np.ndarray) -> None:
    """A loop in C code without an end, in which Python handles no signal."""
    sum(iter(int, 1))


def process_id() -> int:
    """Which process answers."""
    return os.getpid()


def nap() -> str:
    """Answer after a moment."""
    time.sleep(0.5)
    return "awake"


def loaded_modules() -> list[str]:
    """What the process has imported once PESQ is."""
    import sys

    import cmgan.metrics.pesq

    return sorted({module.split(".")[0] for module in sys.modules} | {cmgan.__name__})


def write_then_hang(path: str) -> None:
    """Leave the process's number in a file and never return."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)
