"""Builds and calls the compiled kernel of relative attention (`relative_attention.c`).

The kernel is compiled by the machine's own C compiler, once for each head size, into the user's cache folder. Where
there is no compiler the package works without it, only slower and with more memory.
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
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("relative_attention.c")
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
HEADS = 4

_log = logging.getLogger(__name__)


class _Layout(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64) for name in ("sequences", "inner", "outer_step", "inner_step", "n", "step")
    ]


@dataclass(frozen=True)
class AttentionKernel:
    """Attention of (B, T, F, 3C) queries (scaled), keys and values along T (axis 1) or F (axis 2), float32, CPU."""

    library: ctypes.CDLL

    def forward(self, qkv: Tensor, table: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Result (B, T, F, C) and what `backward` needs of each row's softmax.

        table (C / 4, 2n − 1): embeddings in the order of falling distance.
        """
        layout = _layout_of(qkv, axis)
        out = qkv.new_empty(*qkv.shape[:-1], qkv.shape[-1] // 3)
        peaks = qkv.new_empty(layout.sequences, HEADS, layout.n, 2)
        self._run(self.library.relative_attention_forward, (qkv, table, out, peaks), None, layout)
        return out, peaks

    def backward(
        self, qkv: Tensor, table: Tensor, out: Tensor, peaks: Tensor, grad_out: Tensor, axis: int
    ) -> tuple[Tensor, Tensor]:
        """Gradients of qkv and table."""
        grad_qkv = torch.empty_like(qkv)
        grad_tables = table.new_zeros(torch.get_num_threads(), *table.shape)
        arrays = (qkv, table, out, peaks, grad_out, grad_qkv)
        self._run(self.library.relative_attention_backward, arrays, grad_tables, _layout_of(qkv, axis))
        return grad_qkv, grad_tables.sum(0)

    def _run(
        self, function: Callable[..., int], arrays: tuple[Tensor, ...], sums: Tensor | None, layout: _Layout
    ) -> None:
        """Share the sequences among threads; each adds to its own row of `sums`."""
        pointers = [ctypes.c_void_p(array.data_ptr()) for array in arrays]
        threads = torch.get_num_threads()
        bounds = [layout.sequences * i // threads for i in range(threads + 1)]

        def part(i: int) -> int:
            own = [] if sums is None else [ctypes.c_void_p(sums[i].data_ptr())]
            return function(*pointers, *own, layout, ctypes.c_int64(bounds[i]), ctypes.c_int64(bounds[i + 1]))

        if threads == 1:
            failures = [part(0)]
        else:
            with ThreadPoolExecutor(threads) as pool:
                failures = list(pool.map(part, range(threads)))
        if any(failures):
            raise MemoryError(f"attention over {layout.n} positions: use a shorter crop or free memory")


def _layout_of(qkv: Tensor, axis: int) -> _Layout:
    batch, frames, bins, _ = qkv.shape
    if axis == 1:
        return _Layout(batch * bins, bins, frames * bins, 1, frames, bins)
    return _Layout(batch * frames, 1, bins, 0, bins, 1)


@lru_cache(maxsize=16)
def attention_kernel(head_size: int) -> AttentionKernel | None:
    """The kernel for a head size, compiled when this machine has not done so yet; None (logged) when it cannot be."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        _log.warning(
            "no C compiler found: attention runs in torch, slower and with more memory (install gcc)"
        )
        return None
    try:
        library = ctypes.CDLL(str(_compiled(compiler, head_size)))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        _log.warning(
            "%s did not compile (%s): attention runs in torch, slower", SOURCE.name, str(reason).strip()
        )
        return None
    return AttentionKernel(library)


def _compiled(compiler: str, head_size: int) -> Path:
    command = [compiler, *FLAGS, f"-DD={head_size}", str(SOURCE)]
    # A home folder may be shared by machines with different processors.
    identity = "\n".join([SOURCE.read_text(), *command, platform.machine(), _processor_features()])
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmgan"
    path = folder / f"attention_{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
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
