import shutil

import pytest

from cmgan.study.run_results import NOISY, load_run
from tests.simulated_run import simulate_run

ARMS = ("published", "recommended")


@pytest.fixture
def run(tmp_path):
    return simulate_run(tmp_path / "tiny", ARMS, seeds=(0, 1), epochs=2, utterances=2, test_utterances=3)


def test_without_names_everything_trained_is_loaded_in_the_order_of_the_arms(run):
    results = load_run(run)
    assert (results.arms, results.seeds) == (ARMS, (0, 1))
    assert list(results.epochs["arm"].unique()) == list(ARMS)
    assert set(results.configs) == {(arm, seed) for arm in ARMS for seed in (0, 1)}


def test_the_given_order_of_arms_is_kept_in_every_table(run):
    results = load_run(run, ["recommended", "published"], [1, 0])
    for frame in (results.steps, results.epochs, results.validation):
        assert list(frame["arm"].unique()) == ["recommended", "published"]
        assert list(frame["seed"].unique()) == [1, 0]
    assert list(results.evaluation["arm"].unique()) == [NOISY, "recommended", "published"]


def test_every_row_of_every_file_is_there_once(run):
    results = load_run(run)
    assert len(results.validation) == len(ARMS) * 2 * 2 * 2
    assert len(results.evaluation) == 3 * (len(ARMS) * 2 + 1)


@pytest.mark.parametrize(
    ("arms", "seeds", "named"),
    [
        (["published", "normalised_target"], [0], "normalised_target-0"),
        (["normalised_target"], [], "normalised_target"),
        ([], [7], "seed 7"),
    ],
)
def test_an_arm_or_seed_that_was_not_trained_is_named_with_what_to_run(run, arms, seeds, named):
    with pytest.raises(FileNotFoundError, match=named) as caught:
        load_run(run, arms, seeds)
    assert "04_training" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_evaluation_is_named_with_what_to_run(run):
    (run / "evaluation" / "published-1.csv").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"published-1\.csv is missing: run 05_evaluation for arm published"
    ):
        load_run(run)


def test_a_run_without_training_says_so(run):
    shutil.rmtree(run / "training")
    with pytest.raises(FileNotFoundError, match="make study"):
        load_run(run)


def test_an_empty_log_is_named_with_what_to_do(run):
    log = run / "training" / "published-0" / "steps.csv"
    log.write_text("")
    with pytest.raises(ValueError, match=r"steps\.csv cannot be read") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)
