"""Compiles the package's C sources and runs their functions on all of torch's threads.

A source is compiled by the machine's own C compiler, once for each set of definitions, into the user's cache folder.
Where there is no compiler the package works without it, only slower and with more memory.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

FOLDER = Path(__file__).parent
LANES = 16  # the sources on matrix_products.h take widths that are multiples of this
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")

_log = logging.getLogger(__name__)


@lru_cache(maxsize=32)
def native_library(source: str, *definitions: str) -> ctypes.CDLL | None:
    """The library of a C file, compiled when this machine has not done so yet; None (logged) when it cannot be.

    definitions: macros, NAME=VALUE.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        _log.warning(
            "no C compiler found: %s runs in torch, slower and with more memory (install gcc)", source
        )
        return None
    try:
        return ctypes.CDLL(str(_compiled(compiler, FOLDER / source, definitions)))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        _log.warning("%s did not compile (%s): it runs in torch, slower", source, str(reason).strip())
        return None


def run_shared(part: Callable[[int, int, int], int], count: int, threads: int, subject: str) -> None:
    """Call part(thread, first, last) for each thread's share of `count` items; it returns 0, or 1 without memory.

    Raises MemoryError that names the subject.
    """
    bounds = [count * i // threads for i in range(threads + 1)]
    if threads == 1:
        failures = [part(0, 0, count)]
    else:
        failures = list(_pool(threads).map(part, range(threads), bounds[:-1], bounds[1:]))
    if any(failures):
        raise MemoryError(f"{subject}: use a shorter crop or free memory")


def pointer(array: torch.Tensor) -> ctypes.c_void_p:
    """Address of a contiguous tensor's data."""
    return ctypes.c_void_p(array.data_ptr())


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _compiled(compiler: str, source: Path, definitions: tuple[str, ...]) -> Path:
    command = [compiler, *FLAGS, *(f"-D{one}" for one in definitions), str(source), "-lm"]
    texts = [path.read_text() for path in (source, *sorted(FOLDER.glob("*.h")))]
    # A home folder may be shared by machines with different processors.
    identity = "\n".join([*texts, *command, platform.machine(), _processor_features()])
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmgan"
    path = folder / f"{source.stem}_{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as temporary:
            built = Path(temporary) / path.name
            subprocess.run([*command, "-o", str(built)], check=True, capture_output=True, text=True)
            built.replace(path)
    return path


def _processor_features() -> str:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor()
    lines = information.read_text().splitlines()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
