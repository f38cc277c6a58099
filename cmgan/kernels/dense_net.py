"""Dense nets and their parts, causal convolution and normed PReLU, as compiled functions (`dense_net.c`).

They take float32 on the CPU, of any width.
"""

import ctypes
import math
from collections.abc import Sequence

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

Layer = Sequence[Tensor]  # weight and bias, gamma and beta of the norm, slope


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """`CausalConv` of any width."""
    out = CausalConv.apply(padded(x, 1), padded(weight, 0, 1), padded(bias, 0), dilation)
    return without_padding(out, len(weight), 1)


def norm_prelu(x: Tensor, gamma: Tensor, beta: Tensor, slope: Tensor) -> Tensor:
    """`NormPrelu` of any width."""
    out = NormPrelu.apply(padded(x, 1), *(padded(one, 0) for one in (gamma, beta, slope)))
    return without_padding(out, x.shape[1], 1)


def dense_net(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """`DenseNet` of any width; ValueError where a weight is for another number of channels."""
    parameters = []
    for weight, *others in layers:
        # Padding lies behind the channels of each layer that this one has seen.
        by_layer = padded(weight.unflatten(1, (-1, x.shape[1])), 0, 2)
        parameters += [by_layer.flatten(1, 2), *(padded(one, 0) for one in others)]
    return without_padding(DenseNet.apply(padded(x, 1), *parameters), x.shape[1], 1)


class CausalConv(Function):
    """Convolution with zero frames before, one zero bin on both sides: (B, C, T, F) → (B, C', T, F), channels last.

    weight (C', C, heights, 3): its last row meets the frame itself, those before frames `dilation` apart.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        places = _channels_last(x)
        ctx.save_for_backward(places, weight)
        ctx.dilation = dilation
        return _convolved(places[None], weight, bias, dilation).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        places, weight = ctx.saved_tensors
        grad, grad_places = _channels_last(grad_out), torch.empty_like(places)
        _convolve_back(grad, weight, ctx.dilation, grad_places[None])
        grads = _parameter_gradients(places[None], grad, weight, ctx.dilation)
        return grad_places.permute(0, 3, 1, 2), *grads, None


class NormPrelu(Function):
    """PReLU of affine instance norm: (B, C, T, F) → same with channels last; keeps its input only."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, *parameters: Tensor) -> Tensor:
        places = _channels_last(x)
        out = torch.empty_like(places)
        ctx.statistics = _norm_prelu(places, parameters, out)
        ctx.save_for_backward(places, *parameters)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, ...]:
        places, *parameters = ctx.saved_tensors
        grad_places, grads = _norm_prelu_back(places, parameters, ctx.statistics, _channels_last(grad_out))
        return grad_places.permute(0, 3, 1, 2), *grads


class DenseNet(Function):
    """Layers of `CausalConv` and `NormPrelu`, each seeing all before it: (B, C, T, F) → same, channels last.

    parameters: those of a `Layer`, one layer after the other. Layer i (from 0) is dilated 2ⁱ and sees what the layers
    below put out, the last of them first, and then x: groups of channels in one array, (layers, B, T, F, C), beside
    which the array of their gradients lies. To put the array together anew for each layer, and to add the gradients
    up, would cost time and memory.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, *parameters: Tensor) -> Tensor:
        layers, places = _layers_of(parameters), x.permute(0, 2, 3, 1)
        seen = places.new_empty(len(layers), *places.shape)
        seen[-1] = places
        out, convolved, ctx.statistics = torch.empty_like(seen[-1]), [], []
        for number, (weight, bias, *norm) in enumerate(layers):
            group = len(layers) - 1 - number
            convolved.append(_convolved(seen[group:], weight, bias, 2**number))
            ctx.statistics.append(_norm_prelu(convolved[-1], norm, seen[group - 1] if group else out))
        ctx.save_for_backward(seen, *convolved, *parameters)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, ...]:
        count, (seen, *saved) = len(ctx.statistics), ctx.saved_tensors
        convolved, layers = saved[:count], _layers_of(saved[count:])
        grad, grad_seen, grads = _channels_last(grad_out), torch.empty_like(seen), []
        for group, number in enumerate(reversed(range(count))):
            weight, _, *norm = layers[number]
            grad, grad_norm = _norm_prelu_back(convolved[number], norm, ctx.statistics[number], grad)
            _convolve_back(grad, weight, 2**number, grad_seen[group:], added=group > 0)
            grads = [*_parameter_gradients(seen[group:], grad, weight, 2**number), *grad_norm, *grads]
            grad = grad_seen[group]
        return grad.permute(0, 3, 1, 2), *grads


class _Convolution(ctypes.Structure):
    _fields_ = [
        *integers("frames", "bins", "inputs", "outputs", "heights", "dilation"),
        *integers("input_width", "output_width", "places", "added"),
    ]

    @classmethod
    def of(
        cls, weight: Tensor, x: Tensor, dilation: int, output_width: int, added: bool = False
    ) -> "_Convolution":
        """For groups x, (groups, B, T, F, width)."""
        outputs, inputs, heights, _ = weight.shape
        groups, batch, frames, bins, width = x.shape
        if groups * width != inputs:
            raise ValueError(f"a kernel got {groups} x {width} channels for a weight of {inputs}")
        sizes = frames, bins, inputs, outputs, heights, dilation
        return cls(*sizes, width, output_width, batch * frames * bins, added)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def _layers_of(parameters: Sequence[Tensor]) -> list[Layer]:
    return list(zip(*[iter(parameters)] * 5, strict=True))


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Groups x → (B, T, F, outputs)."""
    out = x.new_empty(*x.shape[1:4], len(weight))
    _convolve(x, weight, of_shape(bias, len(weight)), dilation, out[None])
    return out


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor, dilation: int, out: Tensor, added: bool = False
) -> None:
    """Write the convolution of groups x, (groups, B, T, F, width), to groups out, or add it to what is there."""
    outputs, (batch, frames), width = len(weight), x.shape[1:3], out.shape[-1]
    if out.shape != (outputs // width, *x.shape[1:4], width):
        raise ValueError(f"a kernel got an array of shape {tuple(out.shape)} for {outputs} channels")
    factors = (weight @ TO_FACTORS.T).permute(3, 2, 1, 0).split(CHUNK, dim=2)
    taps = torch.cat([chunk.reshape(len(TO_FACTORS), -1, outputs) for chunk in factors], dim=1)
    layer = _Convolution.of(weight, x, dilation, width, added)
    run_shared(native_library(SOURCE), "causal_conv", (x, taps, bias, out), layer, batch * frames)


def _convolve_back(grad: Tensor, weight: Tensor, dilation: int, grad_x: Tensor, added: bool = False) -> None:
    """Gradient of groups x: the same with taps turned around and time running back."""
    turned = weight.flip(-1).transpose(0, 1)
    _convolve(grad[None], turned, torch.zeros(len(turned)), -dilation, grad_x, added)


def _parameter_gradients(x: Tensor, grad: Tensor, weight: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Those of a convolution's weight and bias, for its groups x and the gradient of its result."""
    outputs, inputs, heights, _ = weight.shape
    batch, frames, bins = x.shape[1:4]
    grad = of_shape(grad, batch, frames, bins, outputs)
    shape = heights, len(TO_FACTORS), outputs, inputs
    sizes = [math.prod(shape), outputs]
    layer = _Convolution.of(weight, x, dilation, outputs)
    library, count = native_library(SOURCE), batch * frames
    sums = run_shared(library, "causal_conv_weight", (x, grad), layer, count, (sum(sizes),))
    factors, grad_bias = sums.split(sizes)
    return factors.view(shape).permute(2, 3, 0, 1) @ TO_FACTORS, grad_bias


def _norm_prelu(places: Tensor, parameters: Sequence[Tensor], out: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Write PReLU of the affine norm of (B, T, F, C); returns each sample's `_statistics`."""
    gamma, beta, slope = (of_shape(one, places.shape[-1]) for one in parameters)
    statistics = [_statistics(sample) for sample in places]
    for sample, to, (mean, deviation) in zip(places, out, statistics, strict=True):
        scale = gamma * deviation
        _run("norm_prelu", (sample, scale, beta - mean * scale, slope, to))
    return statistics


def _norm_prelu_back(
    places: Tensor, parameters: Sequence[Tensor], statistics: list[tuple[Tensor, Tensor]], grad_out: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the places, and of gamma, beta and slope, (3, C)."""
    gamma, beta, slope = (of_shape(one, places.shape[-1]) for one in parameters)
    grad_places, grads = torch.empty_like(places), torch.zeros(3, len(gamma))
    samples = zip(places, grad_out, grad_places, statistics, strict=True)
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
    return grad_places, grads


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
