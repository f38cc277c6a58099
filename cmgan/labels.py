"""From PESQ scores to the discriminator's labels, under the policies that the claims are about."""

from dataclasses import dataclass

import numpy as np

from cmgan.recipe import LabelPolicy

INVENTED_LABEL = 0.5


@dataclass(frozen=True)
class Labels:
    """Targets of D(clean, estimate) for a batch of B samples.

    values (B,) float64 in 0…1, NaN where there is none; kept (B,) bool: samples that enter the loss;
    skip: the discriminator makes no step at all.
    """

    values: np.ndarray
    kept: np.ndarray
    skip: bool


def normalised_pesq(pesq: np.ndarray) -> np.ndarray:
    """(PESQ − 1) / 3.5, the public code's label; NaN stays NaN."""
    return (pesq - 1) / 3.5


def labels_from_pesq(pesq: np.ndarray, policy: LabelPolicy) -> Labels:
    """Labels for one batch from its PESQ scores (B,), NaN where PESQ failed.

    skip_batch: one failure and the discriminator makes no step (public code);
    batch_mean: every sample gets the mean of those that succeeded, 0.5 if none did (the debugging effort);
    mask: failed samples are left out of the loss; fill: failed samples get the invented label 0.5.
    """
    scores = normalised_pesq(np.asarray(pesq, dtype=np.float64))
    succeeded = np.isfinite(scores)
    everyone = np.ones_like(succeeded)
    if policy == "skip_batch":
        return Labels(scores, everyone, skip=not succeeded.all())
    if policy == "batch_mean":
        shared = scores[succeeded].mean() if succeeded.any() else INVENTED_LABEL
        return Labels(np.full_like(scores, shared), everyone, skip=False)
    if policy == "fill":
        return Labels(np.where(succeeded, scores, INVENTED_LABEL), everyone, skip=False)
    if policy == "mask":
        return Labels(scores, succeeded, skip=False)
    raise ValueError(f"unknown label policy {policy!r}: use skip_batch, batch_mean, mask or fill")


def inject_failure(pesq: np.ndarray, rate: float, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """With probability `rate` make one sample of the batch fail: scores (B,) → (scores, whether it happened).

    The same number of random draws is made whatever the outcome, so that arms stay comparable.
    """
    happens, victim = rng.random() < rate, rng.integers(len(pesq))
    if not happens:
        return pesq, False
    failed = pesq.copy()
    failed[victim] = np.nan
    return failed, True
