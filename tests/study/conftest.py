"""A simulated run for all tests that only read it."""

import pytest

from cmgan.study.run_results import RunResults, load_run
from tests.simulated_run import simulate_run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> RunResults:
    """Two seeds of published, whose PESQ collapses, and normalised_target."""
    return load_run(simulate_run(tmp_path_factory.mktemp("results") / "run"))
