"""From files and folders on a command line to pairs that can be scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.enhancement.files import audio_files
from cmgan.metrics.evaluation import Progress, evaluate_pairs
from data_prep.audio import TOLERATED_SECONDS, AudioError, check_pair, read_audio

NO_CLEAN = "no clean file of that name"


@dataclass(frozen=True)
class FilePair:
    """An enhanced file and the clean one it belongs to; `clean` is None where there is none."""

    id: str
    clean: Path | None
    enhanced: Path


def pair_files(clean: Path, enhanced: Path) -> list[FilePair]:
    """Two files, or the files of two folders that share a path and name but for the suffix.

    The enhanced files say what is scored: clean ones without a partner are left alone. Raises AudioError for a path
    that is missing, a folder without audio, two files of the same name, or a file set against a folder.
    """
    for path in (clean, enhanced):
        if not path.exists():
            raise AudioError(f"{path}: no such file or folder; check the path")
    if clean.is_file() and enhanced.is_file():
        return [FilePair(enhanced.stem, clean, enhanced)]
    if clean.is_file() or enhanced.is_file():
        raise AudioError(
            f"{clean} and {enhanced}: one is a file, one a folder; give two files or two folders"
        )
    references, estimates = _by_name(clean), _by_name(enhanced)
    return [FilePair(name, references.get(name), path) for name, path in estimates.items()]


def score_pairs(pairs: Sequence[FilePair], workers: int | None, progress: Progress | None) -> pd.DataFrame:
    """The table of `evaluate_pairs`; a pair that cannot be used has a row without metrics, and with the reason."""
    usable, refused = [], {}
    for pair in pairs:
        reason = _fault(pair)
        if reason:
            refused[pair.id] = reason
        else:
            usable.append((pair.id, pair.clean, pair.enhanced))
    columns = ["id", "pesq", "csig", "cbak", "covl", "ssnr", "stoi", "si_sdr", "gain", "samples"]
    table = evaluate_pairs(usable, workers, progress) if usable else pd.DataFrame(columns=columns)
    rows = pd.DataFrame(
        [dict.fromkeys(columns, np.nan) | {"id": name, "reasons": reason} for name, reason in refused.items()]
    )
    if len(rows):
        table = pd.concat([table, rows], ignore_index=True) if len(table) else rows
    order = {pair.id: index for index, pair in enumerate(pairs)}
    return table.sort_values("id", key=lambda ids: ids.map(order), ignore_index=True)


def _fault(pair: FilePair) -> str:
    """Why a pair cannot be scored; empty where it can."""
    if pair.clean is None:
        return NO_CLEAN
    try:
        waves = [
            read_audio(path, tolerated_seconds=TOLERATED_SECONDS) for path in (pair.clean, pair.enhanced)
        ]
        check_pair(*waves, f"{pair.id} ({pair.enhanced})")
    except AudioError as error:
        return str(error)
    return ""


def _by_name(folder: Path) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in audio_files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise AudioError(f"{path} and {named[name]} have the same name; keep one of them")
        named[name] = path
    return named
