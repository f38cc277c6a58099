"""Parts of a conformer block as autograd functions on compiled kernels (`linear_layers.c`): CPU, float32.

Each keeps its inputs only and computes the rest again in the backward pass. x is (N, C).
"""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.feed_forward import Dropout, draw_dropout
from cmgan.kernels.library import native_library, pointer, run_shared, structure
from cmgan.kernels.relative_attention import AttentionKernel

SOURCE = "linear_layers.c"


class _Layer(ctypes.Structure):
    _fields_ = [
        *structure("inputs", "outputs"),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "back", "centre", "scale", "shift")),
        ("dropout", Dropout),
        ("gated", ctypes.c_int64),
    ]


class NormedLinear(Function):
    """W · norm(x) + b, norm without scale and shift: (N, C) → (N, M).

    gated: values times sigmoid of gates, the two halves of that, (N, M / 2).
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, gated: bool) -> Tensor:
        x, arrays = x.contiguous(), _arrays(weight, bias)
        out = x.new_empty(len(x), len(weight) // (2 if gated else 1))
        ctx.save_for_backward(x, *arrays)
        ctx.gated = gated
        layer = _layer(arrays, (), draw_dropout(0.0), gated)
        _run(native_library(SOURCE).normed_linear, (x, out), None, layer, len(x))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, *arrays = ctx.saved_tensors
        grad_out, grad_x = grad_out.contiguous(), torch.empty_like(x)
        sums = x.new_zeros(torch.get_num_threads(), arrays[0].numel() + len(arrays[1]))
        layer = _layer(arrays, (), draw_dropout(0.0), ctx.gated)
        function = native_library(SOURCE).normed_linear_backward
        _run(function, (x, grad_out, grad_x), sums, layer, len(x))
        grad_weight, grad_bias = sums.sum(0).split([arrays[0].numel(), len(arrays[1])])
        return grad_x, grad_weight.view_as(arrays[2]), grad_bias, None


class AddedLinear(Function):
    """x + dropout(W · f(c) + b): x (N, C), c (N, M), dropout at `rate` without its factor, that W and b hold.

    f: the identity, or, where `gamma` is given, swish(batch norm(c)); mean and deviation (inverse) are those of c
    itself (`of_batch`), through which the gradient flows, or fixed.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        c: Tensor,
        weight: Tensor,
        bias: Tensor,
        rate: float,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        of_batch: bool = False,
    ) -> Tensor:
        x, c, arrays = x.contiguous(), c.contiguous(), _arrays(weight, bias)
        norm = () if gamma is None else (mean, gamma * deviation, beta.contiguous())
        out = torch.empty_like(x)
        ctx.save_for_backward(c, deviation, *arrays, *norm)
        ctx.dropout, ctx.of_batch = draw_dropout(rate), of_batch
        _run(
            native_library(SOURCE).added_linear, (x, c, out), None, _layer(arrays, norm, ctx.dropout), len(x)
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        c, deviation, *arrays = ctx.saved_tensors
        arrays, norm = arrays[:3], arrays[3:]
        grad_out, grad_c = grad_out.contiguous(), torch.empty_like(c)
        sizes = [arrays[0].numel(), len(arrays[1]), *([c.shape[1]] * 2 if norm else [])]
        sums = c.new_zeros(torch.get_num_threads(), sum(sizes))
        layer = _layer(arrays, norm, ctx.dropout)
        function = native_library(SOURCE).added_linear_backward
        _run(function, (c, grad_out, grad_c), sums, layer, len(c))
        grad_weight, grad_bias, *grad_norm = sums.sum(0).split(sizes)
        grads = (grad_out, grad_c, grad_weight.view_as(arrays[2]), grad_bias, None)
        if not norm:
            return *grads, None, None, None, None, None
        (mean, scale, _), (grad_beta, grad_scale) = norm, grad_norm
        grad_gamma = grad_scale * deviation
        if ctx.of_batch:
            slope = -scale * deviation * grad_gamma / len(c)
            offset = -scale * grad_beta / len(c) - mean * slope
            grad_c.add_(torch.addcmul(offset, c, slope))
        return *grads, grad_gamma, grad_beta, None, None, None


class Attention(Function):
    """Attention of (B, T, F, 3C) queries (scaled), keys and values along axis 1 or 2 → (B, T, F, C).

    table: see `AttentionKernel.forward`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, qkv: Tensor, table: Tensor, kernel: AttentionKernel, axis: int) -> Tensor:
        out, peaks = kernel.forward(qkv, table, axis)
        ctx.save_for_backward(qkv, table, out, peaks)
        ctx.kernel, ctx.axis = kernel, axis
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        return *ctx.kernel.backward(*ctx.saved_tensors, grad_out.contiguous(), ctx.axis), None, None


def _arrays(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return weight.T.contiguous(), bias.contiguous(), weight.contiguous()


def _layer(
    arrays: tuple[Tensor, ...], norm: tuple[Tensor, ...], dropout: Dropout, gated: bool = False
) -> _Layer:
    addresses = [*map(pointer, (*arrays, *norm)), *([None] * (3 - len(norm)))]
    return _Layer(*arrays[0].shape, *addresses, dropout, gated)


def _run(
    function: Callable[..., int], arrays: tuple[Tensor, ...], sums: Tensor | None, layer: _Layer, rows: int
) -> None:
    run_shared(function, arrays, sums, layer, rows, f"a linear layer over {rows} tokens")
