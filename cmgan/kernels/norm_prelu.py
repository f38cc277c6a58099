"""PReLU of affine instance norm by the compiled kernel (`norm_prelu.c`): CPU, float32."""

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.library import native_library, run_shared, structure

SOURCE = "norm_prelu.c"
NORM_EPSILON = 1e-5


class _Layout(ctypes.Structure):
    _fields_ = structure("places", "channels")


class NormPrelu(Function):
    """PReLU of affine instance norm: (B, C, T, F) → same with channels last; keeps its input only."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, gamma: Tensor, beta: Tensor, slope: Tensor) -> Tensor:
        places = x.permute(0, 2, 3, 1).contiguous()
        out = torch.empty_like(places)
        statistics = [_statistics(sample) for sample in places]
        for sample, to, (mean, deviation) in zip(places, out, statistics, strict=True):
            scale = gamma * deviation
            _run("norm_prelu", (sample, scale, beta - mean * scale, slope, to), None)
        ctx.save_for_backward(places, gamma, beta, slope)
        ctx.statistics = statistics
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, ...]:
        places, gamma, beta, slope = ctx.saved_tensors
        grad_places = grad_out.permute(0, 2, 3, 1).contiguous()
        grad_x = torch.empty_like(places)
        grads = torch.zeros(3, len(gamma))
        for sample, grad, to, (mean, deviation) in zip(
            places, grad_places, grad_x, ctx.statistics, strict=True
        ):
            scale = gamma * deviation
            arrays = (sample, grad, scale, beta - mean * scale, slope)
            sums = _sums(3, len(gamma))
            _run("norm_prelu_sums", (*arrays, mean), sums)
            grad_beta, grad_slope, grad_scale = sums.sum(0).float()
            grad_gamma = grad_scale * deviation
            count = sample[..., 0].numel()
            coefficient = -scale * deviation * grad_gamma / count
            offset = -scale * grad_beta / count - mean * coefficient
            _run("norm_prelu_backward", (*arrays, coefficient, offset, to), None)
            grads += torch.stack([grad_gamma, grad_beta, grad_slope])
        return grad_x.permute(0, 3, 1, 2), *grads


def _statistics(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation of each channel of (T, F, C)."""
    sums = _sums(2, sample.shape[-1])
    _run("norm_moments", (sample,), sums)
    above, squares = sums.sum(0) / sample[..., 0].numel()
    variance = squares - above.square()
    return (sample[0, 0] + above).float(), torch.rsqrt(variance + NORM_EPSILON).float()


def _sums(count: int, channels: int) -> Tensor:
    return torch.zeros(torch.get_num_threads(), count, channels, dtype=torch.float64)


def _run(function: str, arrays: tuple[Tensor, ...], sums: Tensor | None) -> None:
    frames, bins, channels = arrays[0].shape
    layout = _Layout(frames * bins, channels)
    kernel = getattr(native_library(SOURCE), function)
    run_shared(kernel, arrays, sums, layout, layout.places, f"instance norm over {layout.places} places")
