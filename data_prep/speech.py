"""Speech by eSpeak NG: sentences to say, and phrases as trimmed 16 kHz samples, the same on every call."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np

from data_prep import espeak_process
from data_prep.audio import SAMPLE_RATE, resample

# Of every six sentences in the file, which positions go where: three sixths train, the rest evaluates.
_POSITIONS = {"train": (0, 1, 3), "validation": (4,), "test": (2, 5)}
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


@cache
def sentences_of(split: str) -> tuple[tuple[str, str], ...]:
    """Sentences of a split, each as the two halves between which a speaker may pause; no split shares any."""
    lines = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").splitlines()
    chosen = (line for number, line in enumerate(lines) if number % 6 in _POSITIONS[split])
    return tuple(tuple(half.strip() for half in line.split("/")) for line in chosen)


def speak(phrases: Sequence[Phrase]) -> list[np.ndarray]:
    """Each phrase as (N,) float64 at 16 kHz, scale ±1, silence at both ends trimmed.

    One fresh process speaks them all in order, so the samples depend on nothing but the phrases.
    Raises SpeechError where eSpeak NG fails or a phrase comes out silent.
    """
    request = {
        "library_path": espeakng_loader.get_library_path(),
        "data_path": espeakng_loader.get_data_path(),
        "phrases": [asdict(phrase) for phrase in phrases],
    }
    command = [sys.executable, "-I", "-S", espeak_process.__file__]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise SpeechError(f"eSpeak NG did not answer within {_TIMEOUT_SECONDS} s; try again") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip() or f"exit status {error.returncode}"
        raise SpeechError(f"eSpeak NG failed: {said.splitlines()[-1]}") from error
    answer = json.loads(done.stdout)
    spoken = [np.frombuffer(bytes.fromhex(samples), "<i2") / 32_768 for samples in answer["samples"]]
    return [
        _trimmed(resample(samples, answer["rate"], SAMPLE_RATE), phrase)
        for samples, phrase in zip(spoken, phrases, strict=True)
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
