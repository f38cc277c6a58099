"""Depthwise convolution of a conformer block by the compiled kernel (`depthwise_conv.c`): CPU, float32."""

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.library import native_library, run_shared, structure
from cmgan.kernels.sequences import Sequences, sequences_along

SOURCE = "depthwise_conv.c"


class _Layout(ctypes.Structure):
    _fields_ = [("sequences", Sequences), *structure("channels", "taps")]


class FusedDepthwiseConv(Function):
    """x (B, T, F, C), weight (C, 1, odd taps), bias (C,), axis 1 or 2 → result, its mean and biased variance (C,).

    No gradient flows through mean and variance: batch norm's own backward pass (`AddedLinear`) holds it.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, axis: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, taps = x.contiguous(), weight.squeeze(1).T.contiguous()
        ctx.save_for_backward(x, taps)
        ctx.layout = _Layout(sequences_along(x.shape, axis), *reversed(taps.shape))
        along, out = ctx.layout.sequences, torch.empty_like(x)
        moments = x.new_empty(along.sequences, 2, x.shape[-1])
        arrays = (x, taps, bias.contiguous(), out, moments)
        _run("depthwise_conv", arrays, None, ctx.layout)
        # Of each sequence first, then of all: single sums over all tokens would lose digits.
        totals, squares = moments.unbind(1)
        means = out.select(axis, 0).flatten(0, 1) + totals / along.n
        mean = means.mean(0)
        deviations = squares - totals.square() / along.n
        variance = (deviations / along.n + (means - mean).square()).mean(0)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, taps = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        sums = x.new_zeros(torch.get_num_threads(), len(taps) + 1, x.shape[-1])
        _run("depthwise_conv_backward", (x, taps, grad_out.contiguous(), grad_x), sums, ctx.layout)
        grads = sums.sum(0)
        return grad_x, grads[:-1].T.unsqueeze(1), grads[-1], None


def _run(function: str, arrays: tuple[Tensor, ...], sums: Tensor | None, layout: _Layout) -> None:
    along = layout.sequences
    subject = f"depthwise convolution over {along.n} positions"
    run_shared(getattr(native_library(SOURCE), function), arrays, sums, layout, along.sequences, subject)
