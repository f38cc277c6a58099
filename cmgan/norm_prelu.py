"""Statistics over places, and instance norm with PReLU in one pass, on the CPU in float32."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from cmgan.blockwise import row_blocks

NORM_EPSILON = 1e-5


def column_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each column: (N, C) → (C,) twice."""
    mean = x.sum(0) / len(x)
    variance = torch.zeros_like(mean)
    for rows in row_blocks(len(x), x.shape[1]):
        variance += (x[rows] - mean).square_().sum(0)
    return mean, variance / len(x)


class NormPrelu(Function):
    """PReLU of affine instance norm: (B, C, T, F) → same with channels last; keeps its input only."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, gamma: Tensor, beta: Tensor, slope: Tensor) -> Tensor:
        places = x.permute(0, 2, 3, 1)
        out = places.new_empty(places.shape)
        statistics = x.new_empty(len(x), 2, len(gamma))
        for sample, to, (mean, deviation) in zip(places, out, statistics, strict=True):
            flat, to_flat = sample.reshape(-1, len(gamma)), to.view(-1, len(gamma))
            mean[:], variance = column_statistics(flat)
            torch.rsqrt(variance + NORM_EPSILON, out=deviation)
            scale = gamma * deviation
            shift = beta - mean * scale
            for rows in row_blocks(len(flat), len(gamma)):
                to_flat[rows] = functional.prelu(torch.addcmul(shift, flat[rows], scale), slope)
        ctx.save_for_backward(x, gamma, beta, slope, statistics)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, ...]:
        x, gamma, beta, slope, statistics = ctx.saved_tensors
        places, grad_places = x.permute(0, 2, 3, 1), grad_out.permute(0, 2, 3, 1)
        grad_x = places.new_empty(places.shape)
        sums = [torch.zeros_like(p) for p in (gamma, beta, slope)]
        for sample, grad, to, (mean, deviation) in zip(places, grad_places, grad_x, statistics, strict=True):
            arrays = (array.reshape(-1, len(gamma)) for array in (sample, grad))
            parts = _sample_backward(*arrays, to.view(-1, len(gamma)), mean, deviation, gamma, beta, slope)
            for total, part in zip(sums, parts, strict=True):
                total += part
        return grad_x.permute(0, 3, 1, 2), *sums


def _sample_backward(
    x: Tensor,
    grad_out: Tensor,
    grad_x: Tensor,
    mean: Tensor,
    deviation: Tensor,
    gamma: Tensor,
    beta: Tensor,
    slope: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Writes grad_x (places, C), returns the gradients of gamma, beta and slope."""
    scale = gamma * deviation
    shift = beta - mean * scale
    grad_gamma, grad_beta, grad_slope = (torch.zeros_like(gamma) for _ in range(3))
    for rows in row_blocks(len(x), len(gamma)):
        before, grad = torch.addcmul(shift, x[rows], scale), grad_out[rows]
        positive = torch.ops.aten.threshold_backward(grad, before, 0)
        grad_slope += before.clamp_(max=0).mul_(grad).sum(0)
        grad = torch.lerp(positive, grad, slope, out=grad_x[rows])
        grad_beta += grad.sum(0)
        grad_gamma += torch.sub(x[rows], mean, out=before).mul_(grad).sum(0)
    grad_gamma *= deviation
    coefficient = -scale * deviation * grad_gamma / len(x)
    offset = -scale * grad_beta / len(x) - mean * coefficient
    for rows in row_blocks(len(x), len(gamma)):
        grad_x[rows].mul_(scale).addcmul_(x[rows], coefficient).add_(offset)
    return grad_gamma, grad_beta, grad_slope
