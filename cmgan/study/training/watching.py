"""Where trainings stand, finished or not, from the logs that they write as they go."""

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

# Enough for every epoch and the last hundreds of steps, whose log grows to many MB.
TAIL_BYTES = 262_144
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


def standings_of(folder: Path) -> list[Standing]:
    """Every training in a run's folder, in RUN/training and RUN/branches, or in the folder itself; unfinished first.

    Raises FileNotFoundError when none of them has logged a step.
    """
    alone = _standing(folder)
    places = (
        []
        if alone
        else [path for part in ("", "training/", "branches/training/") for path in folder.glob(f"{part}*/")]
    )
    found = [one for one in (alone, *map(_standing, places)) if one]
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no training that has logged a step: start one, or wait for its first"
        )
    return sorted(found, key=lambda one: (one.finished, one.name))


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
            "left": _time_left(one),
        }
        for one in standings
    ]
    return pd.DataFrame(rows).to_string(index=False)


def summary(standings: Sequence[Standing], folder: Path) -> str:
    """How many trainings are finished and at work, and about how long the run's trainings still take.

    Those that wait are taken to need as long as those that finished did (folder/timing.csv).
    """
    at_work = [one.seconds_left for one in standings if not one.finished]
    total = max(planned(folder), len(standings))
    waiting = total - len(standings)
    text = f"{len(standings) - len(at_work)} of {total} trainings finished, {len(at_work)} at work"
    left = sum(at_work)
    if waiting:
        jobs = _complete_rows(folder / "timing.csv").reindex(columns=["job", "seconds"])
        left += waiting * jobs.loc[jobs["job"].astype(str).str.startswith("04_training"), "seconds"].mean()
    if not at_work or np.isnan(left):
        return text
    return f"{text}; about {duration(max(left / len(at_work), *at_work))} of training left"


def planned(folder: Path) -> int:
    """Trainings that a run's profile.yaml asks for; 0 where there is none."""
    settings = folder / "profile.yaml"
    if not settings.is_file():
        return 0
    profile = yaml.safe_load(settings.read_text())
    grown = [
        branch for branch in profile.get("branches", ()) if branch.partition("-to-")[0] in profile["arms"]
    ]
    return (len(profile["arms"]) + len(grown)) * len(profile["seeds"])


def _standing(folder: Path) -> Standing | None:
    """Of the training in a folder; None where there is none that has logged a step."""
    finished = (folder / "config.json").is_file()
    logs = folder if finished else folder / "unfinished"
    steps = _complete_rows(logs / "steps.csv")
    if steps.empty or not (logs / "config.json").is_file():
        return None
    config = json.loads((logs / "config.json").read_text())
    validated = _complete_rows(logs / "epochs.csv").reindex(columns=["epoch", "step", "pesq"])
    pesq = validated["pesq"].dropna()
    last, epochs = steps.iloc[-1], config["budget"]["epochs"]
    step, per_epoch = int(last["step"]), _last(validated["step"] / validated["epoch"])
    steps_of_all = step if finished else round(np.nan_to_num(per_epoch * epochs))
    logged = (logs / "steps.csv").stat().st_mtime
    # The pace is that of the clock, validation included; after an interruption, the steps' own times say more.
    started = (logs / "config.json").stat().st_mtime
    pace = max((logged - started) / step, steps["seconds"].mean())
    return Standing(
        name=config["name"],
        finished=finished,
        epoch=int(last["epoch"]),
        epochs=epochs,
        step=step,
        steps=steps_of_all,
        loss=float(last["loss_total"]),
        discriminator_loss=_last(steps["loss_discriminator"]),
        pesq=_last(validated["pesq"]),
        best_pesq=pesq.max(),
        best_epoch=int(validated["epoch"][pesq.idxmax()]) if len(pesq) else 0,
        seconds_left=pace * (steps_of_all - step) if steps_of_all else np.nan,
        silent_seconds=0.0 if finished else time.time() - logged,
    )


def _complete_rows(log: Path) -> pd.DataFrame:
    """The last complete rows of a CSV file that may be growing; none where it has none yet."""
    if not log.is_file() or not log.stat().st_size:
        return pd.DataFrame()
    with log.open("rb") as file:
        header = file.readline()
        file.seek(max(len(header) - 1, log.stat().st_size - TAIL_BYTES))
        # The first of these lines begins and the last one ends somewhere in a row.
        rows = file.read().split(b"\n")[1:-1]
    return pd.read_csv(io.BytesIO(b"\n".join([header.rstrip(), *rows])))


def _last(values: pd.Series) -> float:
    return next(iter(values.dropna()[::-1]), np.nan)


def _shown(value: float, style: str) -> str:
    return "-" if np.isnan(value) else f"{value:{style}}"


def _time_left(one: Standing) -> str:
    if one.finished:
        return "finished"
    text = "?" if np.isnan(one.seconds_left) else duration(one.seconds_left)
    if one.silent_seconds > SILENT_SECONDS:
        text += f" (last step {duration(one.silent_seconds)} ago)"
    return text
