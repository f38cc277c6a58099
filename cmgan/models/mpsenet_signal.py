"""MP-SENet's signal chain: waveform to compressed magnitude and phase, and back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cmgan.signal import COMPRESSION, StftSettings, istft, stft

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


def analyse(waveform: Tensor) -> PolarSpectrum:
    """Compressed magnitude and phase of a waveform: (B, N) → (B, F, T) each, Hann window, 400 by 100."""
    return polar(stft(waveform, MPSENET_STFT))


def synthesise(spectrum: PolarSpectrum, length: int | None = None) -> Tensor:
    """Waveform of a compressed magnitude and phase: (B, F, T) each → (B, N), N = 100·(T−1) unless length is given."""
    return istft(torch.polar(spectrum.magnitude ** (1 / COMPRESSION), spectrum.phase), MPSENET_STFT, length)
