"""The CMGAN generator: dense encoder, two-stage conformer blocks, mask decoder and complex decoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmgan.kernels import dense_net, takes
from cmgan.memory import keep_freed_memory
from cmgan.models.conformer import ConformerBlock
from cmgan.signal import CMGAN_STFT, magnitude

DEPTH = 4


class TSCNet(nn.Module):
    """Compressed noisy spectrum (B, 2, T, F) → estimated real and imaginary part, (B, 1, T, F) each.

    num_channel: width C, a multiple of 4; num_features: odd number of bins F; dropout: rate in attention output and
    feed-forward. On the CPU in float32 compiled kernels do the work: same numbers, a third of the time and of the
    memory or less (`cmgan.kernels.torch_only` leaves them out); a width that is no multiple of 16 costs as much as
    the next one that is. The process keeps the memory that it frees (`cmgan.memory`).
    Source: paper arXiv 2209.11112, section III; sizes and state-dict names are public code facts.
    """

    stft_settings = CMGAN_STFT

    def __init__(
        self, num_channel: int = 64, num_features: int = 201, num_blocks: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        keep_freed_memory()
        if num_blocks < 1:
            raise ValueError(f"num_blocks is {num_blocks}: use at least 1")
        self.num_blocks = num_blocks
        self.dense_encoder = DenseEncoder(num_channel)
        for i in range(1, num_blocks + 1):
            self.add_module(f"TSCB_{i}", TwoStageBlock(num_channel, dropout))
        self.mask_decoder = MaskDecoder(num_channel, num_features)
        self.complex_decoder = ComplexDecoder(num_channel)

    def forward(self, noisy_spectrum: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([magnitude(noisy_spectrum).unsqueeze(1), noisy_spectrum], dim=1)
        tokens = self.dense_encoder(x).permute(0, 2, 3, 1).contiguous()
        for i in range(1, self.num_blocks + 1):
            tokens = self.get_submodule(f"TSCB_{i}")(tokens)
        x = tokens.permute(0, 3, 1, 2)
        # The mask times the magnitude at the noisy phase is the mask times the noisy spectrum itself.
        estimate = self.mask_decoder(x) * noisy_spectrum + self.complex_decoder(x)
        return estimate[:, :1], estimate[:, 1:]


class TwoStageBlock(nn.Module):
    """A conformer along time, then one along frequency, each added to its input: (B, T, F, C) → same."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.time_conformer = ConformerBlock(channels, dropout, axis=1)
        self.freq_conformer = ConformerBlock(channels, dropout, axis=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.time_conformer(x) + x
        return self.freq_conformer(x) + x


def causal_conv(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Convolution with zero frames before and one zero bin on both sides: (B, C, T, F) → (B, C', T, F)."""
    weight, dilation = conv.weight, conv.dilation[0]
    if takes(x, dense_net.SOURCE):
        return dense_net.causal_conv(x, weight, conv.bias, dilation)
    # Padding at both ends and cutting the last frames off again saves a padded copy of the input.
    before = (weight.shape[2] - 1) * dilation
    out = functional.conv2d(x, weight, conv.bias, padding=(before, 1), dilation=(dilation, 1))
    return out[:, :, : x.shape[2]]


def norm_prelu(x: Tensor, norm: nn.InstanceNorm2d, prelu: nn.PReLU) -> Tensor:
    """Instance norm, then PReLU: (B, C, T, F) → same."""
    if takes(x, dense_net.SOURCE):
        return dense_net.norm_prelu(x, norm.weight, norm.bias, prelu.weight)
    return prelu(norm(x))


class DilatedDenseNet(nn.Module):
    """Four causal convolutions with dilation 1, 2, 4, 8 along time, each seeing all before: (B, C, T, F) → same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i in range(1, DEPTH + 1):
            self.add_module(f"conv{i}", nn.Conv2d(channels * i, channels, (2, 3), dilation=(2 ** (i - 1), 1)))
            self.add_module(f"norm{i}", nn.InstanceNorm2d(channels, affine=True))
            self.add_module(f"prelu{i}", nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        names = ("conv", "norm", "prelu")
        layers = [[self.get_submodule(f"{name}{i}") for name in names] for i in range(1, DEPTH + 1)]
        if takes(x, dense_net.SOURCE):
            return dense_net.dense_net(
                x, [[p for part in layer for p in part.parameters()] for layer in layers]
            )
        seen = x
        for number, (conv, norm, prelu) in enumerate(layers, start=1):
            out = norm_prelu(causal_conv(seen, conv), norm, prelu)
            if number < DEPTH:
                seen = torch.cat([out, seen], dim=1)
        return out


class DenseEncoder(nn.Module):
    """Magnitude, real, imaginary (B, 3, T, F) → (B, C, T, (F + 1) / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = NormedConv(nn.Conv2d(3, channels, 1))
        self.dilated_dense = DilatedDenseNet(channels)
        self.conv_2 = NormedConv(nn.Conv2d(channels, channels, (1, 3), (1, 2), padding=(0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1(x.contiguous(memory_format=torch.channels_last))
        return self.conv_2(self.dilated_dense(x))


class NormedConv(nn.Sequential):
    """Convolution, instance norm, PReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(conv, nn.InstanceNorm2d(conv.out_channels, affine=True), nn.PReLU(conv.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        conv, norm, prelu = self
        return norm_prelu(conv(x), norm, prelu)


class SubPixelConv(nn.Module):
    """Twice as many bins: the halves of 2C channels interleave along frequency, (B, C, T, F) → (B, C, T, 2F)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        places = causal_conv(x, self.conv).permute(0, 2, 3, 1)
        batch, frames, bins, channels = places.shape
        return places.reshape(batch, frames, 2 * bins, channels // 2).permute(0, 3, 1, 2)


class MaskDecoder(nn.Module):
    """Magnitude mask with one output slope for each bin: (B, C, T, (F + 1) / 2) → (B, 1, T, F)."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.dense_block = DilatedDenseNet(channels)
        self.sub_pixel = SubPixelConv(channels)
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

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense_block = DilatedDenseNet(channels)
        self.sub_pixel = SubPixelConv(channels)
        self.prelu = nn.PReLU(channels)
        self.norm = nn.InstanceNorm2d(channels, affine=True)
        self.conv = nn.Conv2d(channels, 2, (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(norm_prelu(self.sub_pixel(self.dense_block(x)), self.norm, self.prelu))
