"""Noises drawn from the generator they are given, and speech mixed with them at a known signal-to-noise ratio."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import fft, signal

from data_prep.audio import SAMPLE_RATE

TRAINING_NOISES = ("white", "pink", "speech_shaped", "babble", "hum", "modulated")
TEST_NOISES = ("brown", "cafe", "siren", "clatter", "gusts")
BABBLE_VOICES = {"speech_shaped": 2, "babble": 6, "cafe": 3}
PEAK_LIMIT = 0.95

_LOWEST_HERTZ = 30.0
# 8 ms: short enough to blur the harmonics of single voices, long enough to keep the formants.
_SPECTRUM_LENGTH = 128


@dataclass(frozen=True)
class Pause:
    """A stretch without speech: its place in the utterance and its samples, `stop` excluded."""

    kind: str
    start: int
    stop: int


def join_with_pauses(
    parts: Sequence[np.ndarray], pause_seconds: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, list[Pause]]:
    """Speech parts with a pause before the first, between every two, and after the last.

    `pause_seconds` holds one duration more than there are parts; a pause of 0 s is left out of the list.
    Returns the speech (N,) float64, where someone speaks (N,) bool, and the pauses.
    """
    pieces = [np.zeros(round(pause_seconds[0] * SAMPLE_RATE))]
    for part, seconds in zip(parts, pause_seconds[1:], strict=True):
        pieces += [part, np.zeros(round(seconds * SAMPLE_RATE))]
    lengths = [len(piece) for piece in pieces]
    active = np.repeat(np.arange(len(pieces)) % 2 == 1, lengths)
    kinds = ["leading", *["inner"] * (len(parts) - 1), "trailing"]
    stops = np.cumsum(lengths)[::2].tolist()
    pauses = [
        Pause(kind, stop - length, stop)
        for kind, stop, length in zip(kinds, stops, lengths[::2], strict=True)
        if length
    ]
    return np.concatenate(pieces), active, pauses


def level_db(samples: np.ndarray) -> float:
    """Mean power of samples (N,) that are not all zero, in dB relative to full scale 1."""
    return 10 * float(np.log10(np.square(samples, dtype=np.float64).mean()))


def scaled_to(samples: np.ndarray, target_db: float, active: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Samples scaled so that their active part has the level asked for, in dB relative to full scale."""
    return samples * 10 ** ((target_db - level_db(samples[active])) / 20)


def mix(
    clean: np.ndarray, noise: np.ndarray, active: np.ndarray, snr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy signals whose SNR is `snr` dB; both are turned down by one gain if one would clip.

    The SNR is the level of the clean signal where someone speaks less that of the whole noise, as VoiceBank+DEMAND
    was mixed (Valentini-Botinhao 2017, ITU-T P.56).
    clean, noise (N,) float64, active (N,) bool → two (N,) float64 with peaks of at most PEAK_LIMIT.
    """
    noisy = clean + scaled_to(noise, level_db(clean[active]) - snr)
    gain = min(1.0, PEAK_LIMIT / max(np.abs(clean).max(), np.abs(noisy).max()))
    return clean * gain, noisy * gain


def make_noise(
    name: str, length: int, rng: np.random.Generator, voices: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """(length,) float64 of the named noise, of any level; `voices` are what `BABBLE_VOICES` says it is made of."""
    noise = _NOISES[name]
    return noise(length, rng, voices) if voices else noise(length, rng)


def coloured(length: int, rng: np.random.Generator, slope: float) -> np.ndarray:
    """Gaussian noise whose power falls as 1/f^slope from 30 Hz on: 0 is white, 1 pink, 2 brown."""
    padded = fft.next_fast_len(length, real=True)
    spectrum = fft.rfft(rng.standard_normal(padded))
    hertz = fft.rfftfreq(padded, 1 / SAMPLE_RATE)
    gain = np.maximum(hertz, _LOWEST_HERTZ) ** (-slope / 2)
    gain[hertz < _LOWEST_HERTZ] = 0.0
    noise = fft.irfft(spectrum * gain, padded)[:length]
    return noise / noise.std()


def babble(length: int, rng: np.random.Generator, voices: Sequence[np.ndarray]) -> np.ndarray:
    """Voices at once, each at the same level, repeated to fill the length from a random start."""
    talkers = [np.resize(np.roll(voice, int(rng.integers(len(voice)))), length) for voice in voices]
    return sum(talker / np.sqrt(np.square(talker).mean()) for talker in talkers)


def speech_shaped(length: int, rng: np.random.Generator, voices: Sequence[np.ndarray]) -> np.ndarray:
    """Gaussian noise with the long-term spectrum of the voices, without their rhythm."""
    powers = [signal.welch(voice, SAMPLE_RATE, nperseg=_SPECTRUM_LENGTH)[1] for voice in voices]
    amplitude = np.sqrt(sum(power / power.sum() for power in powers))
    taps = np.roll(fft.irfft(amplitude), _SPECTRUM_LENGTH // 2) * np.hanning(_SPECTRUM_LENGTH)
    return signal.oaconvolve(rng.standard_normal(length + len(taps) - 1), taps, mode="valid")


def hum(length: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 50 or 60 Hz and its harmonics, over a soft pink bed."""
    fundamental = rng.choice([50.0, 60.0]) * rng.uniform(0.998, 1.002)
    phase = 2 * np.pi * fundamental * _seconds(length)
    harmonics = np.arange(1, 25)
    amplitudes = rng.uniform(0.3, 1.0, len(harmonics)) / harmonics**0.7
    starts = rng.uniform(0, 2 * np.pi, len(harmonics))
    tones = sum(a * np.sin(n * phase + s) for n, a, s in zip(harmonics, amplitudes, starts, strict=True))
    return tones / tones.std() + 0.15 * coloured(length, rng, 1.0)


def modulated(length: int, rng: np.random.Generator) -> np.ndarray:
    """Pink noise that swells and fades 1 to 6 times a second."""
    rate, depth, start = rng.uniform(1, 6), rng.uniform(0.7, 0.95), rng.uniform(0, 2 * np.pi)
    envelope = 1 + depth * np.sin(2 * np.pi * rate * _seconds(length) + start)
    return envelope * coloured(length, rng, rng.uniform(0.7, 1.3))


def siren(length: int, rng: np.random.Generator) -> np.ndarray:
    """A tone with harmonics that glides up and down between about 500 and 1300 Hz, over a soft brown bed."""
    sweep = np.sin(2 * np.pi * rng.uniform(0.2, 0.8) * _seconds(length) + rng.uniform(0, 2 * np.pi))
    hertz = rng.uniform(700, 1000) + rng.uniform(200, 300) * sweep
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    tones = sum(np.sin(n * phase) / n**1.5 for n in range(1, 6))
    return tones / tones.std() + 0.2 * coloured(length, rng, 2.0)


def clatter(length: int, rng: np.random.Generator) -> np.ndarray:
    """Ringing knocks, about eight a second, over a soft pink bed."""
    knocks = np.zeros(length)
    times = np.arange(round(0.15 * SAMPLE_RATE)) / SAMPLE_RATE
    for start in np.sort(rng.integers(0, length, max(1, round(8 * length / SAMPLE_RATE)))):
        ring = np.exp(-times / rng.uniform(0.01, 0.04)) * np.sin(2 * np.pi * rng.uniform(600, 5000) * times)
        piece = knocks[start : start + len(ring)]
        piece += rng.uniform(0.3, 1.0) * ring[: len(piece)]
    return knocks / knocks.std() + 0.2 * coloured(length, rng, 1.0)


def gusts(length: int, rng: np.random.Generator) -> np.ndarray:
    """Wind: low-passed noise whose strength wanders over seconds."""
    knots = rng.uniform(0.1, 1.0, max(2, round(2 * length / SAMPLE_RATE) + 2))
    envelope = np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots)
    return envelope * coloured(length, rng, rng.uniform(1.4, 1.7))


def _seconds(length: int) -> np.ndarray:
    return np.arange(length) / SAMPLE_RATE


_NOISES: dict[str, Callable[..., np.ndarray]] = {
    "white": partial(coloured, slope=0.0),
    "pink": partial(coloured, slope=1.0),
    "brown": partial(coloured, slope=2.0),
    "speech_shaped": speech_shaped,
    "babble": babble,
    "cafe": babble,
    "hum": hum,
    "modulated": modulated,
    "siren": siren,
    "clatter": clatter,
    "gusts": gusts,
}
