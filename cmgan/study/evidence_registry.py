"""The evidence functions by name, so that claims can be data: name and arguments in, effect or reason out."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from cmgan.study.effects import MissingEvidenceError
from cmgan.study.run_results import RunResults
from cmgan.study.verdicts import Effect, Missing

Arguments = dict[str, str | int | float | list]


@dataclass(frozen=True)
class Evidence:
    """What evidence functions read: a run's tables, and the level of their intervals."""

    results: RunResults
    level: float

    def arm(self, frame: str, arm: str) -> pd.DataFrame:
        """Rows of one arm of `steps`, `epochs`, `validation` or `evaluation`; MissingEvidenceError without any."""
        table = getattr(self.results, frame)
        rows = table[table["arm"] == arm]
        if rows.empty:
            raise MissingEvidenceError(f"arm {arm} was not run")
        return rows

    def table(self, name: str) -> pd.DataFrame:
        """A CSV of the run, e.g. "silence/crops.csv"; MissingEvidenceError when it is not there or has no rows."""
        path = self.results.root / name
        if not path.is_file():
            raise MissingEvidenceError(f"{name} was not written")
        frame = pd.read_csv(path)
        if frame.empty:
            raise MissingEvidenceError(f"{name} has no rows")
        return frame


EvidenceFunction = Callable[..., Effect]
FUNCTIONS: dict[str, EvidenceFunction] = {}


def evidence(function: EvidenceFunction) -> EvidenceFunction:
    """Register an evidence function `(evidence, *, arguments) -> Effect` under its own name."""
    FUNCTIONS[function.__name__] = function
    return function


def check_call(name: str, arguments: Arguments) -> None:
    """Raises ValueError for a name that is not registered or arguments that the function does not take."""
    if name not in FUNCTIONS:
        raise ValueError(f"unknown evidence {name!r}: use one of {', '.join(sorted(FUNCTIONS))}")
    try:
        inspect.signature(FUNCTIONS[name]).bind(None, **arguments)
    except TypeError as error:
        raise ValueError(f"evidence {name}: {error}") from None


def find(available: Evidence, name: str, arguments: Arguments) -> Effect | Missing:
    """The effect that an evidence function finds in a run, or why there is none."""
    try:
        return FUNCTIONS[name](available, **arguments)
    except MissingEvidenceError as error:
        return Missing(str(error))
