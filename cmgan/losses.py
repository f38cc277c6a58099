"""Losses of the generator and the discriminator, term by term."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cmgan.labels import Labels
from cmgan.recipe import LossWeights
from cmgan.signal import magnitude


@dataclass(frozen=True)
class GeneratorLosses:
    """Terms of the generator's loss, scalars; `total` is their weighted sum. Only MP-SENet has two of them."""

    real_imaginary: Tensor
    magnitude: Tensor
    time: Tensor
    metric: Tensor
    phase: Tensor | None
    consistency: Tensor | None
    total: Tensor

    def values(self) -> dict[str, float]:
        """Every term as a number, "loss_" before its name; NaN where the system lacks it."""
        return {
            f"loss_{name}": float("nan") if value is None else value.item()
            for name, value in vars(self).items()
        }


def generator_losses(
    estimate: Tensor,
    clean: Tensor,
    estimated_waveform: Tensor,
    time_target: Tensor,
    metric_score: Tensor | None,
    weights: LossWeights,
) -> GeneratorLosses:
    """0.1·L_RI + 0.9·L_mag + 0.2·L_time + 0.05·L_GAN with the public weights.

    estimate, clean: compressed spectra (B, 2, T, F); estimated_waveform, time_target (B, N);
    metric_score: D(clean, estimate) (B, 1), or None without a discriminator (metric term 0).
    Source: public code fact, "Losses and one training step".
    """
    real_imaginary = (
        2 * (estimate - clean).square().mean()
    )  # the sum of two means over half the elements each
    magnitude_loss = (magnitude(estimate) - magnitude(clean)).square().mean()
    time = (estimated_waveform - time_target).abs().mean()
    metric = (metric_score - 1).square().mean() if metric_score is not None else torch.zeros_like(time)
    total = (
        weights.real_imaginary * real_imaginary
        + weights.magnitude * magnitude_loss
        + weights.time * time
        + weights.metric * metric
    )
    return GeneratorLosses(real_imaginary, magnitude_loss, time, metric, None, None, total)


def discriminator_loss(
    clean_score: Tensor, estimate_score: Tensor, labels: Labels, share: float = 1.0
) -> Tensor:
    """MSE(D(clean, clean), 1) + MSE(D(clean, estimate), label) over the samples that have a label.

    clean_score, estimate_score (B, 1); labels for the same B samples, at least one of them kept, or none:
    then the generated half is dropped. share: weight of that half, where several processes average their losses
    and kept unequally many samples. Source: public code fact; the mask is MP-SENet's remedy by sample.
    """
    real = (clean_score - 1).square().mean()
    kept = torch.as_tensor(labels.kept, device=estimate_score.device)
    if not kept.any():
        return real
    target = torch.as_tensor(labels.values, dtype=estimate_score.dtype, device=estimate_score.device)
    return real + share * (estimate_score.squeeze(1)[kept] - target[kept]).square().mean()
