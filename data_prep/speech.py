"""Speech by eSpeak NG: phrases in, trimmed 16 kHz samples out, the same for the same input on every call."""

import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import espeakng_loader
import numpy as np

from data_prep.audio import SAMPLE_RATE, resample

_TIMEOUT_SECONDS = 120
_FRAME = 80
_MARGIN = 2 * _FRAME
_TRIM_BELOW_PEAK = 10 ** (-45 / 20)


class SpeechError(RuntimeError):
    """eSpeak NG could not speak; the message says why."""


@dataclass(frozen=True)
class Phrase:
    """What one voice says: voice as "language+variant", pitch and its range from 0 to 99 (50: the voice's own)."""

    voice: str
    text: str
    words_per_minute: int = 170
    pitch: int = 50
    pitch_range: int = 50


def speak(phrases: Sequence[Phrase], seed: int = 1) -> list[np.ndarray]:
    """Each phrase as (N,) float64 at 16 kHz, scale ±1, silence at both ends trimmed.

    One fresh process speaks them all in order, so the samples depend on nothing but the arguments.
    Raises SpeechError where eSpeak NG fails or a phrase comes out silent.
    """
    request = {
        "library_path": espeakng_loader.get_library_path(),
        "data_path": espeakng_loader.get_data_path(),
        "seed": seed,
        "phrases": [asdict(phrase) for phrase in phrases],
    }
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("espeak_process.py"))]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SpeechError(f"eSpeak NG did not answer within {_TIMEOUT_SECONDS} s; try again") from error
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or [
            f"exit status {done.returncode}"
        ]
        raise SpeechError(f"eSpeak NG failed: {reason[-1]}")
    spoken = _unpack(done.stdout, len(phrases))
    return [_trimmed(samples, phrase) for samples, phrase in zip(spoken, phrases, strict=True)]


def _unpack(output: bytes, phrases: int) -> list[np.ndarray]:
    rate, *lengths = struct.unpack_from(f"<{1 + phrases}I", output)
    bounds = np.cumsum([4 * (1 + phrases), *lengths])
    return [
        resample(np.frombuffer(output[start:stop], "<i2") / 32_768.0, rate, SAMPLE_RATE)
        for start, stop in pairwise(bounds)
    ]


def _trimmed(samples: np.ndarray, phrase: Phrase) -> np.ndarray:
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt(np.square(frames).mean(axis=1))
    peak = levels.max(initial=0.0)
    if peak == 0:
        raise SpeechError(f"eSpeak NG gave silence for {phrase.text!r} with voice {phrase.voice}")
    loud = np.flatnonzero(levels > _TRIM_BELOW_PEAK * peak)
    start, stop = loud[0] * _FRAME - _MARGIN, (loud[-1] + 1) * _FRAME + _MARGIN
    kept = samples[max(start, 0) : stop].copy()
    fade = np.sin(np.linspace(0, np.pi / 2, _FRAME, endpoint=False)) ** 2
    kept[:_FRAME] *= fade
    kept[-_FRAME:] *= fade[::-1]
    return kept
