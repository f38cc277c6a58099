"""MP-SENet's generator losses, term by term."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from cmgan.losses import GeneratorLosses, generator_losses
from cmgan.recipe import LossWeights

# The public code's weights of the terms that CMGAN lacks; those of the others are CMGAN's.
PHASE_WEIGHT, CONSISTENCY_WEIGHT = 0.3, 0.1


def mpsenet_losses(
    estimate: Tensor,
    clean: Tensor,
    reanalysed: Tensor,
    estimated_waveform: Tensor,
    clean_waveform: Tensor,
    metric_score: Tensor | None,
) -> GeneratorLosses:
    """All terms of gain-normalised signals; waveforms (B, N), compressed spectra (B, 2, T, F).

    reanalysed: the spectrum of the estimated waveform, whose magnitude is also what the discriminator sees.
    metric_score: D(clean, reanalysed magnitude) (B, 1), or None without a discriminator (metric term 0).
    Source: public code fact, MP-SENet; which differences count was found by matching the public terms.
    """
    shared = generator_losses(
        estimate, clean, estimated_waveform, clean_waveform, metric_score, LossWeights()
    )
    phase = phase_loss(_phase(estimate), _phase(clean))
    consistency = 2 * (estimate - reanalysed).square().mean()
    total = shared.total + PHASE_WEIGHT * phase + CONSISTENCY_WEIGHT * consistency
    return replace(shared, phase=phase, consistency=consistency, total=total)


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


def _phase(compressed: Tensor) -> Tensor:
    real, imaginary = compressed.transpose(2, 3).unbind(1)
    return imaginary.atan2(real)
