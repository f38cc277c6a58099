"""The composite measures of Hu & Loizou 2008: what listeners would say of signal, background and whole."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cmgan.metrics.frames import power_spectrum, windowed_blocks
from cmgan.metrics.linear_prediction import log_likelihood_ratio
from cmgan.metrics.spectral_slope import weighted_spectral_slope

WssScale = Literal["int16", "float"]
# The original divides by 32768 inside its slope measure: int16 samples end at ±1, ±1 floats far below the floor.
_SCALE_OF_UNIT_WAVEFORM = {"int16": 1.0, "float": 1 / 32_768}
_KEPT_SHARE = 0.95


@dataclass(frozen=True)
class SpectralDistances:
    """Means over the best 95 % of frames: log-likelihood ratio and weighted spectral slope; NaN without frames."""

    llr: float
    wss: float


@dataclass(frozen=True)
class Composite:
    """Predicted ratings of signal distortion, background and overall quality, each 1…5."""

    csig: float
    cbak: float
    covl: float


def spectral_distances(
    clean: np.ndarray, estimate: np.ndarray, wss_scale: WssScale = "int16"
) -> SpectralDistances:
    """LLR and WSS between two waveforms (N,), float64, 16 kHz, scale ±1.

    wss_scale "int16" gives what the MATLAB original gives for 16-bit samples; "float" what the public
    evaluation script gives, which passes ±1 floats to code written for int16. Frames in which the reference is
    digital silence have no LLR. Raises ValueError for another scale.
    """
    if wss_scale not in _SCALE_OF_UNIT_WAVEFORM:
        raise ValueError(f"wss_scale is {wss_scale!r}: use one of {', '.join(_SCALE_OF_UNIT_WAVEFORM)}")
    scale = _SCALE_OF_UNIT_WAVEFORM[wss_scale]
    llr, wss = [], []
    for clean_block, estimate_block in zip(windowed_blocks(clean), windowed_blocks(estimate), strict=True):
        clean_power, estimate_power = power_spectrum(clean_block), power_spectrum(estimate_block)
        llr.append(log_likelihood_ratio(clean_power, estimate_power))
        wss.append(weighted_spectral_slope(clean_power, estimate_power, scale))
    return SpectralDistances(_mean_of_best(llr), _mean_of_best(wss))


def composite(pesq: float, distances: SpectralDistances, ssnr: float) -> Composite:
    """CSIG, CBAK and COVL from wide-band PESQ, LLR, WSS and segmental SNR (dB), 1…5; NaN where an input is.

    Source: Hu & Loizou 2008, regression coefficients of composite.m.
    """
    llr, wss = distances.llr, distances.wss
    return Composite(
        csig=_limited(3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss),
        cbak=_limited(1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * ssnr),
        covl=_limited(1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss),
    )


def _mean_of_best(blocks: list[np.ndarray]) -> float:
    distances = np.concatenate([*blocks, np.empty(0)])
    distances = np.sort(distances[~np.isnan(distances)])
    kept = distances[: round(_KEPT_SHARE * len(distances))]
    return float(kept.mean()) if len(kept) else float("nan")


def _limited(rating: float) -> float:
    return float(np.clip(rating, 1, 5))
