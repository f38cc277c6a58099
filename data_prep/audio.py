"""Read and write mono 16 kHz audio; everything that can be wrong with a file is said in one line."""

import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000
# A published test clip ends 10 ms early; more than this is no rounding of a length but lost speech.
TOLERATED_SECONDS = 0.1
_INT16_STEPS = 32_768
_LENGTH_UNKNOWN = 0xFFFF_FFFF


class AudioError(ValueError):
    """An audio file cannot be used; the message names the file, what is wrong and what to do."""


def read_audio(
    path: str | Path, *, resample_to_16k: bool = False, tolerated_seconds: float = 0.0
) -> np.ndarray:
    """Samples of a mono WAV or FLAC file: (N,) float32, 16 kHz, scale ±1.

    Another sample rate is refused unless `resample_to_16k`. A truncated file lacks part of what its header announces;
    up to `tolerated_seconds` may be missing. Raises AudioError for a file that is missing, empty, truncated,
    unreadable, not mono, of another rate, or holds values that are not finite.
    """
    path = Path(path)
    header = read_header(path, tolerated_seconds)
    if header.channels != 1:
        raise AudioError(
            f"{path}: {header.channels} channels, expected 1; mix the recording down to mono first"
        )
    if header.samplerate != SAMPLE_RATE and not resample_to_16k:
        raise AudioError(
            f"{path}: sample rate {header.samplerate} Hz, expected {SAMPLE_RATE} Hz; "
            f"convert it first (python -m data_prep --corpus folder --resample writes 16 kHz copies)"
        )
    try:
        samples, rate = soundfile.read(path, dtype="float64")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: damaged or truncated audio ({error.error_string}); copy or download it again"
        ) from error
    if header.frames - len(samples) > tolerated_seconds * rate:
        raise AudioError(
            f"{path}: truncated, {len(samples)} of {header.frames} samples are there; copy or download it again"
        )
    if len(samples) == 0:
        raise AudioError(f"{path}: holds no samples; remove it or record it again")
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).sum())
        raise AudioError(f"{path}: {bad} samples are NaN or infinite; export it again as 16-bit PCM")
    return resample(samples, rate, SAMPLE_RATE).astype(np.float32)


def write_audio(path: str | Path, samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write (N,) samples of scale ±1 as 16-bit WAV, atomically and with the same bytes for the same samples.

    Raises AudioError when there is nothing to write, a value is not finite, or one lies beyond ±1 (it would clip).
    """
    path = Path(path)
    if samples.ndim != 1 or samples.size == 0:
        raise AudioError(f"{path}: cannot write samples of shape {samples.shape}; pass a filled vector")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: cannot write NaN or infinite samples; check what computed them")
    peak = float(np.abs(samples).max())
    if peak > 1:
        raise AudioError(f"{path}: peak {peak:.3f} would clip; scale the signal below 1 first")
    scaled = np.round(samples.astype(np.float64) * _INT16_STEPS)
    quantised = np.minimum(scaled, _INT16_STEPS - 1).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    soundfile.write(partial, quantised, sample_rate, subtype="PCM_16", format="WAV")
    partial.replace(path)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """(N,) float64 at `rate` → (round(N·new_rate/rate),) float64 at `new_rate`; the input itself where they agree.

    The double-precision quality of soxr: its single-precision engine could round to other 16-bit values
    on another processor.
    """
    return samples if rate == new_rate else soxr.resample(samples, rate, new_rate, quality="VHQ")


def check_pair(clean: np.ndarray, noisy: np.ndarray, name: str) -> tuple[int, str]:
    """Number of samples that both signals of a pair have, and a note (empty where the lengths agree).

    A difference of at most TOLERATED_SECONDS is cut at the end. Raises AudioError for a larger one.
    """
    difference = abs(len(clean) - len(noisy))
    if difference > TOLERATED_SECONDS * SAMPLE_RATE:
        raise AudioError(
            f"{name}: clean has {len(clean)} samples and noisy {len(noisy)}, {difference / SAMPLE_RATE:.2f} s apart; "
            f"the files do not belong together or one is cut, replace them"
        )
    shorter = "noisy" if len(noisy) < len(clean) else "clean"
    note = f"{shorter} is {difference} samples shorter; both are cut to it" if difference else ""
    return min(len(clean), len(noisy)), note


def read_header(path: Path, tolerated_seconds: float = 0.0) -> soundfile._SoundFileInfo:
    """What an audio file says of itself; AudioError for one that is missing, empty, truncated or unreadable."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: empty file (0 bytes); remove it or copy it again")
    _check_wav_length(path, tolerated_seconds)
    try:
        return soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: not readable as audio ({error.error_string}); replace it with a WAV or FLAC file"
        ) from error


def _check_wav_length(path: Path, tolerated_seconds: float) -> None:
    # libsndfile shortens the length it reports to what is there, so a cut WAV would pass for a whole one.
    with path.open("rb") as file:
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if riff != b"RIFF" or wave != b"WAVE":
            return
        size = path.stat().st_size
        bytes_per_second = 0
        while len(chunk := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            missing = length - (size - file.tell())
            if name == b"data":
                if missing > tolerated_seconds * bytes_per_second and length != _LENGTH_UNKNOWN:
                    raise AudioError(
                        f"{path}: truncated, {missing} of {length} bytes of audio missing; copy or download it again"
                    )
                return
            body = file.read(length + length % 2)
            if name == b"fmt " and len(body) >= 16:
                (bytes_per_second,) = struct.unpack_from("<I", body, 8)
    raise AudioError(f"{path}: truncated, its header has no audio data after it; copy or download it again")
