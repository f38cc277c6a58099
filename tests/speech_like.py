"""Speech-like test signals: voiced bursts with moving harmonics, pauses between them."""

import numpy as np

from cmgan.dataset import UtterancePair

RATE = 16_000


def speech_like(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Bursts of 0.3 s of a harmonic tone and noise, 0.1 s apart, over a faint floor: (N,) float64, peak 0.5."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.3 * time)) / RATE
    voiced = sum(np.sin(harmonic * pitch) / harmonic for harmonic in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * time / 0.8), 0, None) ** 0.5
    signal = envelope * (voiced + 0.3 * rng.standard_normal(len(time)))
    signal += 1e-3 * rng.standard_normal(len(time))
    return 0.5 * signal / np.abs(signal).max()


def noisy_copy(rng: np.random.Generator, clean: np.ndarray, level: float = 0.03) -> np.ndarray:
    """White noise of standard deviation `level` added: (N,) float64."""
    return clean + level * rng.standard_normal(len(clean))


def speech_pair(
    name: str, seconds: float, seed: int, level: float = 1.0, noise: float = 0.03
) -> UtterancePair:
    """Such a signal, times `level`, and its noisy copy."""
    rng = np.random.default_rng(seed)
    clean = level * speech_like(rng, seconds)
    return UtterancePair(name, clean.astype(np.float32), noisy_copy(rng, clean, noise).astype(np.float32))
