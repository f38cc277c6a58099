"""Waveform to compressed spectrum and back, as the public system computes it."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from data_prep.audio import SAMPLE_RATE as SAMPLE_RATE

COMPRESSION = 0.3


@dataclass(frozen=True)
class StftSettings:
    """Frame length, hop and window of a short-time Fourier transform; lengths in samples at 16 kHz."""

    n_fft: int = 400
    hop: int = 100
    window: str = "hamming"

    @property
    def bins(self) -> int:
        """Frequency bins of the one-sided spectrum."""
        return self.n_fft // 2 + 1


CMGAN_STFT = StftSettings()


@lru_cache(maxsize=32)
def _window(name: str, length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    windows = {"hamming": torch.hamming_window, "hann": torch.hann_window}
    return windows[name](length, periodic=True, device=device, dtype=dtype)


def rms_gain(noisy: Tensor) -> Tensor:
    """Gain that brings each noisy waveform to RMS 1: sqrt(N / Σ noisy²).

    noisy (B, N) → (B, 1). Silence gets gain 1, where the public code divides by zero.
    Source: public code fact, reference signal chain.
    """
    energy = noisy.square().sum(-1, keepdim=True)
    gain = (noisy.shape[-1] / energy.clamp_min(torch.finfo(noisy.dtype).tiny)).sqrt()
    return torch.where(energy > 0, gain, torch.ones_like(gain))


def stft(waveform: Tensor, settings: StftSettings = CMGAN_STFT) -> Tensor:
    """Complex one-sided spectrum, centred with reflect padding: (B, N) → (B, F, T)."""
    window = _window(settings.window, settings.n_fft, waveform.device, waveform.dtype)
    return torch.stft(
        waveform, settings.n_fft, settings.hop, window=window, onesided=True, return_complex=True
    )


def istft(spectrum: Tensor, settings: StftSettings = CMGAN_STFT, length: int | None = None) -> Tensor:
    """Waveform of a complex one-sided spectrum: (B, F, T) → (B, N), N = hop·(T−1) unless length is given."""
    window = _window(settings.window, settings.n_fft, spectrum.device, spectrum.real.dtype)
    return torch.istft(spectrum, settings.n_fft, settings.hop, window=window, onesided=True, length=length)


def compress(spectrum: Tensor) -> Tensor:
    """|X|^0.3 with the phase kept, stacked as real and imaginary: complex (B, F, T) → (B, 2, T, F)."""
    # |X|^-0.7 · X needs no angle, sine or cosine; zero stays zero because of the clamp.
    scale = spectrum.abs().clamp_min(torch.finfo(spectrum.real.dtype).tiny) ** (COMPRESSION - 1)
    return (torch.view_as_real(spectrum) * scale.unsqueeze(-1)).permute(0, 3, 2, 1)


def decompress(compressed: Tensor) -> Tensor:
    """Undo `compress`: (B, 2, T, F) → complex (B, F, T)."""
    return _complex_of(compressed) * magnitude(compressed).transpose(1, 2) ** (1 / COMPRESSION - 1)


def magnitude(compressed: Tensor) -> Tensor:
    """Compressed magnitude: (B, 2, T, F) → (B, T, F); its gradient at zero is zero instead of undefined."""
    power = compressed.square().sum(1)
    return power.clamp_min(torch.finfo(power.dtype).tiny).sqrt()


def compressed_spectrum(waveform: Tensor, settings: StftSettings = CMGAN_STFT) -> Tensor:
    """Compressed real and imaginary parts of a waveform: (B, N) → (B, 2, T, F)."""
    return compress(stft(waveform, settings))


def waveform_of(compressed: Tensor, settings: StftSettings = CMGAN_STFT, length: int | None = None) -> Tensor:
    """Waveform of a compressed spectrum: (B, 2, T, F) → (B, N)."""
    return istft(decompress(compressed), settings, length)


def inconsistency(compressed: Tensor, settings: StftSettings = CMGAN_STFT) -> Tensor:
    """How far a spectrum is from that of any waveform: ‖STFT(iSTFT(X)) − X‖ / ‖X‖ in the compressed domain.

    (B, 2, T, F) → (B,), dimensionless; 0 for the spectrum of a waveform.
    """
    reanalysed = compressed_spectrum(waveform_of(compressed, settings), settings)
    norm = compressed.flatten(1).norm(dim=1).clamp_min(torch.finfo(compressed.dtype).tiny)
    return (reanalysed - compressed).flatten(1).norm(dim=1) / norm


def _complex_of(compressed: Tensor) -> Tensor:
    return torch.view_as_complex(compressed.permute(0, 3, 2, 1).contiguous())
