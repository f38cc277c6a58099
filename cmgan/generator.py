"""The CMGAN generator: dense encoder, two-stage conformer blocks, mask decoder and complex decoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmgan.conformer import ConformerBlock

DEPTH = 4


class TSCNet(nn.Module):
    """Compressed noisy spectrum (B, 2, T, F) → estimated real and imaginary part, (B, 1, T, F) each, float32.

    num_channel: width C, a multiple of 4; num_features: odd number of bins F; dropout: rate in attention output and
    feed-forward. Source: paper arXiv 2209.11112, section III; sizes and state-dict names are public code facts.
    """

    def __init__(
        self, num_channel: int = 64, num_features: int = 201, num_blocks: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        if num_blocks < 1:
            raise ValueError(f"num_blocks is {num_blocks}: use at least 1")
        self.num_blocks = num_blocks
        self.dense_encoder = DenseEncoder(num_channel)
        for i in range(1, num_blocks + 1):
            self.add_module(f"TSCB_{i}", TwoStageBlock(num_channel, dropout))
        self.mask_decoder = MaskDecoder(num_channel, num_features)
        self.complex_decoder = ComplexDecoder(num_channel)

    def forward(self, noisy_spectrum: Tensor) -> tuple[Tensor, Tensor]:
        magnitude = noisy_spectrum.square().sum(1, keepdim=True).sqrt()
        x = self.dense_encoder(torch.cat([magnitude, noisy_spectrum], dim=1))
        for i in range(1, self.num_blocks + 1):
            x = self.get_submodule(f"TSCB_{i}")(x)
        # mask · magnitude at the noisy phase is the mask times the noisy spectrum itself.
        estimate = self.mask_decoder(x) * noisy_spectrum + self.complex_decoder(x)
        return estimate[:, :1], estimate[:, 1:]


class TwoStageBlock(nn.Module):
    """A conformer along time, then one along frequency, each added to its input: (B, C, T, F) → same."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.time_conformer = ConformerBlock(channels, dropout)
        self.freq_conformer = ConformerBlock(channels, dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, frames, bins = x.shape
        x = x.permute(0, 3, 2, 1).reshape(batch * bins, frames, channels)
        x = self.time_conformer(x) + x
        x = x.reshape(batch, bins, frames, channels).transpose(1, 2).reshape(batch * frames, bins, channels)
        x = self.freq_conformer(x) + x
        return x.reshape(batch, frames, bins, channels).permute(0, 3, 1, 2)


class DilatedDenseNet(nn.Module):
    """Four causal convolutions with dilation 1, 2, 4, 8 along time, each seeing all before: (B, C, T, F) → same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i in range(1, DEPTH + 1):
            dilation = (2 ** (i - 1), 1)
            self.add_module(f"conv{i}", nn.Conv2d(channels * i, channels, (2, 3), dilation=dilation))
            self.add_module(f"norm{i}", nn.InstanceNorm2d(channels, affine=True))
            self.add_module(f"prelu{i}", nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for i in range(1, DEPTH + 1):
            past = 2 ** (i - 1)
            x = self.get_submodule(f"conv{i}")(functional.pad(torch.cat(seen, dim=1), (1, 1, past, 0)))
            x = self.get_submodule(f"prelu{i}")(self.get_submodule(f"norm{i}")(x))
            seen.insert(0, x)
        return x


class DenseEncoder(nn.Module):
    """Magnitude, real, imaginary (B, 3, T, F) → (B, C, T, (F + 1) / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Sequential(
            nn.Conv2d(3, channels, 1), nn.InstanceNorm2d(channels, affine=True), nn.PReLU(channels)
        )
        self.dilated_dense = DilatedDenseNet(channels)
        self.conv_2 = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 3), (1, 2), padding=(0, 1)),
            nn.InstanceNorm2d(channels, affine=True),
            nn.PReLU(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_2(self.dilated_dense(self.conv_1(x)))


class SubPixelConv(nn.Module):
    """Twice as many bins: the halves of 2C channels interleave along frequency, (B, C, T, F) → (B, C, T, 2F)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack(self.conv(x).chunk(2, dim=1), dim=-1).flatten(-2)


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
        return self.conv(self.prelu(self.norm(self.sub_pixel(self.dense_block(x)))))
