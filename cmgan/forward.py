"""One pass of a batch through the generator, with everything the losses and logs need."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmgan.dataset import Batch
from cmgan.recipe import MetricInput, TimeTarget
from cmgan.signal import (
    CMGAN_STFT,
    StftSettings,
    compressed_spectrum,
    magnitude,
    rms_gain,
    waveform_of,
)


@dataclass(frozen=True)
class Forward:
    """Clean signal and estimate of a batch at the scale where the noisy signal has RMS 1.

    clean_raw, clean, waveform (B, N): clean before and after the gain, and the estimate's waveform;
    clean_spectrum, estimate (B, 2, T, F) compressed.
    """

    clean_raw: Tensor
    clean: Tensor
    clean_spectrum: Tensor
    estimate: Tensor
    waveform: Tensor
    stft: StftSettings

    def time_target(self, target: TimeTarget) -> Tensor:
        """What the time loss compares the waveform with, (B, N)."""
        return self.clean if target == "normalised" else self.clean_raw

    def reanalysed(self) -> Tensor:
        """Compressed spectrum of the estimate's waveform, (B, 2, T, F): what a listener's ear could analyse."""
        return compressed_spectrum(self.waveform, self.stft)


def forward(generator: nn.Module, batch: Batch, stft: StftSettings = CMGAN_STFT) -> Forward:
    """Normalise by the noisy RMS, analyse, estimate, resynthesise; batch of (B, N) waveforms."""
    gain = rms_gain(batch.noisy)
    clean = gain * batch.clean
    estimate = torch.cat(generator(compressed_spectrum(gain * batch.noisy, stft)), dim=1).float()
    waveform = waveform_of(estimate, stft, length=clean.shape[-1])
    return Forward(batch.clean, clean, compressed_spectrum(clean, stft), estimate, waveform, stft)


def metric_magnitudes(result: Forward, metric_input: MetricInput) -> tuple[Tensor, Tensor]:
    """Clean and estimated magnitude for the discriminator, (B, 1, F, T) each.

    `estimated`: the magnitude the generator wrote (public code); `reanalysed`: that of its waveform, so that
    the discriminator sees what cancels in the overlap of frames (MP-SENet).
    """
    spectrum = result.estimate if metric_input == "estimated" else result.reanalysed()
    return _as_image(magnitude(result.clean_spectrum)), _as_image(magnitude(spectrum))


def gain_of(estimate: Tensor, reference: Tensor) -> Tensor:
    """Gain of the estimate against the reference, ⟨e, r⟩ / ⟨r, r⟩: (B, N) → (B,); NaN for a silent reference."""
    energy = reference.square().sum(-1)
    return torch.where(energy > 0, (estimate * reference).sum(-1) / energy, torch.nan)


def phase_error(estimate: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute phase difference weighted by the clean magnitude, radians: (B, 2, T, F) → (B,)."""
    real = (estimate * clean).sum(1)
    imaginary = estimate[:, 1] * clean[:, 0] - estimate[:, 0] * clean[:, 1]
    weight = magnitude(clean)
    return (torch.atan2(imaginary, real).abs() * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)


def _as_image(magnitudes: Tensor) -> Tensor:
    return magnitudes.transpose(1, 2).unsqueeze(1)
