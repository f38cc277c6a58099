"""Effects that the claims take from the objective's minima. Nothing is trained: the units are clips."""

import pandas as pd

from cmgan.study.effects import (
    Effect,
    Evidence,
    MissingEvidenceError,
    effect_of_share,
    effect_of_values,
)
from cmgan.study.objective.minima import DESCENT, SWEEP, ends_of, starts_apart

MINIMA = "objective/minima.csv"


def descent_fall(run: Evidence, setting: str, start: str) -> Effect:
    """Highest PESQ on the way to an objective's minimum − PESQ at the minimum, by clip."""
    ends = _ends(run, DESCENT, setting, start)
    return effect_of_values(ends["pesq_peak"] - ends["pesq"], "clips")


def minimum_against_noisy(run: Evidence, setting: str) -> Effect:
    """PESQ at an objective's minimum, found from the noisy speech, − that of the noisy speech, by clip."""
    ends = _ends(run, DESCENT, setting)
    return effect_of_values(ends["pesq"] - ends["pesq_start"], "clips")


def objective_at_peak(run: Evidence, setting: str) -> Effect:
    """Share of clips whose objective is lower at the minimum than where PESQ was highest on the way."""
    ends = _ends(run, DESCENT, setting)
    return effect_of_share(ends["loss_total"] < ends["loss_peak"], "clips")


def minimum_difference(run: Evidence, of: str, against: str) -> Effect:
    """PESQ at the minimum of one swept setting − that of another, clip by clip."""
    difference = _ends(run, SWEEP, of)["pesq"] - _ends(run, SWEEP, against)["pesq"]
    return effect_of_values(difference.dropna(), "clips")


def metric_effect(run: Evidence, weight: float, metric_input: str) -> Effect:
    """What the last frozen discriminator adds to the PESQ of the published objective's minimum, clip by clip."""
    waveform = metric_input == "reanalysed"
    names = [
        name
        for name in run.table(MINIMA)["setting"].unique()
        if name.startswith(f"metric={weight:g} ") and (" reanalysed " in name) == waveform
    ]
    if not names:
        raise MissingEvidenceError("no discriminator of this run's trainings was kept")
    return minimum_difference(run, names[-1], "published")


def starts_meet(run: Evidence, setting: str, tolerance: float) -> Effect:
    """Share of clips whose minima from the noisy and from the clean speech differ by less than `tolerance` PESQ."""
    apart = starts_apart(run.table(MINIMA), setting)
    return effect_of_share(apart.abs() < tolerance, "clips")


def _ends(run: Evidence, part: str, setting: str, start: str = "noisy") -> pd.DataFrame:
    ends = ends_of(run.table(MINIMA), part, setting, start)
    if ends.empty:
        raise MissingEvidenceError(f"the objective {setting} was not minimised from the {start} speech")
    return ends
