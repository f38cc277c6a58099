"""MP-SENet's generator losses, term by term."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cmgan.models.mpsenet_signal import PolarSpectrum


@dataclass(frozen=True)
class MPSENetLossWeights:
    """Weights of the terms (public code)."""

    magnitude: float = 0.9
    phase: float = 0.3
    complex: float = 0.1
    consistency: float = 0.1
    time: float = 0.2
    metric: float = 0.05


@dataclass(frozen=True)
class MPSENetLosses:
    """Terms of the generator's loss, scalars; `total` is their weighted sum."""

    magnitude: Tensor
    phase: Tensor
    complex: Tensor
    consistency: Tensor
    time: Tensor
    metric: Tensor
    total: Tensor


def mpsenet_losses(
    estimate: PolarSpectrum,
    clean: PolarSpectrum,
    reanalysed: PolarSpectrum,
    estimated_waveform: Tensor,
    clean_waveform: Tensor,
    metric_score: Tensor | None,
    weights: MPSENetLossWeights | None = None,
) -> MPSENetLosses:
    """All terms of gain-normalised signals; waveforms (B, N), spectra (B, F, T).

    reanalysed: `analyse(estimated_waveform)`, whose magnitude is also what the discriminator sees.
    metric_score: D(clean, reanalysed magnitude) (B, 1), or None without a discriminator (metric term 0).
    Source: public code fact, MP-SENet; which differences count was found by matching the public terms.
    """
    weights = weights or MPSENetLossWeights()
    estimated_parts = estimate.real_imaginary()
    magnitude = (estimate.magnitude - clean.magnitude).square().mean()
    phase = phase_loss(estimate.phase, clean.phase)
    complex_loss = 2 * (estimated_parts - clean.real_imaginary()).square().mean()
    consistency = 2 * (estimated_parts - reanalysed.real_imaginary()).square().mean()
    time = (estimated_waveform - clean_waveform).abs().mean()
    metric = (metric_score - 1).square().mean() if metric_score is not None else torch.zeros_like(time)
    total = (
        weights.magnitude * magnitude
        + weights.phase * phase
        + weights.complex * complex_loss
        + weights.consistency * consistency
        + weights.time * time
        + weights.metric * metric
    )
    return MPSENetLosses(magnitude, phase, complex_loss, consistency, time, metric, total)


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
