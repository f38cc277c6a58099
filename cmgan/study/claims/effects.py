"""Effects: a number from a run with the interval that decides and the 95 % interval to show, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cmgan.statistics import cautious_interval, mean_interval, proportion_interval
from cmgan.study.run_results import RunResults

Scale = Literal["pesq", "share", "relative", "plain", "outcome"]
SHOWN_LEVEL = 0.95
SEED = 0  # of the bootstrap


class MissingEvidenceError(LookupError):
    """What an effect needs is not in this run; the message says what."""


@dataclass(frozen=True)
class Effect:
    """An estimated effect: low and high at the level of the verdicts, low95 and high95 to be shown.

    n counts the units that the interval speaks for (utterances, steps, …). by_seed: the estimate of each seed alone,
    empty where no training is involved. scale says how to write the number (outcome: 1 for yes, 0 for no). detail:
    what the number is of, where that is not plain.
    """

    estimate: float
    low: float
    high: float
    low95: float
    high95: float
    n: int
    unit: str
    scale: Scale = "plain"
    by_seed: tuple[float, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Missing:
    """There is no effect to judge; reason says what is not there."""

    reason: str


@dataclass(frozen=True)
class Evidence:
    """A run's tables, with a clear word where something is not there, and the level of the intervals that decide."""

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


def effect_of_table(table: pd.DataFrame, level: float, scale: Scale = "pesq") -> Effect:
    """Mean over a table of one value an utterance (rows) and seed (columns): every effect of trainings on a score.

    The interval is over utterances, each averaged over seeds, for these trained networks; the seeds are kept beside
    it. Utterances that lack a value for some seed are dropped. Raises MissingEvidenceError where none is complete.
    """
    complete = table.dropna()
    if complete.empty:
        raise MissingEvidenceError("no utterance has a value for every seed that the arms share")
    effect = effect_of_values(complete.mean(axis=1), level, "utterances", scale)
    return replace(effect, by_seed=tuple(map(float, complete.mean(axis=0))))


def effect_of_values(values: ArrayLike, level: float, unit: str, scale: Scale = "pesq") -> Effect:
    """Mean of independent values (n,), NaN where missing, without seeds; MissingEvidenceError without values."""
    at_level, shown = cautious_interval(values, SEED, level), mean_interval(values, SEED, SHOWN_LEVEL)
    if not shown.n:
        raise MissingEvidenceError(f"there are no {unit} with a value")
    return Effect(shown.estimate, at_level.low, at_level.high, shown.low, shown.high, shown.n, unit, scale)


def effect_of_share(
    hits: ArrayLike, level: float, unit: str, seeds: ArrayLike | None = None, detail: str = ""
) -> Effect:
    """Share of true `hits` (n,) with its exact intervals, trials taken as independent.

    seeds (n,): of the training that each trial is from, where they are from trainings; then each seed's own share is
    kept. Raises MissingEvidenceError without trials.
    """
    hits = np.asarray(hits, dtype=bool)
    if not len(hits):
        raise MissingEvidenceError(f"there are no {unit} to count")
    at_level, shown = (
        proportion_interval(int(hits.sum()), len(hits), share) for share in (level, SHOWN_LEVEL)
    )
    shares = () if seeds is None else pd.Series(hits).groupby(np.asarray(seeds)).mean()
    bounds = (at_level.low, at_level.high, shown.low, shown.high)
    return Effect(shown.estimate, *bounds, len(hits), unit, "share", tuple(map(float, shares)), detail)


def transformed(effect: Effect, function: Callable[[float], float]) -> Effect:
    """The effect through an increasing function, interval bounds and seeds with it."""
    names = ("estimate", "low", "high", "low95", "high95")
    values = {name: float(function(getattr(effect, name))) for name in names}
    return replace(effect, **values, by_seed=tuple(float(function(value)) for value in effect.by_seed))
