"""Causal convolution of the dense nets: kernel 2 × 3, dilated along time; compiled (`causal_conv.c`) or in torch."""

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from cmgan.kernels.library import kernel_for, native_library, run_shared, structure

SOURCE = "causal_conv.c"
CHUNK = 64  # as there
# Three taps to the four factors of Winograd's F(2, 3), see the C source.
TO_FACTORS = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]])


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Convolution with zero frames before, one zero bin on both sides: (B, C, T, F) → (B, C', T, F).

    weight (C', C, heights, 3): its last row meets the frame itself, those before frames `dilation` apart.
    """
    # Padding at both ends and cutting the last frames off again saves a padded copy of the input.
    before = (weight.shape[2] - 1) * dilation
    out = functional.conv2d(x, weight, bias, padding=(before, 1), dilation=(dilation, 1))
    return out[:, :, : x.shape[2]]


def fused_causal_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """The same with channels last by the compiled kernel, where there is one for these widths (CPU, float32)."""
    if kernel_for(SOURCE, *weight.shape[:2]) is None:
        return causal_conv(x, weight, bias, dilation)
    return _CausalConv.apply(x.permute(0, 2, 3, 1), weight, bias, dilation).permute(0, 3, 1, 2)


class _Layout(ctypes.Structure):
    _fields_ = structure("frames", "bins", "inputs", "outputs", "heights", "dilation")


class _CausalConv(Function):
    """(B, T, F, C) → (B, T, F, C')."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return _convolve(x, weight, bias.contiguous(), dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        outputs, inputs, heights, _ = weight.shape
        grad_out = grad_out.contiguous()
        grad_x = _convolve(grad_out, weight.flip(-1).transpose(0, 1), torch.zeros(inputs), -ctx.dilation)
        sums = x.new_zeros(torch.get_num_threads(), heights, len(TO_FACTORS), outputs, inputs)
        layout = _Layout(*x.shape[1:], outputs, heights, ctx.dilation)
        function = native_library(SOURCE).causal_conv_weight
        run_shared(function, (x, grad_out), sums, layout, x.shape[0] * x.shape[1], "causal convolution")
        grad_weight = sums.sum(0).permute(2, 3, 0, 1) @ TO_FACTORS
        return grad_x, grad_weight, grad_out.sum((0, 1, 2)), None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    outputs, inputs, heights, _ = weight.shape
    factors = (weight @ TO_FACTORS.T).permute(3, 2, 1, 0).split(CHUNK, dim=2)
    taps = torch.cat([chunk.reshape(len(TO_FACTORS), -1, outputs) for chunk in factors], dim=1)
    out = x.new_empty(*x.shape[:3], outputs)
    layout = _Layout(*x.shape[1:3], inputs, outputs, heights, dilation)
    function = native_library(SOURCE).causal_conv
    run_shared(function, (x, taps, bias, out), None, layout, x.shape[0] * x.shape[1], "causal convolution")
    return out
