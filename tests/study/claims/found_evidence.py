"""What a claim's evidence function finds in a run."""

from cmgan.study.claims.evidence import Evidence
from cmgan.study.claims.evidence_functions import find
from cmgan.study.claims.verdicts import Effect, Missing
from cmgan.study.run_results import RunResults

LEVEL = 0.99


def found(results: RunResults, function: str, **arguments: object) -> Effect | Missing:
    """The effect at LEVEL, or what it lacks."""
    return find(Evidence(results, LEVEL), function, arguments)
