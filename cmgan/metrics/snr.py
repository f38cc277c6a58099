"""Signal-to-noise ratios of an estimate against its reference."""

import numpy as np

from cmgan.metrics.composite import windowed_blocks

SEGMENTAL_RANGE = (-10.0, 35.0)
_TINY = 1e-200


def segmental_snr(clean: np.ndarray, estimate: np.ndarray) -> float:
    """Mean SNR in dB of windowed 30 ms frames every 7.5 ms, each limited to −10…35 dB.

    clean and estimate (N,) at 16 kHz, any common scale. NaN below 37.5 ms. A frame of digital silence in the
    reference counts as −10 dB. Source: Hansen & Pellom 1998, as used by Hu & Loizou 2008 (composite.m).
    """
    signals = (signal.astype(np.float64, copy=False) for signal in (clean, estimate))
    ratios = [
        np.square(reference).sum(1) / (np.square(reference - processed).sum(1) + _TINY)
        for reference, processed in zip(*map(windowed_blocks, signals), strict=True)
    ]
    if not ratios:
        return float("nan")
    decibels = 10 * np.log10(np.maximum(np.concatenate(ratios), _TINY))
    return float(np.clip(decibels, *SEGMENTAL_RANGE).mean())


def projection_gain(clean: np.ndarray, estimate: np.ndarray) -> float:
    """Factor α that brings α·clean closest to the estimate: ⟨estimate, clean⟩ / ⟨clean, clean⟩.

    clean and estimate (N,). NaN for a silent reference. 1: the level is right; far below 1: parts cancel.
    """
    clean, estimate = clean.astype(np.float64, copy=False), estimate.astype(np.float64, copy=False)
    energy = clean @ clean
    return float(estimate @ clean / energy) if energy > 0 else float("nan")


def si_sdr(clean: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB: ‖α·clean‖² / ‖estimate − α·clean‖².

    clean and estimate (N,). NaN for silence in either, infinite for an estimate that equals the scaled reference.
    Source: Le Roux et al. 2019, equation 1, α as in `projection_gain`; means are not removed.
    """
    target = projection_gain(clean, estimate) * clean.astype(np.float64, copy=False)
    distortion = estimate.astype(np.float64, copy=False) - target
    target_energy, distortion_energy = target @ target, distortion @ distortion
    if not target_energy + distortion_energy > 0:
        return float("nan")
    with np.errstate(divide="ignore"):
        return float(10 * (np.log10(target_energy) - np.log10(distortion_energy)))
