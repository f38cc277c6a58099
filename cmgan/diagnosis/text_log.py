"""Training logs as text: the public code's lines and what people quote of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cmgan.diagnosis.quantities import quantity_of
from cmgan.diagnosis.training_log import TrainingLog, make_log

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w.]*\w)"
_PAIR = re.compile(
    rf"([A-Za-z][A-Za-z _/-]{{0,40}}?)\s*[:=]\s*((?:{_NUMBER})(?:\s*,\s*(?:{_NUMBER}))*)", re.IGNORECASE
)
_COUNTER = re.compile(r"\b(GPU|rank|epoch|step|iter(?:ation)?)s?\s*[:=#]?\s*(\d+)", re.IGNORECASE)
# A progress bar: `450/1000 [00:10<00:12, 40.1it/s, loss=0.1]`.
_BAR = re.compile(r"\b(\d+)/\d+ \[")
_VALIDATION_WORD = re.compile(r"\b(test|val|valid|validation|eval)\b", re.IGNORECASE)
# What an epoch's line says about training counts for the epoch, not for a step.
_TRAINING_WORD = re.compile(r"\btrain", re.IGNORECASE)


@dataclass(frozen=True)
class _Line:
    epoch: float
    step: float
    rank: float
    values: dict[str, list[float]]
    validates: bool


def read_text(lines: Iterable[str], name: str) -> TrainingLog:
    """The log in lines of text such as `GPU: 0, Epoch 0, Step 500, loss: 0.082057, disc_loss: 0.000664`.

    A line with a step number, or with nothing but a discriminator's loss, is a training step; one without a step is
    an epoch's: its losses are those of validation unless they are called train. Epochs carry over to lines without
    one. Several values behind one name (`disc_loss = 0.000004, 0.000003`) are several steps. Other lines are skipped.
    """
    steps: list[dict[str, float]] = []
    epochs: list[dict[str, float]] = []
    epoch = float("nan")
    for text in lines:
        line = _parse(text, epoch)
        epoch = line.epoch
        if not line.values:
            continue
        if line.step == line.step or (set(line.values) == {"disc_loss"} and not line.validates):
            steps += _step_rows(line)
        else:
            epochs.append(_epoch_row(line, bool(_TRAINING_WORD.search(text))))
    return make_log(name, pd.DataFrame(steps), pd.DataFrame(epochs))


def _parse(text: str, epoch: float) -> _Line:
    counters = {quantity_of(key): float(number) for key, number in _COUNTER.findall(text)}
    bar = _BAR.search(text)
    if bar:
        counters.setdefault("step", float(bar[1]))
    values: dict[str, list[float]] = {}
    for key, numbers in _PAIR.findall(_COUNTER.sub(" ", text)):
        quantity = quantity_of(key)
        if quantity and quantity not in ("epoch", "step", "rank"):
            values[quantity] = [float(number) for number in numbers.split(",")]
    return _Line(
        counters.get("epoch", epoch),
        counters.get("step", float("nan")),
        counters.get("rank", 0.0),
        values,
        _VALIDATION_WORD.search(text) is not None or any(name.startswith("validation") for name in values),
    )


def _step_rows(line: _Line) -> list[dict[str, float]]:
    place = {"epoch": line.epoch, "step": line.step, "rank": line.rank}
    count = max(map(len, line.values.values()))
    return [
        place | {name: values[index] for name, values in line.values.items() if index < len(values)}
        for index in range(count)
    ]


def _epoch_row(line: _Line, names_training: bool) -> dict[str, float]:
    values = {name: numbers[-1] for name, numbers in line.values.items()}
    row = {"epoch": line.epoch}
    for name, value in values.items():
        if name == "loss":
            row["train_loss" if names_training else "validation_loss"] = value
        elif name != "validation_disc_loss":
            row[name] = value
    return row
