"""Evidence from a run's files and from the published logs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cmgan.study.claims.effects import effect_of_share
from cmgan.study.claims.verdicts import Missing
from cmgan.study.run_results import load_run
from cmgan.study.silence.formulas import batch_share
from tests.simulated_run import simulate_run
from tests.study.claims.found_evidence import LEVEL, found


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("run") / "run"
    return load_run(simulate_run(root, ("published",), (0,), epochs=2, utterances=2, test_utterances=2))


def _with_file(results, tmp_path, name, frame):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False)
    return replace(results, root=tmp_path)


def test_zeros_are_counted_among_published_lines_that_could_show_a_skip(results):
    everything = found(results, "logged_zeros")
    small = found(results, "logged_zeros", below=0.001)
    authors = found(results, "logged_zeros", runs=["author-log"])
    assert (everything.estimate, everything.n) == (0.0, 81)
    assert (small.n, authors.n) == (13, 10)


def test_published_losses_in_the_healthy_band_are_those_of_good_runs(results):
    effect = found(results, "healthy_published_losses", least_pesq=2.9)
    assert (effect.estimate, effect.n) == (pytest.approx(1 / 65), 65)


def test_published_results_are_compared_once_a_run(results):
    effect = found(
        results, "published_results_difference", version="before-refactor", other_version="after-refactor"
    )
    before, after = [3.41, 2.943987, 3.28], [2.13, 2.2, 3.0, 2.0, 2.07]
    assert effect.n == len(before) + len(after)
    assert effect.estimate == pytest.approx(np.mean(before) - np.mean(after))


@pytest.fixture
def crops(results, tmp_path):
    frame = pd.DataFrame(
        {
            "crop_seconds": [2.0] * 10 + [0.5] * 5,
            "active_ms": [1000.0] * 8 + [0.0] * 2 + [400.0] * 5,
            "pesq": [2.0] * 8 + [np.nan] * 2 + [np.nan] + [2.0] * 4,
            "pesq_reason": [""] * 8 + ["silent_reference", "other"] + ["no_utterances"] + [""] * 4,
        }
    )
    return _with_file(results, tmp_path, "silence/crops.csv", frame)


def test_failing_batches_follow_from_the_crops_of_that_length(crops):
    effect = found(crops, "failing_batches", crop_seconds=2.0, batch_size=4)
    share = effect_of_share(2, 10, LEVEL, "crops")
    assert effect.estimate == pytest.approx(1 - 0.8**4)
    assert effect.high == pytest.approx(batch_share(share.high, 4))
    assert "3 s were not surveyed" in found(crops, "failing_batches", crop_seconds=3.0, batch_size=4).reason


def test_failing_crops_are_those_with_enough_speech(crops):
    assert found(crops, "failing_crops", least_speech_ms=500).estimate == 0.0
    assert found(crops, "failing_crops", least_speech_ms=400).estimate == pytest.approx(1 / 13)


def test_failures_are_counted_by_their_reason(crops):
    effect = found(crops, "failures_with_reason", reasons=["silent_reference", "no_utterances"])
    assert (effect.estimate, effect.n) == (pytest.approx(2 / 3), 3)


def test_failures_at_a_dose_are_those_of_one_side(results, tmp_path):
    frame = pd.DataFrame(
        {
            "dose_ms": [0, 0, 0, 100],
            "side": ["reference", "reference", "estimate", "reference"],
            "pesq": [np.nan, 2.0, 2.0, 2.0],
        }
    )
    run = _with_file(results, tmp_path, "silence/dose_response.csv", frame)
    assert found(run, "failures_at_dose", side="reference", dose_ms=0).estimate == 0.5


def test_the_change_by_level_is_the_largest_of_each_crop(results, tmp_path):
    frame = pd.DataFrame({"crop": [0, 0, 1, 1], "change": [0.1, -0.3, 0.1, np.nan]})
    effect = found(_with_file(results, tmp_path, "silence/levels.csv", frame), "level_change")
    assert (effect.estimate, effect.n) == (pytest.approx(0.2), 2)


def test_label_correlations_are_read_with_a_wider_interval(results, tmp_path):
    frame = pd.DataFrame(
        {
            "policy": ["batch_mean", "mask"],
            "batch_size": 4,
            "failure_rate": 0.56,
            "rank_correlation": [0.4, 1.0],
            "rank_correlation_low": [0.3, 1.0],
            "rank_correlation_high": [0.5, 1.0],
            "crops": 100,
        }
    )
    run = _with_file(results, tmp_path, "silence/label_policies.csv", frame)
    effect = found(run, "label_correlation", policy="batch_mean", batch_size=4, failure_rate=0.56)
    assert effect.low < effect.low95 == 0.3 < effect.estimate == 0.4
    assert isinstance(
        found(run, "label_correlation", policy="fill", batch_size=4, failure_rate=0.56), Missing
    )


def test_a_hidden_drop_shrinks_with_the_root_of_the_utterances(results, tmp_path):
    frame = pd.DataFrame({"utterance": ["a", "a", "b", "b"], "pesq": [2.0, 2.2, 3.0, 3.2]})
    run = _with_file(results, tmp_path, "silence/validation_noise.csv", frame)
    few, many = (found(run, "hidden_drop", utterances=count).estimate for count in (2, 200))
    assert few == pytest.approx(1.96 * np.sqrt(2 * 0.02 / 2))
    assert few / many == pytest.approx(10)


def test_processes_are_in_step_when_both_finish_with_equal_parameters(results, tmp_path):
    frame = pd.DataFrame(
        {
            "scenario": ["fine", "fine", "hung", "hung", "mixed", "mixed"],
            "finished": [True, True, True, False, True, True],
            "parameters_equal": True,
            "mispaired": [0, 0, 0, 0, 3, 3],
        }
    )
    run = _with_file(results, tmp_path, "evidence/rank_skip.csv", frame)
    out_of_step = {
        name: found(run, "desynchronised", scenario=name).estimate for name in ("fine", "hung", "mixed")
    }
    assert out_of_step == {"fine": 0.0, "hung": 1.0, "mixed": 1.0}
    assert found(run, "desynchronised", scenario="none").reason == "scenario none was not tried"


def test_rating_inflation_is_that_of_one_metric(results, tmp_path):
    frame = pd.DataFrame({"metric": ["csig", "csig", "cbak"], "inflation": [0.2, 0.4, 9.0]})
    run = _with_file(results, tmp_path, "evidence/composite_inflation.csv", frame)
    assert found(run, "rating_inflation", metric="csig").estimate == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("function", "arguments", "file"),
    [
        ("failing_batches", {"crop_seconds": 2.0, "batch_size": 4}, "silence/crops.csv"),
        ("failures_at_dose", {"side": "both", "dose_ms": 0}, "silence/dose_response.csv"),
        ("hidden_drop", {"utterances": 3}, "silence/validation_noise.csv"),
        ("rating_inflation", {"metric": "csig"}, "evidence/composite_inflation.csv"),
        ("desynchronised", {"scenario": "x"}, "evidence/rank_skip.csv"),
    ],
)
def test_a_missing_file_is_named(results, function, arguments, file):
    assert found(results, function, **arguments) == Missing(f"{file} was not written")


def test_a_file_without_rows_is_missing_evidence(results, tmp_path):
    run = _with_file(results, tmp_path, "silence/levels.csv", pd.DataFrame({"crop": [], "change": []}))
    assert found(run, "level_change") == Missing("silence/levels.csv has no rows")
