"""What a claim's evidence function finds in a run."""

from cmgan.study.claim_evidence import find
from cmgan.study.evidence import Evidence
from cmgan.study.run_results import RunResults
from cmgan.study.verdicts import Effect, Missing

LEVEL = 0.99


def found(results: RunResults, function: str, **arguments: object) -> Effect | Missing:
    """The effect at LEVEL, or what it lacks."""
    return find(Evidence(results, LEVEL), function, arguments)
