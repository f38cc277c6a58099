"""How much of a clean recording is speech: frames loud enough against the recording's own loud level."""

import numpy as np

from cmgan.signal import SAMPLE_RATE

FRAME_MS = 10
FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
LOUD_PERCENTILE = 95
# The valley between background and speech in the frame levels of VoiceBank's clean recordings, whose background
# lies only 25 to 40 dB below the loud level. ITU-T P.56 (15.9 dB below the active speech level) is about the same.
MARGIN_DB = 20.0


def active_frames(clean: np.ndarray, margin_db: float = MARGIN_DB) -> np.ndarray:
    """Which 10 ms frames of a clean waveform (N,) hold speech: (ceil(N / 160),) bool.

    A frame is active when its power is within `margin_db` of the loud level, the 95th percentile over the
    frames that are not digital silence. Does not depend on the level of the recording; silence is inactive, and
    stationary noise without speech is all active. Weak consonants fall below the margin.
    """
    power = _frame_power(clean)
    audible = power[power > 0]
    if not len(audible):
        return np.zeros(len(power), dtype=bool)
    return power >= np.percentile(audible, LOUD_PERCENTILE) * 10 ** (-margin_db / 10)


def active_samples(clean: np.ndarray, margin_db: float = MARGIN_DB) -> np.ndarray:
    """The same for every sample: (N,) bool."""
    return np.repeat(active_frames(clean, margin_db), FRAME_SAMPLES)[: len(clean)]


def duration_ms(samples: int) -> float:
    """Milliseconds that `samples` last at 16 kHz."""
    return samples * 1000 / SAMPLE_RATE


def active_ms(clean: np.ndarray) -> float:
    """Milliseconds of speech in a clean waveform (N,)."""
    return duration_ms(int(active_samples(clean).sum()))


def level_dbfs(samples: np.ndarray) -> float:
    """RMS of a waveform (N,) in dB relative to an RMS of 1; minus infinity for silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return 10 * np.log10(power) if power > 0 else -np.inf


def _frame_power(samples: np.ndarray) -> np.ndarray:
    """Mean power of each frame, the last one over the samples it has: (N,) → (ceil(N / 160),) float64."""
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"a waveform of shape {samples.shape} has no frames: give at least one sample, (N,)")
    starts = np.arange(0, len(samples), FRAME_SAMPLES)
    energy = np.add.reduceat(np.square(samples, dtype=np.float64), starts)
    return energy / np.diff(starts, append=len(samples))
