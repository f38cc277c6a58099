"""Enhance audio files, folders of them and streams; every problem is one line that names the file."""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile

from data_prep.audio import AudioError
from data_prep.whole_files import whole_file

if TYPE_CHECKING:
    from torch import nn

STREAM = Path("-")
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


def enhance_file(model: "nn.Module", source: Path, target: Path) -> EnhancedFile:
    """Enhance one recording into another of the same sample rate, channels, length and sample format.

    STREAM stands for stdin and stdout, which need not be seekable. The container follows the target's suffix (.wav
    or .flac), stdout gets a WAV file; the target appears whole or not at all. Raises AudioError for a source that
    cannot be used and a target that is the source or of another kind.
    """
    # Here, as listing and pairing files needs no torch.
    from cmgan.enhancement.waveforms import enhance

    if target != STREAM and target.suffix.lower() not in SUFFIXES:
        raise AudioError(
            f"{target}: cannot write {target.suffix or 'a file without suffix'}; use .wav or .flac"
        )
    if source == STREAM:
        name, given = "the input stream", io.BytesIO(sys.stdin.buffer.read())
    else:
        name, given = str(source), source
        if source.resolve() == target.resolve():
            raise AudioError(f"{target}: is the source itself; give another name for the enhanced file")
        if not source.is_file():
            raise AudioError(f"{source}: no such file; check the path")
    noisy, sample_rate, subtype = _read(given, name)
    try:
        enhanced = enhance(model, noisy, sample_rate)
    except ValueError as error:
        raise AudioError(f"{name}: {error}") from error
    try:
        if target == STREAM:
            whole = io.BytesIO()
            clipped = _write(whole, enhanced, sample_rate, subtype, "WAV")
            sys.stdout.buffer.write(whole.getvalue())
            sys.stdout.buffer.flush()
        else:
            with whole_file(target) as partial:
                clipped = _write(partial, enhanced, sample_rate, subtype, target.suffix[1:].upper())
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{target}: cannot be written ({error.error_string}); check the folder and sample rate"
        ) from error
    return EnhancedFile(source, target, sample_rate, noisy.shape[1], len(noisy) / sample_rate, clipped)


def enhance_files(model: "nn.Module", sources: Sequence[Path], target: Path) -> Iterator[EnhancedFile]:
    """Enhance recordings, and every WAV and FLAC file in folders of them, one result at a time.

    One folder goes to the same places below `target`, several sources under their names there. A file that cannot be
    used becomes a result with its error, and the next one follows. Raises AudioError for a folder without audio.
    """
    for source in sources:
        goal = target if len(sources) == 1 else target / source.name
        pairs = [(source, goal)]
        if source.is_dir():
            if source.resolve() == goal.resolve():
                raise AudioError(
                    f"{goal}: is the source folder itself; give another one for the enhanced files"
                )
            pairs = [(path, goal / path.relative_to(source)) for path in audio_files(source, leave_out=goal)]
        for path, destination in pairs:
            try:
                yield enhance_file(model, path, destination)
            except AudioError as error:
                yield EnhancedFile(path, destination, error=str(error))


def audio_files(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """Every WAV and FLAC file below a folder in order, hidden ones and those below `leave_out` apart.

    Raises AudioError for a folder that has none.
    """
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
        and leave_out not in path.parents
    ]
    if not found:
        raise AudioError(f"{folder}: holds no WAV or FLAC files; check the path")
    return found


def _read(source: Path | BinaryIO, name: str) -> tuple[np.ndarray, int, str]:
    """Samples (N, channels) float32, sample rate, sample format."""
    try:
        with soundfile.SoundFile(source) as file:
            # libsndfile reads what is there of a cut WAV as if it were whole, and says so only in its log.
            lengths = re.search(r"data : (\d+) \(should be (\d+)\)", file.extra_info)
            if lengths and int(lengths[2]) < int(lengths[1]) < _LENGTH_UNKNOWN:
                raise AudioError(
                    f"{name}: truncated, {lengths[2]} of {lengths[1]} bytes of audio there; copy it again"
                )
            return file.read(dtype="float32", always_2d=True), file.samplerate, file.subtype
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: damaged, truncated or not audio ({error.error_string or error.code}); copy it again"
        ) from error


def _write(
    target: Path | BinaryIO, samples: np.ndarray, sample_rate: int, subtype: str, container: str
) -> int:
    """Write the sample format, or what the container has instead; return how many samples were clipped."""
    if not soundfile.check_format(container, subtype):
        subtype = soundfile.default_subtype(container)
    clipped = 0
    if subtype not in ("FLOAT", "DOUBLE"):
        clipped = int((np.abs(samples) > 1).sum())
        samples = np.clip(samples, -1, 1)
    soundfile.write(target, samples, sample_rate, subtype=subtype, format=container)
    return clipped
