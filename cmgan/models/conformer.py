"""Conformer block on (B, T, F, C): feed-forward, relative attention, convolution, feed-forward along one axis."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmgan.kernels import fast_path
from cmgan.kernels.depthwise_conv import SOURCE as DEPTHWISE
from cmgan.kernels.depthwise_conv import FusedDepthwiseConv
from cmgan.kernels.feed_forward import feed_forward_step
from cmgan.kernels.library import kernel_for
from cmgan.kernels.linear_layers import SOURCE as LINEAR
from cmgan.kernels.linear_layers import AddedLinear, NormedLinear
from cmgan.models.attention import RelativeAttention
from cmgan.models.global_batch_norm import GlobalBatchNorm

KERNEL = 31
EXPANSION = 4


class PreNorm(nn.Module):
    """Layer norm, then `fn`: (…, C) → same."""

    def __init__(self, channels: int, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class FeedForward(nn.Module):
    """Linear C → 4C, Swish, dropout, linear 4C → C, dropout: (…, C) → same."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        wide = EXPANSION * channels
        self.net = nn.Sequential(
            nn.Linear(channels, wide),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(wide, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class HalfStep(nn.Module):
    """x + ½ · feed-forward(norm(x)): (…, C) → same."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.fn = PreNorm(channels, FeedForward(channels, dropout))

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.fn(x), alpha=0.5)

    def blockwise(self, x: Tensor) -> Tensor:
        """The same, by compiled kernels where there are (CPU, float32)."""
        norm, (wide, _, dropout, narrow, _) = self.fn.norm, self.fn.fn.net
        parameters = ((layer.weight, layer.bias) for layer in (norm, wide, narrow))
        out = feed_forward_step(x.view(-1, x.shape[-1]), *parameters, dropout.p if self.training else 0.0)
        return self(x) if out is None else out.view_as(x)


class DepthwiseConv(nn.Module):
    """Each channel with its own kernel of odd length, zero padded, along axis 1 or 2 of (B, T, F, C)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel, groups=channels)

    def forward(self, x: Tensor, axis: int) -> Tensor:
        # The sequence lies along the image's height, whose weight gradient is forty times faster than the width's.
        image = x if axis == 1 else x.flatten(0, 1).unsqueeze(2)
        weight, bias = self.conv.weight.unsqueeze(-1), self.conv.bias
        margin = weight.shape[2] // 2
        out = functional.conv2d(image.permute(0, 3, 1, 2), weight, bias, 1, (margin, 0), 1, len(weight))
        return out.permute(0, 2, 3, 1).reshape(x.shape)


class ConvModule(nn.Module):
    """x + layer norm, 1×1 to 4C, gated linear unit, depthwise 31, batch norm, Swish, 1×1 to C, on (B, T, F, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 2 * channels
        self.net = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Identity(),
            nn.Conv1d(channels, 2 * inner, 1),
            nn.GLU(dim=-1),
            DepthwiseConv(inner, KERNEL),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            nn.Conv1d(inner, channels, 1),
        )

    def forward(self, x: Tensor, axis: int) -> Tensor:
        norm, _, widen, gate, depthwise, batch_norm, swish, narrow = self.net
        hidden = gate(functional.linear(norm(x), widen.weight.squeeze(-1), widen.bias))
        hidden = depthwise(hidden, axis)
        hidden = swish(batch_norm(hidden.view(-1, hidden.shape[-1])))
        return x + functional.linear(hidden, narrow.weight.squeeze(-1), narrow.bias).view_as(x)

    def blockwise(self, x: Tensor, axis: int) -> Tensor:
        """The same, by compiled kernels where there are (CPU, float32)."""
        norm, _, widen, _, depthwise, batch_norm, _, narrow = self.net
        if isinstance(batch_norm, GlobalBatchNorm) or not (
            kernel_for(LINEAR, x.shape[-1]) and kernel_for(DEPTHWISE, 2 * x.shape[-1])
        ):
            return self(x, axis)
        flat, weight = x.view(-1, x.shape[-1]), widen.weight.squeeze(-1)
        gated = NormedLinear.apply(flat, weight * norm.weight, widen.bias + weight @ norm.bias, True)
        images, conv = gated.view(*x.shape[:-1], -1), depthwise.conv
        mixed, mean, variance = FusedDepthwiseConv.apply(images, conv.weight, conv.bias, axis)
        mixed = mixed.view(len(flat), -1)
        statistics = _batch_statistics(batch_norm, mean, variance, len(flat))
        layer, affine = (narrow.weight.squeeze(-1), narrow.bias), (batch_norm.weight, batch_norm.bias)
        return AddedLinear.apply(flat, mixed, *layer, 0.0, *affine, *statistics, self.training).view_as(x)


def _batch_statistics(
    norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation that batch norm uses for these statistics, its running ones updated in training."""
    if not norm.training:
        return norm.running_mean, torch.rsqrt(norm.running_var + norm.eps)
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / (count - 1)), norm.momentum)
        norm.num_batches_tracked += 1
    return mean, torch.rsqrt(variance + norm.eps)


class ConformerBlock(nn.Module):
    """Feed-forward, attention, convolution and feed-forward steps, then layer norm: (B, T, F, C) → same.

    axis: 1 attends and convolves along T, 2 along F. fused: block by block of tokens where that is possible.
    Source: Gulati et al. 2020; sizes and names are public code facts.
    """

    def __init__(self, channels: int, dropout: float, axis: int, fused: bool) -> None:
        super().__init__()
        self.axis = axis
        self.fused = fused
        self.ff1 = HalfStep(channels, dropout)
        self.attn = PreNorm(channels, RelativeAttention(channels, dropout))
        self.conv = ConvModule(channels)
        self.ff2 = HalfStep(channels, dropout)
        self.post_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.fused and fast_path.applies_to(x):
            x = self.ff1.blockwise(x.contiguous())
            attended = self.attn.fn.blockwise_step(x, self.attn.norm, self.axis)
            x = self._attention(x) if attended is None else attended
            x = self.ff2.blockwise(self.conv.blockwise(x, self.axis))
        else:
            x = self.ff2(self.conv(self._attention(self.ff1(x)), self.axis))
        return self.post_norm(x)

    def _attention(self, x: Tensor) -> Tensor:
        sequences = x.transpose(1, 2) if self.axis == 1 else x
        attended = self.attn(sequences.flatten(0, 1)).view(sequences.shape)
        return x + (attended.transpose(1, 2) if self.axis == 1 else attended)
