"""Compiles the package's C sources, says which inputs they take, and runs their functions on all of torch's threads.

A source is compiled once for each set of definitions into the user's cache folder, by the machine's own C compiler
or, where the environment variable CC is set, by that ("clang -march=x86-64-v3"). Where there is no compiler the
package works without it, only slower and with more memory.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
LANES = 16  # the sources take widths that are multiples of this
FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)

COMPILER_SECONDS = 300.0  # as long as a compiler may take, ten times what is usual

_log = logging.getLogger(__name__)
_failures: list[str] = []  # why nothing is compiled any more
_switched_on: ContextVar[bool] = ContextVar("compiled kernels", default=True)


@contextmanager
def torch_only() -> Iterator[None]:
    """Within this block and thread, networks run in torch, as they do on a GPU or in half precision."""
    token = _switched_on.set(False)
    try:
        yield
    finally:
        _switched_on.reset(token)


def takes(x: Tensor, source: str, *widths: int, definitions: tuple[str, ...] = ()) -> bool:
    """Whether the functions of a C file take x: float32 on the CPU without autocast, outside `torch_only`.

    Its numbers of channels must be multiples of LANES, and the file must compile; where not, that is logged once.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    if not _switched_on.get():
        return False
    odd = next((width for width in widths if width % LANES), None)
    if odd is not None:
        _warn_of(odd)
        return False
    return native_library(source, *definitions) is not None


@lru_cache(maxsize=32)
def native_library(source: str, *definitions: str) -> ctypes.CDLL | None:
    """The library of a C file, compiled when this machine has not done so yet; None (logged) when it cannot be.

    definitions: macros, NAME=VALUE. After one failure nothing more is compiled in this process.
    """
    if _failures:
        return None
    try:
        return ctypes.CDLL(str(_compiled(_compiler(), FOLDER / source, definitions)))
    # Path.home() raises RuntimeError for a user without a home.
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        _failures.append(next((line for line in said if "error" in line or "failed" in line), said[-1]))
        _log.warning(
            "networks run in torch, slower and with more memory: %s did not compile (%s)",
            source,
            _failures[0],
        )
        return None


def run_shared(
    function: Callable[..., int],
    arrays: Iterable[Tensor | None],
    layout: ctypes.Structure | ctypes.c_int64,
    count: int,
    sums: tuple[int, ...] = (),
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Call function(arrays…, [sums], layout, first, last) on each of torch's threads for its share of `count` items.

    sums: shape of what each thread adds up; returned is the total over threads. Raises MemoryError that names the
    function where it returns 1.
    """
    threads = torch.get_num_threads()
    bounds = [count * i // threads for i in range(threads + 1)]
    totals = torch.zeros(threads, *sums, dtype=dtype)
    # Kept in a list: a pointer does not keep its tensor alive.
    arrays = list(arrays)

    def part(thread: int) -> int:
        own = [*arrays, totals[thread]] if sums else arrays
        return function(*map(pointer, own), layout, *map(ctypes.c_int64, bounds[thread : thread + 2]))

    failures = map(part, range(threads)) if threads == 1 else _pool(threads).map(part, range(threads))
    if any(list(failures)):
        raise MemoryError(f"{function.__name__} over {count} items: use a shorter crop or free memory")
    return totals.sum(0)


def integers(*names: str) -> list[tuple[str, type]]:
    """Fields of a C structure that are 64-bit integers."""
    return [(name, ctypes.c_int64) for name in names]


def pointers(*names: str) -> list[tuple[str, type]]:
    """Fields of a C structure that are addresses."""
    return [(name, ctypes.c_void_p) for name in names]


def pointer(array: Tensor | None) -> ctypes.c_void_p:
    """Address of a contiguous tensor's data; null for none."""
    return ctypes.c_void_p(None if array is None else array.data_ptr())


class Sequences(ctypes.Structure):
    """Sequences along one axis of (B, T, F, C): token i of sequence s is number base(s) + i · step (`vectors.h`)."""

    _fields_ = integers("sequences", "inner", "outer_step", "inner_step", "n", "step")

    @classmethod
    def along(cls, shape: torch.Size, axis: int) -> "Sequences":
        """Those along T (axis 1) or F (axis 2)."""
        batch, frames, bins, _ = shape
        if axis == 1:
            return cls(batch * bins, bins, frames * bins, 1, frames, bins)
        return cls(batch * frames, 1, bins, 0, bins, 1)


@lru_cache(maxsize=32)
def _warn_of(width: int) -> None:
    _log.warning(
        "%d channels run in torch, slower and with more memory (the kernels take a multiple of %d)",
        width,
        LANES,
    )


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _compiled(compiler: list[str], source: Path, definitions: tuple[str, ...]) -> Path:
    # Where two flags contradict each other, the later one counts.
    command = [compiler[0], *FLAGS, *compiler[1:], *(f"-D{one}" for one in definitions), str(source), "-lm"]
    texts = [path.read_text() for path in (source, *sorted(FOLDER.glob("*.h")))]
    # A home folder may be shared by machines with different processors.
    identity = "\n".join([*texts, *command, platform.machine(), _processor_features()])
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmgan"
    path = folder / f"{source.stem}_{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as temporary:
            built = Path(temporary) / path.name
            _run([*command, "-o", str(built)])
            built.replace(path)
    return path


def _compiler() -> list[str]:
    candidates = [shlex.split(os.environ["CC"])] if os.environ.get("CC") else [["cc"], ["gcc"], ["clang"]]
    found = next((one for one in candidates if shutil.which(one[0])), None)
    if found is None:
        raise FileNotFoundError("no C compiler found, install gcc")
    return found


def _run(command: list[str]) -> None:
    # A group of its own, so that nothing that the compiler started outlives it.
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, errors="replace", start_new_session=True
    ) as process:
        try:
            _, said = process.communicate(timeout=COMPILER_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"{command[0]} took more than {COMPILER_SECONDS:g} s") from error
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[0], stderr=said)


def _processor_features() -> str:
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor()
    lines = information.read_text().splitlines()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
