"""Enhance audio files and folders of them; every problem is one line that names the file."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from torch import nn

from cmgan.enhancement.waveforms import enhance
from data_prep.audio import AudioError

SUFFIXES = (".wav", ".flac")
# Recorders that stream write a length near the largest possible in place of the true one.
_LENGTH_UNKNOWN = 0xFFFF_0000


@dataclass(frozen=True)
class EnhancedFile:
    """What became of one file; `error` is empty where the target was written.

    clipped: samples beyond ±1 that were set to it, because the target holds integers.
    """

    source: Path
    target: Path
    sample_rate: int = 0
    channels: int = 0
    seconds: float = 0.0
    clipped: int = 0
    error: str = ""


def enhance_file(model: nn.Module, source: str | Path, target: str | Path) -> EnhancedFile:
    """Enhance one audio file into another of the same sample rate, channels, length and sample format.

    The container follows the target's suffix (.wav or .flac); the target appears whole or not at all. Raises
    AudioError for a source that cannot be used and a target that is the source or of another kind.
    """
    source, target = Path(source), Path(target)
    _check_target(source, target)
    if not source.is_file():
        raise AudioError(f"{source}: no such file; check the path")
    noisy, sample_rate, subtype = _read(source, source)
    enhanced = _enhanced(model, noisy, sample_rate, source)
    clipped = _write(target, enhanced, sample_rate, subtype)
    return EnhancedFile(
        source, target, sample_rate, noisy.shape[1], len(noisy) / sample_rate, clipped=clipped
    )


def enhance_folder(model: nn.Module, source: str | Path, target: str | Path) -> Iterator[EnhancedFile]:
    """Enhance every WAV and FLAC file below `source` to the same place below `target`, one result at a time.

    A file that cannot be used becomes a result with its error, and the next one follows. Raises AudioError
    for a missing folder or one without audio.
    """
    source, target = Path(source), Path(target)
    if source.resolve() == target.resolve():
        raise AudioError(f"{target}: is the source folder itself; give another one for the enhanced files")
    for path in audio_files(source, leave_out=target):
        destination = target / path.relative_to(source)
        try:
            yield enhance_file(model, path, destination)
        except AudioError as error:
            yield EnhancedFile(path, destination, error=str(error))


def enhance_stream(model: nn.Module, source: BinaryIO, target: BinaryIO) -> EnhancedFile:
    """Enhance one whole WAV or FLAC file read from a stream, such as stdin, into another stream, as a WAV file.

    The streams need not be seekable. Raises AudioError for a stream that holds no usable audio; nothing is
    written then.
    """
    noisy, sample_rate, subtype = _read(io.BytesIO(source.read()), "the input stream")
    enhanced = _enhanced(model, noisy, sample_rate, "the input stream")
    whole = io.BytesIO()
    clipped = _encode(whole, enhanced, sample_rate, subtype, "WAV")
    target.write(whole.getvalue())
    target.flush()
    seconds = len(noisy) / sample_rate
    return EnhancedFile(Path("-"), Path("-"), sample_rate, noisy.shape[1], seconds, clipped=clipped)


def audio_files(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Every WAV and FLAC file below a folder in order, hidden ones and those below `leave_out` apart.

    Raises AudioError for a folder that is missing or has none.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder}: no such folder; check the path")
    found = [path for path in sorted(folder.rglob("*")) if _is_audio(path) and leave_out not in path.parents]
    if not found:
        raise AudioError(f"{folder}: holds no WAV or FLAC files; check the path")
    return found


def _enhanced(model: nn.Module, noisy: np.ndarray, sample_rate: int, name: object) -> np.ndarray:
    try:
        return enhance(model, noisy, sample_rate)
    except ValueError as error:
        raise AudioError(f"{name}: {error}") from error


def _is_audio(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _check_target(source: Path, target: Path) -> None:
    if target.suffix.lower() not in SUFFIXES:
        raise AudioError(
            f"{target}: cannot write {target.suffix or 'a file without suffix'}; use .wav or .flac"
        )
    if source.resolve() == target.resolve():
        raise AudioError(f"{target}: is the source itself; give another name for the enhanced file")


def _read(source: Path | BinaryIO, name: object) -> tuple[np.ndarray, int, str]:
    """Samples (N, channels) float32, sample rate, sample format."""
    try:
        with soundfile.SoundFile(source) as file:
            _check_whole(name, file.extra_info)
            return file.read(dtype="float32", always_2d=True), file.samplerate, file.subtype
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: damaged, truncated or not audio ({error.error_string or error.code}); copy it again"
        ) from error


def _check_whole(name: object, header_log: str) -> None:
    # libsndfile reads what is there of a cut WAV as if it were whole, and says so only in its log.
    lengths = re.search(r"data : (\d+) \(should be (\d+)\)", header_log)
    if lengths and int(lengths[2]) < int(lengths[1]) < _LENGTH_UNKNOWN:
        raise AudioError(
            f"{name}: truncated, {lengths[2]} of {lengths[1]} bytes of audio there; copy it again"
        )


def _write(path: Path, samples: np.ndarray, sample_rate: int, subtype: str) -> int:
    """Write atomically and return how many samples were clipped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        clipped = _encode(partial, samples, sample_rate, subtype, path.suffix[1:].upper())
    except soundfile.LibsndfileError as error:
        partial.unlink(missing_ok=True)
        raise AudioError(
            f"{path}: cannot be written ({error.error_string}); check the folder and sample rate"
        ) from error
    partial.replace(path)
    return clipped


def _encode(
    target: Path | BinaryIO, samples: np.ndarray, sample_rate: int, subtype: str, container: str
) -> int:
    """Write a file of the sample format, or what the container has instead; return how many samples were clipped."""
    if not soundfile.check_format(container, subtype):
        subtype = soundfile.default_subtype(container)
    holds_floats = subtype in ("FLOAT", "DOUBLE")
    samples_written = samples if holds_floats else np.clip(samples, -1, 1)
    soundfile.write(target, samples_written, sample_rate, subtype=subtype, format=container)
    return 0 if holds_floats else int((np.abs(samples) > 1).sum())
