"""Frame-by-frame loops for the speech metrics, written as the papers describe them: slow, and the oracle."""

import math

import numpy as np
from scipy.linalg import toeplitz
from scipy.signal import resample_poly

FRAME, HOP, FFT, ORDER = 480, 120, 1024, 16
# Hz, as printed by Klatt 1982 and in Hu & Loizou's wss.m.
# fmt: off
CENTRES = (
    50, 120, 190, 260, 330, 400, 470, 540, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30, 1288.72, 1442.54,
    1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63,
)
BANDWIDTHS = (
    70, 70, 70, 70, 70, 70, 70, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823, 168.154,
    183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136,
)
# fmt: on


def loop_segmental_snr(clean: np.ndarray, estimate: np.ndarray) -> float:
    ratios = []
    for reference, processed in _frame_pairs(clean, estimate):
        noise = np.sum((reference - processed) ** 2)
        signal = np.sum(reference**2)
        if signal == 0:
            ratios.append(-10.0)
        elif noise == 0:
            ratios.append(35.0)
        else:
            ratios.append(min(max(10 * math.log10(signal / noise), -10.0), 35.0))
    return float(np.mean(ratios))


def loop_llr(clean: np.ndarray, estimate: np.ndarray) -> float:
    distances = []
    for reference, processed in _frame_pairs(clean, estimate):
        correlation, own = _linear_prediction(reference)
        _, other = _linear_prediction(processed)
        matrix = toeplitz(correlation)
        distances.append(math.log((other @ matrix @ other) / (own @ matrix @ own)))
    return _mean_of_best(distances)


def loop_wss(clean: np.ndarray, estimate: np.ndarray, scale: float = 1.0) -> float:
    filters = _critical_bands()
    distances = []
    for reference, processed in _frame_pairs(clean * scale, estimate * scale):
        slopes, weights = [], []
        for frame in (reference, processed):
            energies = _band_energies(frame, filters)
            slope = [energies[band + 1] - energies[band] for band in range(24)]
            slopes.append(slope)
            weights.append([_peak_weight(energies, slope, band) for band in range(24)])
        numerator = denominator = 0.0
        for band in range(24):
            weight = (weights[0][band] + weights[1][band]) / 2
            numerator += weight * (slopes[0][band] - slopes[1][band]) ** 2
            denominator += weight
        distances.append(numerator / denominator)
    return _mean_of_best(distances)


def loop_stoi(clean: np.ndarray, estimate: np.ndarray) -> float:
    clean, estimate = resample_poly(clean, 5, 8), resample_poly(estimate, 5, 8)
    starts = range(0, len(clean) - 256, 128)
    window = _hanning(256)
    ahead = np.concatenate([[0.0], clean])
    levels = [
        20 * math.log10(np.linalg.norm(window * ahead[start : start + 256]) + 2.2e-16) for start in starts
    ]
    active = [start for start, level in zip(starts, levels, strict=True) if level > max(levels) - 40]
    bands = []
    for signal in (clean, estimate):
        joined = np.zeros((len(active) + 1) * 128)
        for position, start in enumerate(active):
            joined[position * 128 : position * 128 + 256] += window * signal[start : start + 256]
        bands.append(_third_octave_magnitudes(joined, window))
    correlations = []
    for end in range(30, bands[0].shape[1] + 1):
        for band in range(15):
            reference, processed = bands[0][band, end - 30 : end], bands[1][band, end - 30 : end]
            level = np.linalg.norm(reference) / np.linalg.norm(processed)
            clipped = np.minimum(processed * level, reference * (1 + 10 ** (15 / 20)))
            reference, clipped = reference - reference.mean(), clipped - clipped.mean()
            norms = np.linalg.norm(reference) * np.linalg.norm(clipped)
            correlations.append(reference @ clipped / norms)
    return float(np.mean(correlations))


def loop_si_sdr(clean: np.ndarray, estimate: np.ndarray) -> float:
    alpha = sum(c * e for c, e in zip(clean, estimate, strict=True)) / sum(c * c for c in clean)
    target = sum((alpha * c) ** 2 for c in clean)
    distortion = sum((e - alpha * c) ** 2 for c, e in zip(clean, estimate, strict=True))
    return float(10 * math.log10(target / distortion))


def _frame_pairs(clean: np.ndarray, estimate: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    window = _hanning(FRAME)
    starts = [index * HOP for index in range((len(clean) - FRAME) // HOP)]
    return [
        (clean[start : start + FRAME] * window, estimate[start : start + FRAME] * window) for start in starts
    ]


def _linear_prediction(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    correlation = np.array([np.sum(frame[: FRAME - lag] * frame[lag:]) for lag in range(ORDER + 1)])
    coefficients = [1.0]
    error = correlation[0]
    for order in range(1, ORDER + 1):
        accumulated = sum(coefficients[k] * correlation[order - k] for k in range(order))
        reflection = -accumulated / error
        extended = [*coefficients, 0.0]
        coefficients = [extended[k] + reflection * extended[order - k] for k in range(order + 1)]
        error *= 1 - reflection**2
    return correlation, np.array(coefficients)


def _critical_bands() -> np.ndarray:
    filters = np.zeros((25, FFT // 2))
    for band in range(25):
        centre = math.floor(CENTRES[band] / 8000 * (FFT // 2))
        width = BANDWIDTHS[band] / 8000 * (FFT // 2)
        for position in range(FFT // 2):
            exponent = -11 * ((position - centre) / width) ** 2 + math.log(BANDWIDTHS[0] / BANDWIDTHS[band])
            if math.exp(exponent) > math.exp(-30 / (2 * 2.303)):
                filters[band, position] = math.exp(exponent)
    return filters


def _band_energies(frame: np.ndarray, filters: np.ndarray) -> list[float]:
    power = np.abs(np.fft.fft(frame, FFT)[: FFT // 2]) ** 2
    return [10 * math.log10(max(np.sum(power * filters[band]), 1e-10)) for band in range(25)]


def _peak_weight(energies: list[float], slope: list[float], band: int) -> float:
    position = band
    if slope[band] > 0:
        while position < 24 and slope[position] > 0:
            position += 1
        local_peak = energies[position - 1]
    else:
        while position >= 0 and slope[position] <= 0:
            position -= 1
        local_peak = energies[position + 1]
    global_weight = 20 / (20 + max(energies) - energies[band])
    return global_weight * 1 / (1 + local_peak - energies[band])


def _third_octave_magnitudes(signal: np.ndarray, window: np.ndarray) -> np.ndarray:
    frequencies = np.arange(257) * 10_000 / 512
    columns = []
    for start in range(0, len(signal) - 256, 128):
        power = np.abs(np.fft.rfft(window * signal[start : start + 256], 512)) ** 2
        column = []
        for band in range(15):
            low, high = (
                int(np.argmin(np.abs(frequencies - 150 * 2 ** ((2 * band + side) / 6)))) for side in (-1, 1)
            )
            column.append(math.sqrt(np.sum(power[low:high])))
        columns.append(column)
    return np.array(columns).T


def _mean_of_best(distances: list[float]) -> float:
    return float(np.mean(sorted(distances)[: round(0.95 * len(distances))]))


def _hanning(length: int) -> np.ndarray:
    return np.array([0.5 * (1 - math.cos(2 * math.pi * n / (length + 1))) for n in range(1, length + 1)])
