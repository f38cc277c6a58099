"""The CMGAN generator: dense encoder, two-stage conformer blocks, mask decoder and complex decoder."""

import torch
from torch import Tensor, nn

from cmgan.kernels import fast_path
from cmgan.kernels.causal_conv import causal_conv, fused_causal_conv
from cmgan.kernels.library import kernel_for
from cmgan.kernels.norm_prelu import SOURCE as NORM_PRELU
from cmgan.kernels.norm_prelu import NormPrelu
from cmgan.models.conformer import ConformerBlock

DEPTH = 4


class TSCNet(nn.Module):
    """Compressed noisy spectrum (B, 2, T, F) → estimated real and imaginary part, (B, 1, T, F) each.

    num_channel: width C, a multiple of 4; num_features: odd number of bins F; dropout: rate in attention output and
    feed-forward; fused: on the CPU in float32, run chains of operations in cache, at widths that are multiples of 16
    by compiled kernels (same numbers, a third of the time and of the memory or less). Source: paper arXiv 2209.11112,
    section III; sizes and state-dict names are public code facts.
    """

    def __init__(
        self,
        num_channel: int = 64,
        num_features: int = 201,
        num_blocks: int = 4,
        dropout: float = 0.2,
        fused: bool = True,
    ) -> None:
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f"num_blocks is {num_blocks}: use at least 1")
        self.num_blocks = num_blocks
        self.dense_encoder = DenseEncoder(num_channel, fused)
        for i in range(1, num_blocks + 1):
            self.add_module(f"TSCB_{i}", TwoStageBlock(num_channel, dropout, fused))
        self.mask_decoder = MaskDecoder(num_channel, num_features, fused)
        self.complex_decoder = ComplexDecoder(num_channel, fused)

    def forward(self, noisy_spectrum: Tensor) -> tuple[Tensor, Tensor]:
        magnitude = spectral_magnitude(noisy_spectrum)
        x = self.dense_encoder(torch.cat([magnitude, noisy_spectrum], dim=1))
        tokens = x.permute(0, 2, 3, 1).contiguous()
        for i in range(1, self.num_blocks + 1):
            tokens = self.get_submodule(f"TSCB_{i}")(tokens)
        x = tokens.permute(0, 3, 1, 2)
        # The mask times the magnitude at the noisy phase is the mask times the noisy spectrum itself.
        estimate = self.mask_decoder(x) * noisy_spectrum + self.complex_decoder(x)
        return estimate[:, :1], estimate[:, 1:]


def spectral_magnitude(spectrum: Tensor) -> Tensor:
    """(B, 2, T, F) → (B, 1, T, F); its gradient at zero is zero instead of undefined."""
    power = spectrum.square().sum(1, keepdim=True)
    return power.clamp_min(torch.finfo(power.dtype).tiny).sqrt()


class TwoStageBlock(nn.Module):
    """A conformer along time, then one along frequency, each added to its input: (B, T, F, C) → same."""

    def __init__(self, channels: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.time_conformer = ConformerBlock(channels, dropout, 1, fused)
        self.freq_conformer = ConformerBlock(channels, dropout, 2, fused)

    def forward(self, x: Tensor) -> Tensor:
        x = self.time_conformer(x) + x
        return self.freq_conformer(x) + x


def norm_prelu(x: Tensor, norm: nn.InstanceNorm2d, prelu: nn.PReLU, fused: bool) -> Tensor:
    """Instance norm, then PReLU: (B, C, T, F) → same."""
    if fused and fast_path.applies_to(x) and kernel_for(NORM_PRELU, x.shape[1]):
        return NormPrelu.apply(x, norm.weight, norm.bias, prelu.weight)
    return prelu(norm(x))


class DilatedDenseNet(nn.Module):
    """Four causal convolutions with dilation 1, 2, 4, 8 along time, each seeing all before: (B, C, T, F) → same."""

    def __init__(self, channels: int, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        for i in range(1, DEPTH + 1):
            self.add_module(f"conv{i}", nn.Conv2d(channels * i, channels, (2, 3), dilation=(2 ** (i - 1), 1)))
            self.add_module(f"norm{i}", nn.InstanceNorm2d(channels, affine=True))
            self.add_module(f"prelu{i}", nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        convolve = fused_causal_conv if self.fused and fast_path.applies_to(x) else causal_conv
        seen = x
        for i in range(1, DEPTH + 1):
            conv, norm, prelu = (self.get_submodule(f"{name}{i}") for name in ("conv", "norm", "prelu"))
            out = convolve(seen, conv.weight, conv.bias, conv.dilation[0])
            out = norm_prelu(out, norm, prelu, self.fused)
            if i < DEPTH:
                seen = torch.cat([out, seen], dim=1)
        return out


class DenseEncoder(nn.Module):
    """Magnitude, real, imaginary (B, 3, T, F) → (B, C, T, (F + 1) / 2)."""

    def __init__(self, channels: int, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.conv_1 = nn.Sequential(
            nn.Conv2d(3, channels, 1), nn.InstanceNorm2d(channels, affine=True), nn.PReLU(channels)
        )
        self.dilated_dense = DilatedDenseNet(channels, fused)
        self.conv_2 = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 3), (1, 2), padding=(0, 1)),
            nn.InstanceNorm2d(channels, affine=True),
            nn.PReLU(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        conv, norm, prelu = self.conv_1
        x = conv(x.contiguous(memory_format=torch.channels_last))
        x = self.dilated_dense(norm_prelu(x, norm, prelu, self.fused))
        conv, norm, prelu = self.conv_2
        return norm_prelu(conv(x), norm, prelu, self.fused)


class SubPixelConv(nn.Module):
    """Twice as many bins: the halves of 2C channels interleave along frequency, (B, C, T, F) → (B, C, T, 2F)."""

    def __init__(self, channels: int, fused: bool = True) -> None:
        super().__init__()
        self.fused = fused
        self.conv = nn.Conv2d(channels, 2 * channels, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        convolve = fused_causal_conv if self.fused and fast_path.applies_to(x) else causal_conv
        places = convolve(x, self.conv.weight, self.conv.bias, 1).permute(0, 2, 3, 1)
        batch, frames, bins, channels = places.shape
        return places.reshape(batch, frames, 2 * bins, channels // 2).permute(0, 3, 1, 2)


class MaskDecoder(nn.Module):
    """Magnitude mask with one output slope for each bin: (B, C, T, (F + 1) / 2) → (B, 1, T, F)."""

    def __init__(self, channels: int, bins: int, fused: bool) -> None:
        super().__init__()
        self.dense_block = DilatedDenseNet(channels, fused)
        self.sub_pixel = SubPixelConv(channels, fused)
        self.conv_1 = nn.Conv2d(channels, 1, (1, 2))
        self.norm = nn.InstanceNorm2d(1, affine=True)
        self.prelu = nn.PReLU(1)
        self.final_conv = nn.Conv2d(1, 1, 1)
        self.prelu_out = nn.PReLU(bins, init=-0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1(self.sub_pixel(self.dense_block(x)))
        x = self.final_conv(self.prelu(self.norm(x)))
        return self.prelu_out(x.transpose(1, 3)).transpose(1, 3)


class ComplexDecoder(nn.Module):
    """Residual of real and imaginary part: (B, C, T, (F + 1) / 2) → (B, 2, T, F)."""

    def __init__(self, channels: int, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.dense_block = DilatedDenseNet(channels, fused)
        self.sub_pixel = SubPixelConv(channels, fused)
        self.prelu = nn.PReLU(channels)
        self.norm = nn.InstanceNorm2d(channels, affine=True)
        self.conv = nn.Conv2d(channels, 2, (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.sub_pixel(self.dense_block(x))
        return self.conv(norm_prelu(x, self.norm, self.prelu, self.fused))
