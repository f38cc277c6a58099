"""MP-SENet's generator losses, term by term."""

import math

import torch
from torch import Tensor

from cmgan.losses import GeneratorLosses
from cmgan.models.mpsenet import PolarSpectrum

# The public code's weights.
WEIGHTS = {
    "magnitude": 0.9,
    "phase": 0.3,
    "real_imaginary": 0.1,
    "consistency": 0.1,
    "time": 0.2,
    "metric": 0.05,
}


def mpsenet_losses(
    estimate: PolarSpectrum,
    clean: PolarSpectrum,
    reanalysed: PolarSpectrum,
    estimated_waveform: Tensor,
    clean_waveform: Tensor,
    metric_score: Tensor | None,
) -> GeneratorLosses:
    """All terms of gain-normalised signals; waveforms (B, N), spectra (B, F, T).

    reanalysed: the spectrum of the estimated waveform, whose magnitude is also what the discriminator sees.
    metric_score: D(clean, reanalysed magnitude) (B, 1), or None without a discriminator (metric term 0).
    Source: public code fact, MP-SENet; which differences count was found by matching the public terms.
    """
    estimated_parts = estimate.real_imaginary()
    time = (estimated_waveform - clean_waveform).abs().mean()
    terms = {
        "magnitude": (estimate.magnitude - clean.magnitude).square().mean(),
        "phase": phase_loss(estimate.phase, clean.phase),
        "real_imaginary": 2 * (estimated_parts - clean.real_imaginary()).square().mean(),
        "consistency": 2 * (estimated_parts - reanalysed.real_imaginary()).square().mean(),
        "time": time,
        "metric": (metric_score - 1).square().mean() if metric_score is not None else torch.zeros_like(time),
    }
    return GeneratorLosses(**terms, total=sum(weight * terms[name] for name, weight in WEIGHTS.items()))


def phase_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Anti-wrapped errors of instantaneous phase, group delay and angular frequency, radians, summed.

    Phases (B, F, T); group delay is the difference along frequency, angular frequency that along time.
    Source: arXiv 2305.13686, anti-wrapping losses.
    """
    error = estimate - clean
    return sum(anti_wrapped(part).mean() for part in (error, error.diff(dim=1), error.diff(dim=2)))


def anti_wrapped(phase_difference: Tensor) -> Tensor:
    """Distance to the nearest multiple of 2π, 0…π: |x − 2π·round(x / 2π)|."""
    return (phase_difference - 2 * math.pi * torch.round(phase_difference / (2 * math.pi))).abs()
