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
from torch.nn import functional

FOLDER = Path(__file__).parent
LANES = 16  # the sources take widths that are multiples of this; `padded` makes others such
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
_left_out: ContextVar[tuple[str, ...]] = ContextVar("sources left out", default=())


@contextmanager
def torch_only(*sources: str) -> Iterator[None]:
    """Within this block and thread, networks run in torch, as they do on a GPU or in half precision.

    sources: C files whose part of the work torch does then; all of them where none is named.
    """
    token = _left_out.set(sources or tuple(path.name for path in FOLDER.glob("*.c")))
    try:
        yield
    finally:
        _left_out.reset(token)


def takes(x: Tensor, source: str, definitions: tuple[str, ...] = ()) -> bool:
    """Whether the functions of a C file take x: float32 on the CPU without autocast, outside `torch_only`.

    The file must compile; where it does not, that is logged once.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling() or source in _left_out.get():
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
    library: ctypes.CDLL,
    function: str,
    arrays: Iterable[Tensor | None],
    layout: ctypes.Structure | ctypes.c_int64,
    count: int,
    sums: tuple[int, ...] = (),
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Call a library's function(arrays, layout, first, last) on torch's threads, each for a share of `count` items.

    sums: shape of what each share adds up, the last of its arrays; returned is the total over shares. Raises
    MemoryError that names the function where it returns 1.
    """
    shares = torch.get_num_threads()
    totals = torch.zeros(shares, *sums, dtype=dtype)
    # Kept in a list: a pointer does not keep its tensor alive.
    arrays = list(arrays)
    addresses = [*map(pointer, arrays), *([ctypes.c_void_p(totals.data_ptr())] if sums else [])]
    table = (ctypes.c_void_p * len(addresses))(*addresses)
    work = _Work(
        ctypes.cast(library[function], ctypes.c_void_p),
        ctypes.addressof(table),
        ctypes.addressof(layout),
        count,
        shares,
        len(addresses),
        totals[0].nbytes if sums else 0,
    )
    _on_team(library.take_shares, work)
    if work.failed:
        raise MemoryError(f"{function} over {count} items: use a shorter crop or free memory")
    return totals.sum(0)


def padded(array: Tensor, *axes: int, multiple: int = LANES) -> Tensor:
    """The array with zeros behind it along some axes, up to the next multiple: what kernels take of any width."""
    for axis in axes:
        if missing := -array.shape[axis] % multiple:
            after = len(array.shape[axis:]) - 1 if axis >= 0 else -axis - 1
            array = functional.pad(array, (*(0, 0) * after, 0, missing))
    return array


def without_padding(array: Tensor, width: int, axis: int = -1) -> Tensor:
    """The first `width` of an axis."""
    return array if array.shape[axis] == width else array.narrow(axis, 0, width)


def of_shape(array: Tensor, *shape: int) -> Tensor:
    """The array, contiguous, as kernels read it; ValueError where its shape is another one."""
    if array.shape != shape:
        raise ValueError(f"a kernel got an array of shape {tuple(array.shape)} in place of {shape}")
    return array.contiguous()


@lru_cache(maxsize=1)
def arithmetic() -> str:
    """What computes networks in this process: the GPU, else torch with its compiled kernels, or why without them."""
    torch_version = f"torch {torch.__version__}"
    if torch.cuda.is_available():
        return f"{torch_version} on {torch.cuda.get_device_name()}"
    library = native_library("dense_net.c")
    if library is None:
        return f"{torch_version} without compiled kernels ({_failures[0]})"
    compiler = _compiler()[0]
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, errors="replace").stdout
    version = (said.splitlines() or [compiler])[0]
    return f"{torch_version}, kernels by {version} with vectors of {library.vector_bits()} bits"


def integers(*names: str) -> list[tuple[str, type]]:
    """Fields of a C structure that are 64-bit integers."""
    return [(name, ctypes.c_int64) for name in names]


def pointers(*names: str) -> list[tuple[str, type]]:
    """Fields of a C structure that are addresses."""
    return [(name, ctypes.c_void_p) for name in names]


def pointer(array: Tensor | None) -> ctypes.c_void_p:
    """Address of a tensor's data, null for none; ValueError unless it is contiguous float32 in main memory."""
    if array is None:
        return ctypes.c_void_p(None)
    if not array.is_contiguous() or array.dtype != torch.float32 or array.device.type != "cpu":
        raise ValueError(f"a kernel got {array.dtype} on {array.device} with strides {array.stride()}")
    return ctypes.c_void_p(array.data_ptr())


class _Work(ctypes.Structure):
    """`Work` of vectors.h."""

    _fields_ = [
        *pointers("function", "arrays", "layout"),
        *integers("count", "shares", "array_count", "sum_bytes", "taken", "failed"),
    ]


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


def _on_team(take_shares: Callable[..., None], work: _Work) -> None:
    address = ctypes.byref(work)
    if work.shares == 1:
        take_shares(address)
    elif (parallel := _openmp()) is not None:
        parallel(take_shares, address, work.shares, 0)
    else:
        list(_pool(work.shares).map(lambda _: take_shares(address), range(work.shares)))


@lru_cache(maxsize=1)
def _openmp() -> Callable[..., None] | None:
    """GOMP_parallel of the OpenMP library that torch has loaded, None without one.

    Its threads spin for a while after each operation of torch: other threads would wait for their cores.
    """
    return getattr(ctypes.CDLL(None), "GOMP_parallel", None)


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
