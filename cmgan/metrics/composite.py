"""The composite measures of Hu & Loizou 2008, and the frame-wise distances that they are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

WssScale = Literal["int16", "float"]
# The original divides by 32768 inside its slope measure: int16 samples end at ±1, ±1 floats far below the floor.
_SCALE_OF_UNIT_WAVEFORM = {"int16": 1.0, "float": 1 / 32_768}
_KEPT_SHARE = 0.95

_FRAME, _HOP, _FFT = 480, 120, 1024
# Blocks of frames keep memory constant for recordings of any length, and the work inside the cache.
_BLOCK = 256
_ORDER = 16
_RELATIVE_TINY = np.finfo(np.float64).eps

_NYQUIST = 8_000
# Centre frequencies and bandwidths in Hz of the 25 critical bands (Klatt 1982, as in Hu & Loizou 2008).
# fmt: off
_CENTRES = np.array([
    50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30, 1288.72, 1442.54,
    1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63,
])
_BANDWIDTHS = np.array([
    70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823, 168.154,
    183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136,
])
# fmt: on
_ENERGY_FLOOR = 1e-10
_GLOBAL_PEAK_WEIGHT, _LOCAL_PEAK_WEIGHT = 20.0, 1.0


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


def composite(pesq: float, distances: SpectralDistances, ssnr: float) -> Composite:
    """CSIG, CBAK and COVL from wide-band PESQ, LLR, WSS and segmental SNR (dB), 1…5; NaN where an input is.

    Source: Hu & Loizou 2008, regression coefficients of composite.m.
    """
    llr, wss = distances.llr, distances.wss
    ratings = (
        3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss,
        1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * ssnr,
        1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss,
    )
    return Composite(*(float(np.clip(rating, 1, 5)) for rating in ratings))


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
    llr, wss = [], []
    for blocks in zip(windowed_blocks(clean), windowed_blocks(estimate), strict=True):
        powers = [power_spectrum(block) for block in blocks]
        llr.append(log_likelihood_ratio(*powers))
        wss.append(_weighted_spectral_slope(*powers, _SCALE_OF_UNIT_WAVEFORM[wss_scale]))
    return SpectralDistances(_mean_of_best(llr), _mean_of_best(wss))


def _mean_of_best(blocks: list[np.ndarray]) -> float:
    distances = np.concatenate([*blocks, np.empty(0)])
    distances = np.sort(distances[~np.isnan(distances)])
    kept = distances[: round(_KEPT_SHARE * len(distances))]
    return float(kept.mean()) if len(kept) else float("nan")


def hanning(length: int) -> np.ndarray:
    """Hann window (length,) whose ends are not zero, as MATLAB's hanning."""
    return 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))


_WINDOW = hanning(_FRAME)


def windowed_blocks(signal: np.ndarray) -> Iterator[np.ndarray]:
    """Windowed frames of 30 ms every 7.5 ms of a signal at 16 kHz, in blocks: (N,) → (at most 256, 480) each.

    The last whole frame is left out, as in the original implementation.
    """
    count = (len(signal) - _FRAME) // _HOP
    for start in range(0, count, _BLOCK):
        frames = np.lib.stride_tricks.sliding_window_view(signal, _FRAME)[::_HOP][:count]
        yield frames[start : start + _BLOCK] * _WINDOW


def power_spectrum(windowed: np.ndarray) -> np.ndarray:
    """|FFT|² of frames, zero-padded to 1024 points: (T, 480) → (T, 513)."""
    spectrum = np.fft.rfft(windowed, _FFT)
    return np.square(spectrum.real) + np.square(spectrum.imag)


def log_likelihood_ratio(clean_power: np.ndarray, estimate_power: np.ndarray) -> np.ndarray:
    """log(a' R a'ᵀ / a R aᵀ) of every frame: power spectra (T, 513) each → (T,), NaN where the clean frame is silent.

    a and a' are the prediction polynomials (order 16) of the clean and the estimated frame, R the autocorrelation
    matrix of the clean one. Never negative, since a minimises the form. Source: Quackenbush et al. 1988, as used by
    Hu & Loizou 2008.
    """
    clean = autocorrelation(clean_power)
    own = _quadratic_form(prediction_polynomial(clean), clean)
    other = _quadratic_form(prediction_polynomial(autocorrelation(estimate_power)), clean)
    # A pure tone is predicted without error: rounding could leave a negative one.
    own = np.maximum(own, clean[0] * _RELATIVE_TINY)
    ratio = np.divide(other, own, out=np.full_like(own, np.nan), where=own > 0)
    return np.log(np.maximum(ratio, 1))


_lags, _bins = np.arange(_ORDER + 1)[:, None], np.arange(_FFT // 2 + 1)
# The inverse FFT of a power spectrum is the autocorrelation; only its first lags are needed.
_LAG_BASIS = np.cos(2 * np.pi * _lags * _bins / _FFT) * np.where(_bins % (_FFT // 2), 2, 1) / _FFT


def autocorrelation(power: np.ndarray) -> np.ndarray:
    """Autocorrelation at lags 0…16 of frames given as power spectra: (T, 513) → (17, T)."""
    return _LAG_BASIS @ power.T


def prediction_polynomial(correlation: np.ndarray) -> np.ndarray:
    """Levinson-Durbin recursion on all frames: autocorrelation (17, T) → prediction polynomial (17, T).

    The first coefficient is 1. Where nothing is left to predict, higher coefficients stay 0: a frame without
    energy gets the flat polynomial 1, 0, …, 0.
    """
    polynomial = np.zeros_like(correlation)
    polynomial[0] = 1
    error = correlation[0].copy()
    floor = correlation[0] * _RELATIVE_TINY
    for order in range(1, _ORDER + 1):
        predicted = np.einsum("kt,kt->t", polynomial[:order], correlation[order:0:-1])
        reflection = np.divide(-predicted, error, out=np.zeros_like(error), where=error > floor)
        polynomial[1 : order + 1] += reflection * polynomial[order - 1 :: -1][:order]
        error *= 1 - np.square(reflection)
    return polynomial


def _quadratic_form(polynomial: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    # a R aᵀ with a Toeplitz R needs no matrix: it is the autocorrelation of a times that of the signal.
    form = np.einsum("kt,kt->t", polynomial, polynomial) * correlation[0]
    for lag in range(1, _ORDER + 1):
        form += 2 * np.einsum("kt,kt->t", polynomial[lag:], polynomial[:-lag]) * correlation[lag]
    return form


def _critical_band_filters() -> np.ndarray:
    """Gaussian filters of the critical bands on FFT bins: (25, 513); skirts below −30 dB are cut to 0.

    The Nyquist bin takes no part, as in the original implementation.
    """
    centres = np.floor(_CENTRES / _NYQUIST * (_FFT // 2))[:, None]
    widths = (_BANDWIDTHS / _NYQUIST * (_FFT // 2))[:, None]
    filters = (
        np.exp(-11 * np.square((_bins[:-1] - centres) / widths)) * (_BANDWIDTHS[0] / _BANDWIDTHS)[:, None]
    )
    return np.pad(np.where(filters > np.exp(-30 / (2 * 2.303)), filters, 0), ((0, 0), (0, 1)))


_FILTERS = _critical_band_filters()


def _weighted_spectral_slope(clean_power: np.ndarray, estimate_power: np.ndarray, scale: float) -> np.ndarray:
    """Squared difference of the slopes between critical bands, weighted towards peaks: (T, 513) each → (T,), dB².

    scale multiplies the waveforms first: with the absolute floor of the band energies the level matters.
    Source: Klatt 1982, as used by Hu & Loizou 2008.
    """
    clean_slope, clean_weight = _slopes_and_weights(clean_power, scale)
    slope, weight = _slopes_and_weights(estimate_power, scale)
    weight += clean_weight
    return (weight * np.square(clean_slope - slope)).sum(0) / weight.sum(0)


def _slopes_and_weights(power: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    energy = _FILTERS @ power.T
    energy *= scale**2
    energy = 10 * np.log10(np.maximum(energy, _ENERGY_FLOOR))
    slope = np.diff(energy, axis=0)
    from_global_peak = energy.max(axis=0) - energy[:-1]
    from_local_peak = np.take_along_axis(energy, _nearest_peak(slope), axis=0) - energy[:-1]
    weight = _GLOBAL_PEAK_WEIGHT / (_GLOBAL_PEAK_WEIGHT + from_global_peak)
    return slope, weight * _LOCAL_PEAK_WEIGHT / (_LOCAL_PEAK_WEIGHT + from_local_peak)


def _nearest_peak(slope: np.ndarray) -> np.ndarray:
    """Band of the peak uphill of each slope: (24, T) → (24, T).

    Uphill to the right the original implementation stops one band before the peak; kept, as the published
    regressions were fitted with it.
    """
    bands, rises = np.arange(len(slope))[:, None], slope > 0
    next_fall = np.minimum.accumulate(np.where(rises, len(slope), bands)[::-1])[::-1]
    last_rise = np.maximum.accumulate(np.where(rises, bands, -1))
    return np.where(rises, next_fall - 1, last_rise + 1)
