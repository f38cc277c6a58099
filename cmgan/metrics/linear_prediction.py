"""Log-likelihood ratio between the linear-prediction envelopes of two signals, all frames at once."""

import numpy as np

from cmgan.metrics.frames import FFT

ORDER = 16
_RELATIVE_TINY = np.finfo(np.float64).eps

_lags, _bins = np.arange(ORDER + 1)[:, None], np.arange(FFT // 2 + 1)
# The inverse FFT of a power spectrum is the autocorrelation; only its first lags are needed.
_LAG_BASIS = np.cos(2 * np.pi * _lags * _bins / FFT) * np.where(_bins % (FFT // 2), 2, 1) / FFT


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
    for order in range(1, ORDER + 1):
        predicted = np.einsum("kt,kt->t", polynomial[:order], correlation[order:0:-1])
        reflection = np.divide(-predicted, error, out=np.zeros_like(error), where=error > floor)
        polynomial[1 : order + 1] += reflection * polynomial[order - 1 :: -1][:order]
        error *= 1 - np.square(reflection)
    return polynomial


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


def _quadratic_form(polynomial: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    # a R aᵀ with a Toeplitz R needs no matrix: it is the autocorrelation of a times that of the signal.
    form = np.einsum("kt,kt->t", polynomial, polynomial) * correlation[0]
    for lag in range(1, ORDER + 1):
        form += 2 * np.einsum("kt,kt->t", polynomial[lag:], polynomial[:-lag]) * correlation[lag]
    return form
