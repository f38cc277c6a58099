"""Calls the compiled kernel of relative attention (`relative_attention.c`)."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cmgan.kernels.library import native_library, run_shared
from cmgan.kernels.sequences import Sequences, sequences_along

HEADS = 4


@dataclass(frozen=True)
class AttentionKernel:
    """Attention of (B, T, F, 3C) queries (scaled), keys and values along T (axis 1) or F (axis 2), float32, CPU."""

    library: ctypes.CDLL

    def forward(self, qkv: Tensor, table: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """Result (B, T, F, C) and what `backward` needs of each row's softmax.

        table (C / 4, 2n − 1): embeddings in the order of falling distance.
        """
        layout = sequences_along(qkv.shape, axis)
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
        self._run(
            self.library.relative_attention_backward, arrays, grad_tables, sequences_along(qkv.shape, axis)
        )
        return grad_qkv, grad_tables.sum(0)

    def _run(
        self, function: Callable[..., int], arrays: tuple[Tensor, ...], sums: Tensor | None, layout: Sequences
    ) -> None:
        subject = f"attention over {layout.n} positions"
        run_shared(function, arrays, sums, layout, layout.sequences, subject)


def attention_kernel(head_size: int) -> AttentionKernel | None:
    """The kernel for a head size; None when it cannot be compiled."""
    library = native_library("relative_attention.c", f"D={head_size}")
    return None if library is None else AttentionKernel(library)
