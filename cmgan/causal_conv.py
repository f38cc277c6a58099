"""Causal convolution of the dense nets: kernel 2 × 3, dilated along time; compiled (`causal_conv.c`) or in torch."""

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from cmgan.native_library import LANES, native_library, pointer, run_shared

TAPS = 2 * 3


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Convolution with `dilation` zero frames before, one zero bin on both sides: (B, C, T, F) → (B, C', T, F)."""
    # Padding at both ends and cutting the last frames off again saves a padded copy of the input.
    out = functional.conv2d(x, weight, bias, padding=(dilation, 1), dilation=(dilation, 1))
    return out[:, :, : x.shape[2]]


def fused_causal_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """The same with channels last by the compiled kernel, where there is one for these widths (CPU, float32)."""
    if weight.shape[0] % LANES or weight.shape[1] % LANES or native_library("causal_conv.c") is None:
        return causal_conv(x, weight, bias, dilation)
    return _CausalConv.apply(x.permute(0, 2, 3, 1), weight, bias, dilation).permute(0, 3, 1, 2)


class _Layout(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("frames", "bins", "inputs", "outputs", "dilation")]


class _CausalConv(Function):
    """(B, T, F, C) → (B, T, F, C')."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.layout = _Layout(*x.shape[1:], len(weight), dilation)
        out = x.new_empty(*x.shape[:3], len(weight))
        # Bound to a name each: a pointer does not keep its tensor alive.
        taps, bias = weight.permute(2, 3, 1, 0).contiguous(), bias.contiguous()
        function = native_library("causal_conv.c").causal_conv

        def part(_: int, first: int, last: int) -> int:
            arrays = map(pointer, (x, taps, bias, out))
            return function(*arrays, ctx.layout, ctypes.c_int64(first), ctypes.c_int64(last))

        run_shared(part, x.shape[0] * x.shape[1], torch.get_num_threads(), "causal convolution")
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        outputs, inputs = weight.shape[:2]
        grad_out, grad_x, threads = grad_out.contiguous(), torch.empty_like(x), torch.get_num_threads()
        sums = x.new_zeros(threads, TAPS * outputs * inputs)
        back = weight.permute(2, 3, 0, 1).contiguous()
        function = native_library("causal_conv.c").causal_conv_backward

        def part(thread: int, first: int, last: int) -> int:
            arrays = map(pointer, (x, back, grad_out, grad_x, sums[thread]))
            return function(*arrays, ctx.layout, ctypes.c_int64(first), ctypes.c_int64(last))

        run_shared(part, x.shape[0] * x.shape[1], threads, "causal convolution")
        grad_weight = sums.sum(0).view(2, 3, outputs, inputs).permute(2, 3, 0, 1)
        return grad_x, grad_weight, grad_out.sum((0, 1, 2)), None
