"""Causal convolution and normed PReLU of the dense nets as compiled functions (`dense_net.c`): float32 on the CPU."""

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from cmgan.kernels.library import integers, native_library, of_shape, padded, run_shared, without_padding

SOURCE = "dense_net.c"
CHUNK = 64  # as there
NORM_EPSILON = 1e-5
# Three taps to the four factors of Winograd's F(2, 3), see the C source.
TO_FACTORS = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]])


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """`CausalConv` of any width."""
    out = CausalConv.apply(padded(x, 1), padded(weight, 0, 1), padded(bias, 0), dilation)
    return without_padding(out, len(weight), 1)


def norm_prelu(x: Tensor, gamma: Tensor, beta: Tensor, slope: Tensor) -> Tensor:
    """`NormPrelu` of any width."""
    out = NormPrelu.apply(padded(x, 1), *(padded(one, 0) for one in (gamma, beta, slope)))
    return without_padding(out, x.shape[1], 1)


class CausalConv(Function):
    """Convolution with zero frames before, one zero bin on both sides: (B, C, T, F) → (B, C', T, F), channels last.

    weight (C', C, heights, 3): its last row meets the frame itself, those before frames `dilation` apart.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        places = _channels_last(x)
        ctx.save_for_backward(places, weight)
        ctx.dilation = dilation
        return _convolve(places, weight, bias, dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        places, weight = ctx.saved_tensors
        outputs, inputs, heights, _ = weight.shape
        grad = _channels_last(grad_out)
        grad_x = _convolve(grad, weight.flip(-1).transpose(0, 1), torch.zeros(inputs), -ctx.dilation)
        layer = _Convolution(*places.shape[1:], outputs, heights, ctx.dilation)
        sums = (heights, len(TO_FACTORS), outputs, inputs)
        frames = places.shape[0] * places.shape[1]
        library = native_library(SOURCE)
        factors = run_shared(library, "causal_conv_weight", (places, grad), layer, frames, sums)
        return grad_x, factors.permute(2, 3, 0, 1) @ TO_FACTORS, grad.sum((0, 1, 2)), None


class NormPrelu(Function):
    """PReLU of affine instance norm: (B, C, T, F) → same with channels last; keeps its input only."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, gamma: Tensor, beta: Tensor, slope: Tensor) -> Tensor:
        places = _channels_last(x)
        out = torch.empty_like(places)
        gamma, beta, slope = (of_shape(one, places.shape[-1]) for one in (gamma, beta, slope))
        ctx.statistics = [_statistics(sample) for sample in places]
        for sample, to, (mean, deviation) in zip(places, out, ctx.statistics, strict=True):
            scale = gamma * deviation
            _run("norm_prelu", (sample, scale, beta - mean * scale, slope, to))
        ctx.save_for_backward(places, gamma, beta, slope)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, ...]:
        places, gamma, beta, slope = ctx.saved_tensors
        grad_x, grads = torch.empty_like(places), torch.zeros(3, len(gamma))
        samples = zip(places, _channels_last(grad_out), grad_x, ctx.statistics, strict=True)
        for sample, grad, to, (mean, deviation) in samples:
            scale = gamma * deviation
            arrays = (sample, grad, scale, beta - mean * scale, slope)
            grad_beta, grad_slope, grad_scale = _run("norm_prelu_sums", (*arrays, mean), sums=3).float()
            grad_gamma = grad_scale * deviation
            count = sample[..., 0].numel()
            coefficient = -scale * deviation * grad_gamma / count
            offset = -scale * grad_beta / count - mean * coefficient
            _run("norm_prelu_backward", (*arrays, coefficient, offset, to))
            grads += torch.stack([grad_gamma, grad_beta, grad_slope])
        return grad_x.permute(0, 3, 1, 2), *grads


class _Convolution(ctypes.Structure):
    _fields_ = integers("frames", "bins", "inputs", "outputs", "heights", "dilation")


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def _convolve(places: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    outputs, inputs, heights, _ = weight.shape
    places, bias = of_shape(places, *places.shape[:3], inputs), of_shape(bias, outputs)
    factors = (weight @ TO_FACTORS.T).permute(3, 2, 1, 0).split(CHUNK, dim=2)
    taps = torch.cat([chunk.reshape(len(TO_FACTORS), -1, outputs) for chunk in factors], dim=1)
    out = places.new_empty(*places.shape[:3], outputs)
    layer = _Convolution(*places.shape[1:3], inputs, outputs, heights, dilation)
    frames = places.shape[0] * places.shape[1]
    run_shared(native_library(SOURCE), "causal_conv", (places, taps, bias, out), layer, frames)
    return out.permute(0, 3, 1, 2)


def _statistics(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation of each channel of (T, F, C)."""
    above, squares = _run("norm_moments", (sample,), sums=2) / sample[..., 0].numel()
    variance = squares - above.square()
    return (sample[0, 0] + above).float(), torch.rsqrt(variance + NORM_EPSILON).float()


def _run(function: str, arrays: tuple[Tensor, ...], sums: int = 0) -> Tensor:
    frames, bins, channels = arrays[0].shape
    shape = (sums, channels) if sums else ()
    library, layout = native_library(SOURCE), ctypes.c_int64(channels)
    return run_shared(library, function, arrays, layout, frames * bins, shape, torch.float64)
