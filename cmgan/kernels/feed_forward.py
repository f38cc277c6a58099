"""Feed-forward step of a conformer block by the compiled kernel (`feed_forward.c`): CPU, float32."""

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.library import kernel_for, native_library, pointer, run_shared, structure

SOURCE = "feed_forward.c"


class Dropout(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("seed", "second_seed", "threshold")]


class _Layer(ctypes.Structure):
    _fields_ = [
        *structure("tokens", "channels", "hidden"),
        *((name, ctypes.c_void_p) for name in ("w1", "b1", "w2", "b2", "w1_back", "w2_back")),
        ("dropout", Dropout),
    ]


def feed_forward_step(
    x: Tensor,
    norm: tuple[Tensor, Tensor],
    wide: tuple[Tensor, Tensor],
    narrow: tuple[Tensor, Tensor],
    rate: float,
) -> Tensor | None:
    """x + ½ · dropout(W₂ · dropout(swish(W₁ · norm(x) + b₁)) + b₂) for x (N, C), dropout at `rate`.

    None where there is no kernel for this width. norm, wide, narrow: weight and bias each; the scales and shifts
    of norm and dropout are folded into W₁, b₁, W₂ and b₂ here.
    """
    if kernel_for(SOURCE, x.shape[1]) is None:
        return None
    (gamma, beta), (w1, b1), (w2, b2) = norm, wide, narrow
    kept = 1 - rate
    return _FeedForward.apply(x, w1 * gamma, b1 + w1 @ beta, w2 * (0.5 / kept**2), b2 * (0.5 / kept), rate)


def draw_dropout(rate: float) -> Dropout:
    """Seeds from torch's generator for a layer's dropout."""
    seeds = torch.randint(0, 2**32, (2,)).tolist() if rate else (0, 0)
    return Dropout(*seeds, round(rate * 2**32))


class _FeedForward(Function):
    """Keeps x and the folded weights only."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, rate: float
    ) -> Tensor:
        out = torch.empty_like(x)
        arrays = (w1.T.contiguous(), b1.contiguous(), w2.T.contiguous(), b2.contiguous(), w1, w2)
        ctx.dropout = draw_dropout(rate)
        layer = _Layer(*x.shape, len(w1), *map(pointer, arrays), ctx.dropout)
        function = native_library(SOURCE).feed_forward
        run_shared(function, (x, out), None, layer, len(x), f"feed-forward over {len(x)} tokens")
        ctx.save_for_backward(x, *arrays)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, *arrays = ctx.saved_tensors
        channels, hidden = arrays[0].shape
        grad_out, grad_x = grad_out.contiguous(), torch.empty_like(x)
        sizes = (hidden * channels, hidden, hidden * channels, channels)
        sums = x.new_zeros(torch.get_num_threads(), sum(sizes))
        layer = _Layer(*x.shape, hidden, *map(pointer, arrays), ctx.dropout)
        function = native_library(SOURCE).feed_forward_backward
        arrays = (x, grad_out, grad_x)
        run_shared(function, arrays, sums, layer, len(x), f"feed-forward over {len(x)} tokens")
        grad_w1, grad_b1, grad_w2, grad_b2 = sums.sum(0).split(sizes)
        return (
            grad_x,
            grad_w1.view(hidden, channels),
            grad_b1,
            grad_w2.view(hidden, channels).T,
            grad_b2,
            None,
        )
