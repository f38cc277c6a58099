"""Effects that the claims take from the objective's minima. Nothing is trained: the units are clips."""

import pandas as pd

from cmgan.study.claims.effects import (
    Effect,
    Evidence,
    MissingEvidenceError,
    effect_of_share,
    effect_of_values,
)
from cmgan.study.objective.minima import DESCENT, SWEEP, starts_apart

MINIMA = "objective/minima.csv"


def descent_fall(run: Evidence, setting: str, start: str) -> Effect:
    """Highest PESQ on the way to an objective's minimum − PESQ at the minimum, by clip."""
    ends = _ends(run, DESCENT, setting, start)
    return effect_of_values(ends["pesq_peak"] - ends["pesq"], "clips")


def minimum_against_noisy(run: Evidence, setting: str) -> Effect:
    """PESQ at an objective's minimum, found from the noisy speech, − that of the noisy speech, by clip."""
    ends = _ends(run, DESCENT, setting, "noisy")
    return effect_of_values(ends["pesq"] - ends["pesq_start"], "clips")


def objective_at_peak(run: Evidence, setting: str) -> Effect:
    """Share of clips whose objective is lower at the minimum than where PESQ was highest on the way."""
    ends = _ends(run, DESCENT, setting, "noisy")
    return effect_of_share(ends["loss_total"] < ends["loss_peak"], "clips")


def minimum_difference(run: Evidence, of: str, against: str) -> Effect:
    """PESQ at the minimum of one swept setting − that of another, clip by clip."""
    ends = [_ends(run, SWEEP, setting, "noisy")["pesq"] for setting in (of, against)]
    return effect_of_values((ends[0] - ends[1]).dropna(), "clips")


def metric_effect(run: Evidence, weight: float, metric_input: str) -> Effect:
    """What the last frozen discriminator adds to the PESQ of the published objective's minimum, clip by clip."""
    table = _minima(run)
    swept = table[(table["part"] == SWEEP) & table["judge"].notna() & (table["judge"] != "")]
    wanted = f"metric={weight:g} reanalysed " if metric_input == "reanalysed" else f"metric={weight:g} "
    names = [name for name in swept["setting"].unique() if name.startswith(wanted)]
    names = [name for name in names if ("reanalysed" in name) == (metric_input == "reanalysed")]
    if not names:
        raise MissingEvidenceError("no discriminator of this run's trainings was kept")
    return minimum_difference(run, names[-1], "published")


def starts_meet(run: Evidence, setting: str, tolerance: float) -> Effect:
    """Share of clips whose minima from the noisy and from the clean speech differ by less than `tolerance` PESQ."""
    apart = starts_apart(_minima(run), setting)
    return effect_of_share(apart.abs() < tolerance, "clips")


def _minima(run: Evidence) -> pd.DataFrame:
    return run.table(MINIMA)


def _ends(run: Evidence, part: str, setting: str, start: str) -> pd.DataFrame:
    table = _minima(run)
    ends = table[(table["part"] == part) & (table["setting"] == setting) & (table["start"] == start)]
    if ends.empty:
        raise MissingEvidenceError(f"the objective {setting} was not minimised from the {start} speech")
    return ends.set_index("clip")
