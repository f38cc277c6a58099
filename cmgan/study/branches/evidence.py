"""Effects that the claims take from branches of trunks: one value a seed, differences within the same trunk."""

import pandas as pd

from cmgan.study.branches.tables import TRUNK, differences
from cmgan.study.effects import Effect, Evidence, MissingEvidenceError, effect_of_seeds

ENDPOINTS = "branches/endpoints.csv"


def branch_difference(run: Evidence, trunk: str, first: str, second: str) -> Effect:
    """PESQ of the branch `first` at its end − that of the branch `second` of the same trunk."""
    return effect_of_seeds(_differences(run, trunk, first, second))


def branch_fall(run: Evidence, trunk: str, arm: str) -> Effect:
    """PESQ of the trunk at the switch − that of its branch `arm` at its end."""
    return effect_of_seeds(-_differences(run, trunk, arm, TRUNK))


def branch_change(run: Evidence, trunk: str, arm: str, quantity: str) -> Effect:
    """Relative change of `quantity` (gain, inconsistency, objective) from the switch to the branch's end."""
    ends = _endpoints(run)
    at_switch = ends[(ends["trunk"] == trunk) & (ends["arm"] == TRUNK)].set_index("seed")[quantity]
    change = _differences(run, trunk, arm, TRUNK, quantity) / at_switch
    return effect_of_seeds(change.dropna(), "relative")


def _endpoints(run: Evidence) -> pd.DataFrame:
    try:
        return run.table(ENDPOINTS)
    except MissingEvidenceError:
        raise MissingEvidenceError("this run trained no branches") from None


def _differences(run: Evidence, trunk: str, first: str, second: str, measure: str = "pesq") -> pd.Series:
    found = differences(_endpoints(run), trunk, first, second, measure=measure)
    if found.empty:
        raise MissingEvidenceError(
            f"from a trunk of {trunk}, {first} was not trained for a seed that has {second}"
        )
    return found
