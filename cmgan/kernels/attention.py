"""Relative attention as one compiled function (`attention.c`): float32 on the CPU."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.library import Sequences, native_library, of_shape, padded, run_shared

SOURCE = "attention.c"
HEAD_WIDTH = 4  # the source takes widths of a head that are multiples of this


def definitions(channels: int, heads: int) -> tuple[str, ...]:
    """What the source must be compiled with for these sizes."""
    width = channels // heads
    return f"HEADS={heads}", f"D={width + -width % HEAD_WIDTH}"


def padded_heads(array: Tensor, heads: int, axis: int) -> Tensor:
    """The array, whose `axis` holds so many heads, with zeros behind each, up to a width that the source takes."""
    parts = array.unflatten(axis, (heads, array.shape[axis] // heads))
    return padded(parts, axis + 1, multiple=HEAD_WIDTH).flatten(axis, axis + 1)


class Attention(Function):
    """Attention of (B, T, F, 3C) queries (scaled), keys and values along T (axis 1) or F (axis 2) → (B, T, F, C).

    table (C / heads, 2n − 1): embeddings of the distances n − 1, …, −(n − 1).
    """

    @staticmethod
    def forward(ctx: FunctionCtx, qkv: Tensor, table: Tensor, axis: int) -> Tensor:
        batch, frames, bins, channels = *qkv.shape[:3], qkv.shape[-1] // 3
        qkv = of_shape(qkv, batch, frames, bins, 3 * channels)
        table = of_shape(table, len(table), 2 * qkv.shape[axis] - 1)
        ctx.axis, ctx.definitions = axis, definitions(channels, channels // len(table))
        layout = Sequences.along(qkv.shape, axis)
        out = qkv.new_empty(*qkv.shape[:-1], channels)
        peaks = qkv.new_empty(layout.sequences, channels // len(table), layout.n, 2)  # of each row's softmax
        library = native_library(SOURCE, *ctx.definitions)
        run_shared(library, "relative_attention_forward", (qkv, table, out, peaks), layout, layout.sequences)
        ctx.save_for_backward(qkv, table, out, peaks)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        qkv, table, out, peaks = ctx.saved_tensors
        layout, grad_qkv = Sequences.along(qkv.shape, ctx.axis), torch.empty_like(qkv)
        arrays = (qkv, table, out, peaks, grad_out.contiguous(), grad_qkv)
        library, name = native_library(SOURCE, *ctx.definitions), "relative_attention_backward"
        grad_table = run_shared(library, name, arrays, layout, layout.sequences, sums=table.shape)
        return grad_qkv, grad_table, None
