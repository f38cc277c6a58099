"""Steps of a conformer block as compiled functions (`conformer.c`): float32 on the CPU, x (…, C).

Each keeps its inputs only and computes the rest again in the backward pass. Zeros fill widths up to what the source
takes, and are cut off the result.
"""

import ctypes

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.dropout import draw_seeds, threshold_of
from cmgan.kernels.library import (
    Sequences,
    integers,
    native_library,
    of_shape,
    padded,
    pointer,
    pointers,
    run_shared,
    without_padding,
)

SOURCE = "conformer.c"


def feed_forward(x: Tensor, norm: nn.LayerNorm, wide: nn.Linear, narrow: nn.Linear, rate: float) -> Tensor:
    """x + ½ · dropout(W₂ · dropout(swish(W₁ · norm(x) + b₁)) + b₂), dropout at `rate`.

    The hidden layer's width is a multiple of 16: its padding would change which of its elements are dropped.
    """
    kept, width = 1 - rate, x.shape[-1]
    first = padded(wide.weight * norm.weight, 1), wide.bias + wide.weight @ norm.bias
    second = padded(narrow.weight * (0.5 / kept**2), 0), padded(narrow.bias * (0.5 / kept), 0)
    return without_padding(_Step.apply(padded(x, -1), None, rate, width, True, False, *first, *second), width)


def normed_linear(
    x: Tensor, norm: nn.LayerNorm, weight: Tensor, bias: Tensor | float = 0.0, gated: bool = False
) -> Tensor:
    """W · norm(x) + b: (…, C) → (…, M); gated: values times sigmoid of gates, the two halves of that, (…, M / 2)."""
    halves = 2 if gated else 1
    width, outputs = x.shape[-1], len(weight) // halves
    weight, bias = weight * norm.weight, bias + weight @ norm.bias
    weight, bias = (padded(one.unflatten(0, (halves, outputs)), 1) for one in (weight, bias))
    first = padded(weight.flatten(0, 1), 1), bias.flatten()
    return without_padding(_Step.apply(padded(x, -1), None, 0.0, width, True, gated, *first), outputs)


def added_linear(x: Tensor, c: Tensor, weight: Tensor, bias: Tensor, rate: float) -> Tensor:
    """x + dropout(W · c + b): x (…, C), c (…, M), dropout at `rate`."""
    return _added(x, c, rate, weight / (1 - rate), bias / (1 - rate))


def added_linear_of_batch_norm(
    x: Tensor, c: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor
) -> Tensor:
    """x + W · swish(batch norm(c)) + b: x (…, C), c (…, M).

    mean, variance: those of c, through which the gradient flows too, in training; else the running ones.
    """
    of_channels = norm.weight, norm.bias, mean, torch.rsqrt(variance + norm.eps)
    batch_norm = *(padded(one, 0) for one in of_channels), norm.training
    return _added(x, c, 0.0, weight, bias, None, None, *batch_norm)


def _added(
    x: Tensor, c: Tensor, rate: float, weight: Tensor, bias: Tensor, *more: Tensor | bool | None
) -> Tensor:
    width, first = x.shape[-1], (padded(weight, 0, 1), padded(bias, 0))
    added = _Step.apply(padded(c, -1), padded(x, -1), rate, width, False, False, *first, *more)
    return without_padding(added, width)


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each channel with its own kernel along axis 1 or 2 of (B, T, F, C): as `DepthwiseConv` says, of any width."""
    found = DepthwiseConv.apply(padded(x, -1), padded(weight, 0), padded(bias, 0), axis)
    return tuple(without_padding(one, x.shape[-1]) for one in found)


class DepthwiseConv(Function):
    """x (B, T, F, C), weight (C, 1, odd taps), bias (C,), axis 1 or 2 → result, its mean and biased variance (C,).

    No gradient flows through mean and variance: batch norm's own backward pass (`_Step`) holds it.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, axis: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, taps = x.contiguous(), of_shape(weight.squeeze(1).T, weight.shape[-1], x.shape[-1])
        ctx.save_for_backward(x, taps)
        along = Sequences.along(x.shape, axis)
        ctx.layer = _Depthwise(along, *reversed(taps.shape))
        out, moments = torch.empty_like(x), x.new_empty(along.sequences, 2, x.shape[-1])
        arrays = (x, taps, of_shape(bias, x.shape[-1]), out, moments)
        run_shared(native_library(SOURCE), "depthwise_conv", arrays, ctx.layer, along.sequences)
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
        arrays, sums = (x, taps, grad_out.contiguous(), grad_x), (len(taps) + 1, x.shape[-1])
        library, count = native_library(SOURCE), ctx.layer.sequences.sequences
        grads = run_shared(library, "depthwise_conv_backward", arrays, ctx.layer, count, sums)
        return grad_x, grads[:-1].T.unsqueeze(1), grads[-1], None


class _Dropout(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("seed", "second_seed", "threshold")]


class _Linear(ctypes.Structure):
    _fields_ = [*integers("inputs", "outputs"), *pointers("weight", "bias", "back")]


class _Layers(ctypes.Structure):
    _fields_ = [
        ("first", _Linear),
        ("second", _Linear),
        *pointers("centre", "scale", "shift"),
        ("dropout", _Dropout),
        *integers("tokens", "channels", "normed", "gated"),
    ]


class _Depthwise(ctypes.Structure):
    _fields_ = [("sequences", Sequences), *integers("channels", "taps")]


class _Step(Function):
    """One of the steps that `conformer.c` begins with: c (…, N), x shaped as the result, two layers, batch norm.

    channels: those of c under layer norm, and of the result under dropout, that are no padding.
    of_batch: mean and inverse deviation are those of c itself, through which the gradient flows.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        c: Tensor,
        x: Tensor | None,
        rate: float,
        channels: int,
        normed: bool,
        gated: bool,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor | None = None,
        b2: Tensor | None = None,
        gamma: Tensor | None = None,
        beta: Tensor | None = None,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        of_batch: bool = False,
    ) -> Tensor:
        width = c.shape[-1]
        c, first, second, norm = c.contiguous(), _arrays_of(w1, b1, width), (None,) * 3, (None,) * 4
        added = None if x is None else of_shape(x, *c.shape[:-1], len(w1))
        if w2 is not None:
            second, added = _arrays_of(w2, b2, len(w1)), of_shape(c, *c.shape[:-1], len(w2))
        if gamma is not None:
            norm = tuple(of_shape(one, width) for one in (mean, gamma * deviation, beta, deviation))
        seeds = draw_seeds().tolist() if rate else (0, 0)
        ctx.options = (*seeds, threshold_of(rate)), channels, normed, gated
        ctx.of_batch, ctx.has_x = of_batch, x is not None
        ctx.save_for_backward(c, *first, *second, *norm)
        outputs = len(w1 if w2 is None else w2)
        out = c.new_empty(*c.shape[:-1], outputs // 2 if gated else outputs)
        layers = _layers(c, first, second, norm, *ctx.options)
        run_shared(native_library(SOURCE), "step", (c, added, out), layers, layers.tokens)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        c, *arrays = ctx.saved_tensors
        first, second, norm = arrays[:3], arrays[3:6], arrays[6:]
        grad_out, grad_c = grad_out.contiguous(), torch.empty_like(c)
        layers = _layers(c, first, second, norm, *ctx.options)
        candidates = (first[2], first[1], second[2], second[1], norm[2], norm[1])
        parameters = [one for one in candidates if one is not None]
        sizes = [one.numel() for one in parameters]
        library, inputs = native_library(SOURCE), (c, grad_out, grad_c)
        sums = run_shared(library, "step_backward", inputs, layers, layers.tokens, (sum(sizes),)).split(sizes)
        grad_w1, grad_b1, *more = map(Tensor.view_as, sums, parameters)
        grads = grad_c, grad_out if ctx.has_x else None, None, None, None, None, grad_w1, grad_b1
        if norm[0] is None:
            return *grads, *more
        (mean, scale, _, deviation), (grad_beta, grad_scale) = norm, more
        grad_gamma = grad_scale * deviation
        if ctx.of_batch:
            slope = -scale * deviation * grad_gamma / layers.tokens
            offset = -scale * grad_beta / layers.tokens - mean * slope
            grad_c.add_(torch.addcmul(offset, c, slope))
        return *grads, None, None, grad_gamma, grad_beta, None, None, None


def _arrays_of(weight: Tensor, bias: Tensor, inputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a `_Linear` points to: W' (inputs, outputs), b and W, contiguous."""
    outputs = len(weight)
    return of_shape(weight.T, inputs, outputs), of_shape(bias, outputs), weight.contiguous()


def _layers(
    c: Tensor,
    first: list[Tensor],
    second: list[Tensor | None],
    norm: list[Tensor | None],
    dropout: tuple[int, int, int],
    channels: int,
    normed: bool,
    gated: bool,
) -> _Layers:
    linears = (
        _Linear() if arrays[0] is None else _Linear(*arrays[0].shape, *map(pointer, arrays))
        for arrays in (first, second)
    )
    tokens = c[..., 0].numel()
    return _Layers(*linears, *map(pointer, norm[:3]), _Dropout(*dropout), tokens, channels, normed, gated)
