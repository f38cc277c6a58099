"""One judged run for all tests of the claims."""

import pytest

from cmgan.study.claims.verdicts import JudgedRun, judge_run
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run


@pytest.fixture(scope="package")
def judged(tmp_path_factory) -> JudgedRun:
    """A simulated run in which the un-normalised time target alone lets PESQ collapse."""
    arms = ("published", "masked_labels", "normalised_target", "normalised_skip_56", "skip_56")
    root = simulate_run(
        tmp_path_factory.mktemp("run") / "run", arms, (0, 1, 2), epochs=17, utterances=12, test_utterances=24
    )
    return judge_run(load_run(root))
