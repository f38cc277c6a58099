"""MP-SENet's signal chain in one call each way."""

import torch
from torch import Tensor

from cmgan.models.mpsenet import MPSENET_STFT, PolarSpectrum, polar
from cmgan.signal import COMPRESSION, istft, stft


def analyse(waveform: Tensor) -> PolarSpectrum:
    """(B, N) → compressed magnitude and phase, (B, F, T) each."""
    return polar(stft(waveform, MPSENET_STFT))


def synthesise(spectrum: PolarSpectrum, length: int | None = None) -> Tensor:
    """Undo `analyse`: (B, N), N = 100·(T − 1) unless length is given."""
    return istft(torch.polar(spectrum.magnitude ** (1 / COMPRESSION), spectrum.phase), MPSENET_STFT, length)
