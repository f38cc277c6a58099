"""Calls the compiled kernel of relative attention (`relative_attention.c`)."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cmgan.native_library import native_library, pointer, run_shared

HEADS = 4


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

        def part(thread: int, first: int, last: int) -> int:
            own = () if sums is None else (sums[thread],)
            return function(
                *map(pointer, (*arrays, *own)), layout, ctypes.c_int64(first), ctypes.c_int64(last)
            )

        subject = f"attention over {layout.n} positions"
        run_shared(part, layout.sequences, torch.get_num_threads(), subject)


def _layout_of(qkv: Tensor, axis: int) -> _Layout:
    batch, frames, bins, _ = qkv.shape
    if axis == 1:
        return _Layout(batch * bins, bins, frames * bins, 1, frames, bins)
    return _Layout(batch * frames, 1, bins, 0, bins, 1)


def attention_kernel(head_size: int) -> AttentionKernel | None:
    """The kernel for a head size; None when it cannot be compiled."""
    library = native_library("relative_attention.c", f"D={head_size}")
    return None if library is None else AttentionKernel(library)
