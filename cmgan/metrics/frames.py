"""Frames, windows and power spectra shared by the frame-wise metrics."""

from collections.abc import Iterator

import numpy as np

FRAME = 480
HOP = 120
FFT = 1024
# Blocks of frames keep memory constant for recordings of any length, and the work inside the cache.
_BLOCK = 256


def hanning(length: int) -> np.ndarray:
    """Hann window (length,) whose ends are not zero, as MATLAB's hanning."""
    return 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))


WINDOW = hanning(FRAME)


def frames(signal: np.ndarray, length: int, hop: int, count: int) -> np.ndarray:
    """View of the first `count` frames of a signal: (N,) → (count, length)."""
    return np.lib.stride_tricks.sliding_window_view(signal, length)[::hop][:count]


def composite_frame_count(samples: int) -> int:
    """Frames of 30 ms every 7.5 ms; the last whole one is left out, as in the original implementation."""
    return max(0, (samples - FRAME) // HOP)


def windowed_blocks(signal: np.ndarray) -> Iterator[np.ndarray]:
    """Windowed 30 ms frames of a signal at 16 kHz, in blocks: (N,) → (at most 256, 480) each."""
    count = composite_frame_count(len(signal))
    if count == 0:
        return
    framed = frames(signal, FRAME, HOP, count)
    for start in range(0, count, _BLOCK):
        yield framed[start : start + _BLOCK] * WINDOW


def power_spectrum(windowed: np.ndarray) -> np.ndarray:
    """|FFT|² of frames, zero-padded to 1024 points: (T, 480) → (T, 513)."""
    spectrum = np.fft.rfft(windowed, FFT)
    return np.square(spectrum.real) + np.square(spectrum.imag)
