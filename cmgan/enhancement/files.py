"""Enhance audio files, folders of them and streams; every problem is one line that names the file."""

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from data_prep.audio import SUFFIXES, AudioError, audio_files, check_wav_length
from data_prep.whole_files import whole_file

if TYPE_CHECKING:
    from torch import nn

STREAM = Path("-")


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
        name, content = "the input stream", sys.stdin.buffer.read()
    else:
        name = str(source)
        if source.resolve() == target.resolve():
            raise AudioError(f"{target}: is the source itself; give another name for the enhanced file")
        try:
            content = source.read_bytes()
        except OSError as error:
            raise AudioError(f"{source}: cannot be read ({error.strerror}); check the path") from error
    noisy, sample_rate, subtype = _decoded(content, name)
    try:
        enhanced = enhance(model, noisy, sample_rate)
    except ValueError as error:
        raise AudioError(f"{name}: {error}") from error
    container = "WAV" if target == STREAM else target.suffix[1:].upper()
    try:
        encoded, clipped = _encoded(enhanced, sample_rate, subtype, container)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{target}: cannot be written ({error.error_string}); use .wav, or another sample rate"
        ) from error
    if target == STREAM:
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
    else:
        with whole_file(target) as partial:
            partial.write_bytes(encoded)
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


def _decoded(content: bytes, name: str) -> tuple[np.ndarray, int, str]:
    """Samples (N, channels) float32, sample rate, sample format."""
    check_wav_length(io.BytesIO(content), name)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            return file.read(dtype="float32", always_2d=True), file.samplerate, file.subtype
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}: damaged, truncated or not audio ({error.error_string or error.code}); copy it again"
        ) from error


def _encoded(samples: np.ndarray, sample_rate: int, subtype: str, container: str) -> tuple[memoryview, int]:
    """A file's bytes in the sample format, or what the container has instead, and how many samples were clipped."""
    # libsndfile reads MP3, but does not write it into a WAV file.
    if subtype.startswith("MPEG") or not soundfile.check_format(container, subtype):
        subtype = soundfile.default_subtype(container)
    clipped = 0
    if subtype not in ("FLOAT", "DOUBLE"):
        clipped = int((np.abs(samples) > 1).sum())
        samples = np.clip(samples, -1, 1)
    # In memory: libsndfile would not say that a disk is full.
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, sample_rate, subtype=subtype, format=container)
    return encoded.getbuffer(), clipped
