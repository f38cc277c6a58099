"""Training logs of one's own: text of the public code, CSV tables, TensorBoard events, this study's folders."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

STEP_COLUMNS = ("epoch", "step", "rank", "loss", "disc_loss", "skipped", "time_loss", "gain", "label_std")
LOSSES = ("train_loss", "validation_loss", "magnitude_loss", "disc_loss", "time_loss")
EPOCH_COLUMNS = ("epoch", "pesq", *LOSSES, "gain", "inconsistency")
UTTERANCE_COLUMNS = ("epoch", "id", "pesq")
NO_ROWS = pd.DataFrame()
COUNTERS = frozenset({"epoch", "step", "rank"})

EVENT_FILES = "events.out.tfevents.*"
# What this study's trainer writes to a run's folder, and there what its columns are called here.
OWN_FILES = ("steps.csv", "epochs.csv", "validation.csv")
OWN_STEPS = {"loss_total": "loss", "loss_discriminator": "disc_loss", "loss_time": "time_loss"}
OWN_EPOCHS = {"loss_total": "validation_loss", "loss_magnitude": "magnitude_loss"}

_VALIDATION = frozenset({"test", "val", "valid", "validation", "eval", "dev"})
_DISCRIMINATOR = frozenset({"disc", "discriminator", "d", "critic", "discrim"})
# Terms and bookkeeping that are no total loss.
_NOT_A_TOTAL = frozenset(
    {"mag", "magnitude", "ri", "real", "complex", "imaginary", "phase", "metric", "gan", "adv", "adversarial"}
    | {"consistency", "best", "min", "lowest"}
)
_NOT_VALIDATION_PESQ = frozenset(
    {"best", "max", "train", "training", "label", "failures", "reason", "random", "crop", "loss"}
)
_STEP_WORDS = frozenset({"step", "steps", "iteration", "iter", "global"})
_GLUED = re.compile(
    r"(train|test|validation|valid|val|discriminator|disc|generator|gen|time|mag|best)(?=loss|pesq)"
)

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w.]*\w)"
_PAIR = re.compile(
    rf"([A-Za-z][A-Za-z _/-]{{0,40}}?)\s*[:=]\s*((?:{_NUMBER})(?:\s*,\s*(?:{_NUMBER}))*)", re.IGNORECASE
)
_COUNTER = re.compile(r"\b(GPU|rank|epoch|step|iter(?:ation)?)s?\s*[:=#]?\s*(\d+)", re.IGNORECASE)
# A progress bar: `450/1000 [00:10<00:12, 40.1it/s, loss=0.1]`.
_BAR = re.compile(r"\b(\d+)/\d+ \[")
_VALIDATION_WORD = re.compile(r"\b(test|val|valid|validation|eval)\b", re.IGNORECASE)
_TRAINING_WORD = re.compile(r"\btrain", re.IGNORECASE)


@dataclass(frozen=True)
class TrainingLog:
    """One run: `steps` (STEP_COLUMNS), `epochs` (EPOCH_COLUMNS), `utterances` (UTTERANCE_COLUMNS), NaN where unknown.

    steps: a row per logged step in the order of training; rank is the process that logged it; skipped is 1 where
    the log says so, 0 where it says not, NaN where only disc_loss can tell. epochs: a row per epoch, losses of
    training and validation, validation PESQ. utterances: validation PESQ by utterance, where it was kept.
    """

    name: str
    steps: pd.DataFrame
    epochs: pd.DataFrame
    utterances: pd.DataFrame


def make_log(
    name: str,
    steps: pd.DataFrame = NO_ROWS,
    epochs: pd.DataFrame = NO_ROWS,
    utterances: pd.DataFrame = NO_ROWS,
) -> TrainingLog:
    """A log from frames with some of the columns; others are filled with NaN, unknown ones dropped.

    The last value of an epoch counts when it was logged twice (a run that was resumed). Losses of training that
    only the steps tell are averaged into the epochs.
    """
    steps = _numbers(steps, STEP_COLUMNS)
    # The rows of one epoch may come from lines that tell different things: each column's last value counts.
    told = _numbers(epochs, EPOCH_COLUMNS).dropna(subset="epoch").groupby("epoch").last()
    means = steps.groupby("epoch")[["loss", "disc_loss"]].mean().rename(columns={"loss": "train_loss"})
    epochs = told.combine_first(means).reset_index().reindex(columns=EPOCH_COLUMNS)
    return TrainingLog(name, steps, epochs, _numbers(utterances, UTTERANCE_COLUMNS))


def read_runs(paths: Sequence[Path]) -> list[TrainingLog]:
    """The runs behind some paths: all files together are one run, every folder is at least one of its own.

    A folder holds this study's logs (training/ARM-SEED, also of a run that goes on), TensorBoard event files, other
    .csv, .log and .txt files of one run, or folders of such runs (results/RUN/training). Raises FileNotFoundError
    or ValueError, naming the path and what is wrong with it.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; check the path")
    files = [path for path in paths if path.is_file()]
    runs = [_run(files[0].stem if len(files) == 1 else "these files", files)] if files else []
    for folder in (path for path in paths if path.is_dir()):
        found = _runs_below(folder)
        if not found:
            raise ValueError(
                f"{folder}: holds no training log; give the folder with steps.csv, *.log, *.csv or {EVENT_FILES}"
            )
        runs += found
    return runs


def courses(logs: Sequence[TrainingLog]) -> pd.DataFrame:
    """What every run logged by epoch, one value a row: run, epoch, quantity (pesq or a loss), value."""
    drawn = ["pesq", "validation_loss", "train_loss", "disc_loss"]
    frames = [log.epochs.melt("epoch", drawn, "quantity").dropna().assign(run=log.name) for log in logs]
    return pd.concat(frames, ignore_index=True)[["run", "epoch", "quantity", "value"]]


def read_text(lines: Iterable[str], name: str) -> TrainingLog:
    """The log in lines of text such as `GPU: 0, Epoch 0, Step 500, loss: 0.082057, disc_loss: 0.000664`.

    A line with a step number, or with nothing but a discriminator's loss, is a training step; one without a step is
    an epoch's: its losses are those of validation unless they are called train. Epochs carry over to lines without
    one. Several values behind one name (`disc_loss = 0.000004, 0.000003`) are several steps. Other lines are skipped.
    """
    steps, epochs = [], []
    epoch = np.nan
    for line in lines:
        bar = _BAR.search(line)
        counters = {"step": float(bar[1])} if bar else {}
        counters |= {quantity_of(word): float(number) for word, number in _COUNTER.findall(line)}
        epoch = counters.get("epoch", epoch)
        values = {
            quantity: [float(number) for number in numbers.split(",")]
            for words, numbers in _PAIR.findall(_COUNTER.sub(" ", line))
            if (quantity := quantity_of(words)) and quantity not in COUNTERS
        }
        if not values:
            continue
        validates = _VALIDATION_WORD.search(line) or any(key.startswith("validation") for key in values)
        if "step" in counters or (set(values) == {"disc_loss"} and not validates):
            place = {"epoch": epoch, "step": counters.get("step"), "rank": counters.get("rank", 0.0)}
            steps += [place | dict(zip(values, row, strict=True)) for row in zip_longest(*values.values())]
        else:
            loss = "train_loss" if _TRAINING_WORD.search(line) else "validation_loss"
            last = {loss if key == "loss" else key: numbers[-1] for key, numbers in values.items()}
            epochs.append({"epoch": epoch} | last)
    return make_log(name, pd.DataFrame(steps), pd.DataFrame(epochs))


def read_table(path: Path) -> TrainingLog:
    """The log in a CSV file, recognised by its columns; names as people choose them (see `quantity_of`).

    With a step column, or epochs that repeat, a row is a training step; otherwise an epoch. Raises ValueError, naming
    the file, for one that is no table or has no column that is known.
    """
    try:
        frame = pd.read_csv(path, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV table ({error}); give the file that training wrote") from error
    if frame.empty:
        raise ValueError(f"{path}: holds no rows; let training run for an epoch first")
    if {"discriminator_skipped", "loss_total"} <= set(frame):
        skipped = frame["discriminator_skipped"].astype(str).eq("True").astype(float)
        return make_log(path.name, frame.rename(columns=OWN_STEPS).assign(skipped=skipped, rank=0.0))
    if {"loss_time_published", "loss_time_normalised"} <= set(frame):
        if "id" in frame:
            return make_log(path.name, utterances=frame)
        return make_log(path.name, epochs=frame.rename(columns=OWN_EPOCHS))
    return _table_of_others(frame, path)


def _table_of_others(frame: pd.DataFrame, path: Path) -> TrainingLog:
    quantities = pd.Series({column: quantity_of(str(column)) for column in frame}, dtype=object)
    named = quantities[quantities != ""].drop_duplicates()
    table = frame[named.index].rename(columns=named)
    if set(table) <= COUNTERS:
        raise ValueError(
            f"{path}: no column is known ({', '.join(map(str, frame))}); name them like epoch, step, loss, "
            "disc_loss, test_loss, pesq"
        )
    if "pesq" in table and not {"epoch", "step"} & set(table):
        table = table.assign(epoch=range(len(table)))
    if "step" in table or "epoch" not in table or table["epoch"].duplicated().mean() > 0.5:
        # Values of validation stand in a few rows of such a table.
        validated = table.reindex(columns=["epoch", "validation_loss", "pesq"])
        return make_log(path.name, table.assign(rank=table.get("rank", 0.0)), validated)
    return make_log(path.name, epochs=table.rename(columns={"loss": "train_loss"}))


def read_events(path: Path) -> TrainingLog:
    """The scalars of a TensorBoard event file or a folder of them; tags are read like column names.

    Tags of training with more points than those of validation are taken for steps. Where validation was logged
    under step numbers, its points are numbered as epochs, and a step belongs to the first epoch that ends after it.
    Raises ValueError naming what to install without tensorboard, or the file when no tag is known.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        raise ValueError(
            f"{path}: reading TensorBoard events needs the package tensorboard: pip install tensorboard"
        ) from None
    events = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    scalars = {}
    for tag in events.Tags()["scalars"]:
        points = pd.Series({event.step: event.value for event in events.Scalars(tag)}).sort_index()
        scalars.setdefault(quantity_of(tag), points)
    steps, epochs = (
        pd.DataFrame({name: scalars[name] for name in names if name in scalars})
        for names in (("loss", "disc_loss", "skipped", "time_loss", "gain"), ("validation_loss", "pesq"))
    )
    if steps.empty and epochs.empty:
        raise ValueError(
            f"{path}: holds no scalar that is known; name tags like train/loss, disc_loss, val_loss, pesq"
        )
    if len(epochs) and len(steps) <= len(epochs):
        both = epochs.join(steps.rename(columns={"loss": "train_loss"}), how="outer")
        return make_log(path.name, epochs=both.rename_axis("epoch").reset_index())
    placed = steps.rename_axis("step").reset_index().assign(rank=0.0)
    if len(epochs):
        placed["epoch"] = epochs.index.to_numpy().searchsorted(placed["step"])
    return make_log(path.name, placed, epochs.assign(epoch=range(len(epochs))))


def quantity_of(name: str) -> str:
    """The quantity that a name stands for, or "" for one that is not used here.

    "Train/gen_loss", "loss" → loss; "test_loss", "val gen loss" → validation_loss; "Discriminator loss" → disc_loss.
    """
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = frozenset(re.split(r"[^a-z0-9]+", _GLUED.sub(r"\1_", separated))) - {""}
    validation = "validation_" if words & _VALIDATION else ""
    if "pesq" in words:
        return "" if words & _NOT_VALIDATION_PESQ else "pesq"
    if words & {"loss", "losses"}:
        if words & _NOT_A_TOTAL:
            return ""
        if words & _DISCRIMINATOR:
            return f"{validation}disc_loss"
        if "time" in words:
            return "" if validation else "time_loss"
        return f"{validation}loss"
    if words >= {"discriminator", "skipped"}:
        return "skipped"
    if words - {"train", "training"} == {"gain"}:
        return "gain"
    known = {"epoch": {"epoch", "epochs"}, "step": _STEP_WORDS, "rank": {"gpu", "rank"}}
    return next((counter for counter, names in known.items() if words & names), "")


def _numbers(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    frame = frame.reindex(columns=columns)
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in columns if name != "id"}
    return frame.assign(**numbers).replace([np.inf, -np.inf], np.nan)


def _runs_below(folder: Path) -> list[TrainingLog]:
    if (folder / "training").is_dir():
        return _runs_below(folder / "training")
    inside = sorted(folder.iterdir())
    # A run that goes on keeps its logs in unfinished/.
    own = next((place for place in (folder, folder / "unfinished") if (place / "steps.csv").is_file()), None)
    files = [own / name for name in OWN_FILES] if own else inside
    suffixes = (".csv", ".log", ".txt")
    logs = [path for path in files if path.suffix.lower() in suffixes or path.match(EVENT_FILES)]
    logs = [path for path in logs if path.is_file()]
    if logs:
        return [_run(folder.name, logs)]
    return [run for path in inside if path.is_dir() for run in _runs_below(path)]


def _run(name: str, files: Sequence[Path]) -> TrainingLog:
    logs = [_read_file(path) for path in files]
    parts = [
        pd.concat([getattr(log, part) for log in logs], ignore_index=True)
        for part in ("steps", "epochs", "utterances")
    ]
    log = make_log(name, *parts)
    if log.steps.empty and log.epochs.empty:
        raise ValueError(
            f"{', '.join(map(str, files))}: no line of a training log is in there; a line looks like "
            "'Epoch 0, Step 500, loss: 0.082057, disc_loss: 0.000664'"
        )
    return log


def _read_file(path: Path) -> TrainingLog:
    if path.match(EVENT_FILES):
        return read_events(path)
    if path.suffix.lower() == ".csv":
        return read_table(path)
    with path.open(encoding="utf-8", errors="replace") as lines:
        return read_text(lines, path.name)
