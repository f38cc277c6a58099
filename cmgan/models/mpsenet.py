"""MP-SENet's generator: a magnitude mask and a phase, decoded in parallel (arXiv 2305.13686)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmgan.memory import keep_freed_memory
from cmgan.models.conformer import HEADS
from cmgan.models.discriminator import LearnableSigmoid
from cmgan.models.tscnet import DEPTH, SubPixelConv
from cmgan.signal import COMPRESSION, StftSettings, decompress

MPSENET_STFT = StftSettings(window="hann")


@dataclass(frozen=True)
class PolarSpectrum:
    """Magnitude to the power 0.3 and phase in radians, (B, F, T) each."""

    magnitude: Tensor
    phase: Tensor

    def real_imaginary(self) -> Tensor:
        """Compressed real and imaginary parts, (B, F, T, 2)."""
        return torch.stack((self.magnitude * self.phase.cos(), self.magnitude * self.phase.sin()), dim=-1)


def polar(spectrum: Tensor) -> PolarSpectrum:
    """Compressed magnitude and phase of a complex spectrum (B, F, T), with gradients that are finite at zero.

    Magnitude (re² + im² + 1e-9)^(0.3/2), phase atan2(im + 1e-10, re + 1e-5). Source: public code fact, MP-SENet.
    """
    power = spectrum.real.square() + spectrum.imag.square() + 1e-9
    return PolarSpectrum(
        power.sqrt() ** COMPRESSION, torch.atan2(spectrum.imag + 1e-10, spectrum.real + 1e-5)
    )


class MPSENet(nn.Module):
    """Generator with the names and shapes of the public state dict: 2,263,372 parameters at the defaults.

    num_channel: width, a multiple of 4 (one share for each attention head); num_blocks: two-stage blocks;
    num_features: odd number of frequency bins.
    The published code lays its tensors out as (sequences, steps, channels) but lets attention and GRU read them as
    (steps, sequences, channels). So the block called `time_transformer` runs over the frequency bins,
    `freq_transformer` over the frames, each over those of *all utterances of the batch* in a row: what an utterance
    gets depends on its neighbours in the batch. Published weights need that.
    Source: public code fact, MP-SENet; details found by matching the public output.
    """

    stft_settings = MPSENET_STFT

    def __init__(
        self, num_channel: int = 64, num_blocks: int = 4, *, num_features: int = MPSENET_STFT.bins
    ) -> None:
        if num_channel < 1 or num_channel % HEADS:
            raise ValueError(f"num_channel is {num_channel}: use a multiple of {HEADS}")
        super().__init__()
        keep_freed_memory()
        self.dense_encoder = _DenseEncoder(num_channel)
        self.TSTransformer = nn.ModuleList(_TwoStageBlock(num_channel) for _ in range(num_blocks))
        self.mask_decoder = _MaskDecoder(num_channel, num_features)
        self.phase_decoder = _PhaseDecoder(num_channel)

    def forward(self, noisy_magnitude: Tensor, noisy_phase: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Estimated compressed magnitude and phase, (B, F, T) each, and real and imaginary parts (B, F, T, 2).

        noisy_magnitude, noisy_phase (B, F, T) as `polar(stft(waveform, MPSENET_STFT))` gives them, F = 201.
        """
        estimate = self._estimate(PolarSpectrum(noisy_magnitude, noisy_phase))
        return estimate.magnitude, estimate.phase, estimate.real_imaginary()

    def estimate_spectrum(self, noisy_spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """The same estimate with TSCNet's arguments: (B, 2, T, F) compressed → real, imaginary (B, 1, T, F)."""
        estimate = self._estimate(polar(decompress(noisy_spectrum)))
        real, imaginary = estimate.real_imaginary().permute(3, 0, 2, 1).unsqueeze(2)
        return real, imaginary

    def _estimate(self, noisy: PolarSpectrum) -> PolarSpectrum:
        encoded = self.dense_encoder(torch.stack((noisy.magnitude, noisy.phase), dim=1).transpose(2, 3))
        for block in self.TSTransformer:
            encoded = block(encoded)
        return PolarSpectrum(noisy.magnitude * self.mask_decoder(encoded), self.phase_decoder(encoded))


class MPSENetGenerator(MPSENet):
    """MPSENet whose forward takes a compressed spectrum, as TSCNet's does; its state dict is the same."""

    def forward(self, noisy_spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2, T, F) compressed → estimated real and imaginary, (B, 1, T, F) each."""
        return self.estimate_spectrum(noisy_spectrum)


def _norm_prelu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(channels, affine=True), nn.PReLU(channels)


class _DenseBlock(nn.Module):
    """Four convolutions dilated 1, 2, 4, 8 along past frames, each seeing all before it: (B, C, T, F) → same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense_block = nn.ModuleList(
            nn.Sequential(
                nn.ConstantPad2d((1, 1, 2**depth, 0), 0.0),
                nn.Conv2d(channels * (depth + 1), channels, (2, 3), dilation=(2**depth, 1)),
                *_norm_prelu(channels),
            )
            for depth in range(DEPTH)
        )

    def forward(self, features: Tensor) -> Tensor:
        seen = output = features
        for layer in self.dense_block:
            output = layer(seen)
            seen = torch.cat((output, seen), dim=1)
        return output


class _DenseEncoder(nn.Module):
    """(B, 2, T, 201) → (B, C, T, 101)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense_conv_1 = nn.Sequential(nn.Conv2d(2, channels, 1), *_norm_prelu(channels))
        self.dense_block = _DenseBlock(channels)
        halve = nn.Conv2d(channels, channels, (1, 3), stride=(1, 2), padding=(0, 1))
        self.dense_conv_2 = nn.Sequential(halve, *_norm_prelu(channels))

    def forward(self, features: Tensor) -> Tensor:
        return self.dense_conv_2(self.dense_block(self.dense_conv_1(features)))


class _TwoStageBlock(nn.Module):
    """A transformer on (B·F, T, C), then one on (B·T, F, C), each added to its input: (B, C, T, F) → same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.time_transformer = _Transformer(channels)
        self.freq_transformer = _Transformer(channels)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, frames, bins = features.shape
        by_bin = features.permute(0, 3, 2, 1).reshape(batch * bins, frames, channels)
        by_bin = by_bin + self.time_transformer(by_bin)
        by_frame = by_bin.view(batch, bins, frames, channels).transpose(1, 2)
        by_frame = by_frame.reshape(batch * frames, bins, channels)
        by_frame = by_frame + self.freq_transformer(by_frame)
        return by_frame.view(batch, frames, bins, channels).permute(0, 3, 1, 2)


class _Transformer(nn.Module):
    """Attention, then recurrent feed-forward, each behind a layer norm and added to its input; a last layer norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, HEADS)
        self.norm2 = nn.LayerNorm(channels)
        gru = nn.GRU(channels, 2 * channels, bidirectional=True)
        self.ffn = nn.ModuleDict({"gru": gru, "linear": nn.Linear(4 * channels, channels)})
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, sequences: Tensor) -> Tensor:
        normed = self.norm1(sequences)
        attended = sequences + self.attention(normed, normed, normed, need_weights=False)[0]
        recurrent = functional.leaky_relu(self.ffn["gru"](self.norm2(attended))[0])
        return self.norm3(attended + self.ffn["linear"](recurrent))


class _MaskDecoder(nn.Module):
    """(B, C, T, 101) → magnitude mask (B, 201, T) between 0 and 2."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.dense_block = _DenseBlock(channels)
        self.mask_conv = nn.Sequential(
            SubPixelConv(channels), *_norm_prelu(channels), nn.Conv2d(channels, 1, (1, 2))
        )
        self.lsigmoid = LearnableSigmoid(bins, 1)

    def forward(self, encoded: Tensor) -> Tensor:
        return 2 * self.lsigmoid(self.mask_conv(self.dense_block(encoded)).squeeze(1).transpose(1, 2))


class _PhaseDecoder(nn.Module):
    """(B, C, T, 101) → phase (B, 201, T) in radians."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense_block = _DenseBlock(channels)
        self.phase_conv = nn.Sequential(SubPixelConv(channels), *_norm_prelu(channels))
        self.phase_conv_r = nn.Conv2d(channels, 1, (1, 2))
        self.phase_conv_i = nn.Conv2d(channels, 1, (1, 2))

    def forward(self, encoded: Tensor) -> Tensor:
        decoded = self.phase_conv(self.dense_block(encoded))
        phase = torch.atan2(self.phase_conv_i(decoded), self.phase_conv_r(decoded))
        return phase.squeeze(1).transpose(1, 2)
