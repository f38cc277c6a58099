"""Find, read, check and write mono 16 kHz audio; an error names the file, the fault and the remedy in one line."""

import io
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from data_prep.whole_files import whole_file

SAMPLE_RATE = 16_000
SUFFIXES = (".flac", ".wav")
# A published test clip ends 10 ms early; more than this is no rounding of a length but lost speech.
TOLERATED_SECONDS = 0.1
# Recorders that stream write a length near the largest possible in place of the true one.
_LENGTH_UNKNOWN = 0xFFFF_0000
_AGAIN = "copy or download it again"


class AudioError(ValueError):
    """An audio file cannot be used; the message names the file, what is wrong and what to do."""


def audio_files(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Every WAV and FLAC file below a folder in order, hidden ones and those below `leave_out` apart.

    Raises AudioError for a folder that has none.
    """
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and leave_out not in path.parents
        and path.is_file()
    ]
    if not found:
        raise AudioError(f"{folder}: no WAV or FLAC files in it; check the path")
    return found


def files_by_name(folder: Path) -> dict[str, Path]:
    """`audio_files` by their paths below the folder, without suffix; AudioError where two would have one name."""
    named: dict[str, Path] = {}
    for path in audio_files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        # Tables are UTF-8, and CSV readers end a row at a carriage return.
        if "\r" in name or name.encode(errors="replace").decode() != name:
            raise AudioError(f"{str(path)!r}: its name is not UTF-8, or holds a carriage return; rename it")
        if name in named:
            raise AudioError(f"{path} and {named[name].name} have the same name; remove one of the two")
        named[name] = path
    return named


def read_together(clean: Path, noisy: Path, name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Both files of a pair cut to the shorter one, two (N,) as `read_audio` gives them, and a note where one was cut.

    Raises AudioError where a file cannot be used, or they differ by more than TOLERATED_SECONDS.
    """
    waves = read_audio(clean), read_audio(noisy)
    lengths = [len(wave) for wave in waves]
    difference = max(lengths) - min(lengths)
    if difference > TOLERATED_SECONDS * SAMPLE_RATE:
        raise AudioError(
            f"{name}: {clean} has {lengths[0]} samples and {noisy} {lengths[1]}, {difference / SAMPLE_RATE:.2f} s "
            f"apart; the files do not belong together or one is cut, replace them"
        )
    shorter = "noisy" if lengths[1] < lengths[0] else "clean"
    note = f"{shorter} is {difference} samples shorter; both are cut to it" if difference else ""
    return *(wave[: min(lengths)] for wave in waves), note


def read_audio(path: str | Path, *, resample_to_16k: bool = False) -> np.ndarray:
    """Samples of a mono WAV or FLAC file: (N,) float32, 16 kHz, scale ±1.

    Another sample rate is refused unless `resample_to_16k`. Up to TOLERATED_SECONDS of what the header announces may
    be missing. Raises AudioError for a file that is missing, empty, truncated, unreadable, not mono, of another rate,
    or holds values that are not finite.
    """
    path = Path(path)
    header = read_header(path)
    if header.channels != 1:
        raise AudioError(f"{path}: {header.channels} channels, expected 1; mix it down to mono first")
    if header.samplerate != SAMPLE_RATE and not resample_to_16k:
        raise AudioError(
            f"{path}: sample rate {header.samplerate} Hz, expected {SAMPLE_RATE} Hz; "
            f"convert it first (python -m data_prep --corpus folder --resample writes 16 kHz copies)"
        )
    try:
        samples, rate = soundfile.read(path, dtype="float64")
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: damaged or truncated audio ({error.error_string}); {_AGAIN}") from error
    if header.frames - len(samples) > TOLERATED_SECONDS * rate:
        raise AudioError(f"{path}: truncated, {len(samples)} of {header.frames} samples are there; {_AGAIN}")
    if len(samples) == 0:
        raise AudioError(f"{path}: holds no samples; remove it or record it again")
    if bad := np.count_nonzero(~np.isfinite(samples)):
        raise AudioError(f"{path}: {bad} samples are NaN or infinite; export it again as 16-bit PCM")
    return resample(samples, rate, SAMPLE_RATE).astype(np.float32)


def write_audio(path: str | Path, samples: np.ndarray) -> None:
    """Write (N,) samples of scale ±1 as 16-bit WAV of 16 kHz, whole or not at all; equal samples give equal bytes.

    Raises AudioError when there is nothing to write, a value is not finite, or one lies beyond ±1 (it would clip).
    """
    if samples.ndim != 1 or samples.size == 0:
        raise AudioError(f"{path}: cannot write samples of shape {samples.shape}; pass a filled vector")
    if not (peak := np.abs(samples).max()) <= 1:
        raise AudioError(
            f"{path}: peak {peak:.3f} would clip; scale the signal below 1, or check what computed it"
        )
    quantised = np.minimum(np.round(samples.astype(np.float64) * 32_768), 32_767).astype(np.int16)
    # libsndfile would not say that a disk is full.
    encoded = io.BytesIO()
    soundfile.write(encoded, quantised, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    with whole_file(Path(path)) as partial:
        partial.write_bytes(encoded.getbuffer())


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """(N,) float64 at `rate` → (round(N·new_rate/rate),) float64 at `new_rate`; the input itself where they agree.

    The double-precision quality of soxr: its single-precision engine could round to other 16-bit values
    on another processor.
    """
    return samples if rate == new_rate else soxr.resample(samples, rate, new_rate, quality="VHQ")


def read_header(path: Path) -> soundfile._SoundFileInfo:
    """What an audio file says of itself; AudioError for one that is missing, empty, truncated or unreadable."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: empty file (0 bytes); remove it or copy it again")
    with path.open("rb") as file:
        check_wav_length(file, str(path), TOLERATED_SECONDS)
    try:
        return soundfile.info(path)
    except soundfile.LibsndfileError as error:
        reason = error.error_string
        raise AudioError(f"{path}: not readable as audio ({reason}); give a WAV or FLAC file") from error


def check_wav_length(file: BinaryIO, name: str, tolerated_seconds: float = 0.0) -> None:
    """Raise AudioError for a WAV file that lacks more than that of what it announces; others pass.

    libsndfile shortens the length it reports to what is there, so a cut WAV would pass for a whole one.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if riff != b"RIFF" or wave != b"WAVE":
        return
    bytes_per_second = 0
    while len(chunk := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", chunk)
        if kind == b"data":
            missing = length - (size - file.tell())
            if missing > tolerated_seconds * bytes_per_second and length < _LENGTH_UNKNOWN:
                raise AudioError(f"{name}: truncated, {missing} of {length} bytes missing; {_AGAIN}")
            return
        body = file.read(length + length % 2)
        if kind == b"fmt " and len(body) >= 16:
            (bytes_per_second,) = struct.unpack_from("<I", body, 8)
    raise AudioError(f"{name}: truncated, its header has no audio data after it; {_AGAIN}")
