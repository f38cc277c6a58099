"""Where trainings stand, finished or not, from the logs that they write as they go."""

import csv
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from cmgan.progress import duration

# Enough for the last rows of steps.csv, which grows to many MB.
TAIL_BYTES = 65_536
# A last step older than this is told; a validation may lie between.
SILENT_SECONDS = 60.0


@dataclass(frozen=True)
class Standing:
    """Where one training stands. steps: of the whole training, 0 while unknown; NaN stands for what is not known yet.

    best_pesq: highest epoch mean of the validation. seconds_left: at the pace so far, validation included; 0 when
    finished. silent_seconds: since the last step of an unfinished training.
    """

    name: str
    finished: bool
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    discriminator_loss: float
    pesq: float
    best_pesq: float
    best_epoch: int
    seconds_left: float
    silent_seconds: float


def trainings_of(folder: Path) -> list[Path]:
    """Training folders in a run's folder, in RUN/training, or the folder itself, unfinished ones first.

    Raises FileNotFoundError when no training has started there.
    """
    places = [folder] if _log_folder(folder) else [*folder.glob("*/"), *folder.glob("training/*/")]
    found = [place for place in places if _log_folder(place)]
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no training that has logged a step: start one, or wait for its first"
        )
    return sorted(found, key=lambda place: (_is_finished(place), place.name))


def standing(folder: Path, now: float | None = None) -> Standing:
    """Read one training; now: seconds since the epoch, for tests.

    Raises FileNotFoundError when it has not logged a step.
    """
    logs, finished = _log_folder(folder), _is_finished(folder)
    if logs is None:
        raise FileNotFoundError(f"{folder} holds no training that has logged a step")
    config = json.loads((logs / "config.json").read_text())
    rows = _last_rows(logs / "steps.csv")
    last = rows.iloc[-1]
    step, epoch, epochs = int(last["step"]), int(last["epoch"]), config["budget"]["epochs"]
    validated = _epochs(logs / "epochs.csv")
    steps = step if finished else _steps_of_all(validated, epochs)
    logged = (logs / "steps.csv").stat().st_mtime
    # The pace is that of the clock, validation included; after an interruption, the steps' own times say more.
    started = (logs / "config.json").stat().st_mtime
    pace = max((logged - started) / step, rows["seconds"].mean())
    left = 0.0 if finished else pace * (steps - step) if steps else np.nan
    best = validated.loc[validated["pesq"].idxmax()] if validated["pesq"].notna().any() else None
    return Standing(
        name=config["name"],
        finished=finished,
        epoch=epoch,
        epochs=epochs,
        step=step,
        steps=steps,
        loss=float(last["loss_total"]),
        discriminator_loss=_last_value(rows["loss_discriminator"]),
        pesq=_last_value(validated["pesq"]),
        best_pesq=np.nan if best is None else float(best["pesq"]),
        best_epoch=0 if best is None else int(best["epoch"]),
        seconds_left=left,
        silent_seconds=0.0 if finished else (now or time.time()) - logged,
    )


def as_text(standings: Sequence[Standing]) -> str:
    """A line a training."""
    rows = [
        {
            "training": one.name,
            "epoch": f"{one.epoch}/{one.epochs}",
            "step": f"{one.step}/{one.steps or '?'}",
            "loss": _shown(one.loss, ".3f"),
            "disc. loss": _shown(one.discriminator_loss, ".2g"),
            "PESQ": _shown(one.pesq, ".2f"),
            "best PESQ": f"{one.best_pesq:.2f} (epoch {one.best_epoch})" if one.best_epoch else "-",
            "left": "finished" if one.finished else _left(one),
        }
        for one in standings
    ]
    return pd.DataFrame(rows).to_string(index=False)


def summary(standings: Sequence[Standing], folder: Path) -> str:
    """How many trainings are finished and at work, and about how long the run's trainings still take.

    Those that wait are taken to need as long as those that finished did (folder/timing.csv).
    """
    at_work = [one for one in standings if not one.finished]
    total = max(planned(folder), len(standings))
    waiting = total - len(standings)
    text = f"{len(standings) - len(at_work)} of {total} trainings finished, {len(at_work)} at work"
    left = sum(one.seconds_left for one in at_work) + (waiting * _mean_seconds(folder) if waiting else 0.0)
    if not at_work or np.isnan(left):
        return text
    longest = max(one.seconds_left for one in at_work)
    return f"{text}; about {duration(max(left / len(at_work), longest))} of training left"


def planned(folder: Path) -> int:
    """Trainings that a run's profile.yaml asks for; 0 where there is none."""
    settings = folder / "profile.yaml"
    if not settings.is_file():
        return 0
    profile = yaml.safe_load(settings.read_text())
    return len(profile["arms"]) * len(profile["seeds"])


def _log_folder(folder: Path) -> Path | None:
    """Where a training's logs lie, once it has logged a step."""
    for place in (folder, folder / "unfinished"):
        if (place / "config.json").is_file() and _has_rows(place / "steps.csv"):
            return place
    return None


def _is_finished(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _has_rows(log: Path) -> bool:
    if not log.is_file():
        return False
    with log.open() as file:
        return sum(line.endswith("\n") for line, _ in zip(file, range(2), strict=False)) == 2


def _last_rows(log: Path) -> pd.DataFrame:
    """The last complete rows of a CSV file that may be growing, as many as fit TAIL_BYTES."""
    with log.open("rb") as file:
        header = file.readline()
        start = max(len(header), log.stat().st_size - TAIL_BYTES)
        file.seek(start)
        tail = file.read()
    first = 0 if start == len(header) else tail.index(b"\n") + 1
    complete = tail[first : tail.rindex(b"\n") + 1]
    return pd.read_csv(io.BytesIO(header + complete))


def _epochs(log: Path) -> pd.DataFrame:
    if not _has_rows(log):
        return pd.DataFrame({"epoch": [], "step": [], "pesq": []})
    return pd.read_csv(log, usecols=["epoch", "step", "pesq"])


def _steps_of_all(validated: pd.DataFrame, epochs: int) -> int:
    if validated.empty:
        return 0
    last = validated.iloc[-1]
    return round(last["step"] / last["epoch"] * epochs)


def _mean_seconds(folder: Path) -> float:
    timing = folder / "timing.csv"
    if not timing.is_file():
        return np.nan
    with timing.open(newline="") as file:
        took = [float(row["seconds"]) for row in csv.DictReader(file) if row["job"].startswith("04_training")]
    return float(np.mean(took)) if took else np.nan


def _last_value(values: pd.Series) -> float:
    known = values.dropna()
    return float(known.iloc[-1]) if len(known) else np.nan


def _shown(value: float, style: str) -> str:
    return "-" if np.isnan(value) else f"{value:{style}}"


def _left(one: Standing) -> str:
    text = "?" if np.isnan(one.seconds_left) else duration(one.seconds_left)
    if one.silent_seconds > SILENT_SECONDS:
        text += f" (last step {duration(one.silent_seconds)} ago)"
    return text
