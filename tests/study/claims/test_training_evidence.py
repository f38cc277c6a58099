"""Each evidence function on a small frame whose answer is known by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cmgan.recipe import Budget
from cmgan.study.claims.effects import welch_effect
from cmgan.study.claims.evidence_functions import check_call
from cmgan.study.claims.verdicts import Effect, Missing
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run
from tests.study.claims.found_evidence import LEVEL, found


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("run") / "run"
    simulate_run(root, ("published", "normalised_target"), (0, 1), epochs=6, utterances=4, test_utterances=4)
    return load_run(root)


def _evaluation(**arms):
    rows = [
        {"arm": arm, "seed": seed, "id": f"t{number}", "pesq": pesq, "gain": pesq / 10}
        for arm, seeds in arms.items()
        for seed, scores in enumerate(seeds)
        for number, pesq in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def _validation(curves, loss=None):
    """curves: PESQ (epochs, utterances) of each seed; loss: magnitude and total loss of each epoch."""
    loss = loss or [1.0] * len(curves[0])
    rows = [
        {"arm": "published", "seed": seed, "epoch": epoch, "id": f"v{number}", "pesq": pesq}
        | {"loss_magnitude": loss[epoch - 1], "loss_total": loss[epoch - 1]}
        for seed, curve in enumerate(curves)
        for epoch, scores in enumerate(curve, 1)
        for number, pesq in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def test_final_differences_are_paired_by_utterance_and_seed(results):
    evaluation = _evaluation(first=[[2.0, 3.0], [2.2, 3.2]], second=[[1.5, 2.5], [1.5, 2.5]])
    effect = found(
        replace(results, evaluation=evaluation), "final_difference", first="first", second="second"
    )
    assert effect.estimate == pytest.approx(0.6)
    assert effect.by_seed == pytest.approx((0.5, 0.7))
    assert (effect.n, effect.unit, effect.scale) == (2, "utterances", "pesq")


def test_an_utterance_without_a_score_for_some_seed_is_left_out_of_a_difference(results):
    evaluation = _evaluation(first=[[2.0, 3.0], [2.0, np.nan]], second=[[1.0, 1.0], [1.0, 1.0]])
    effect = found(
        replace(results, evaluation=evaluation), "final_difference", first="first", second="second"
    )
    assert (effect.estimate, effect.n) == (1.0, 1)


def test_arms_without_a_common_seed_give_a_reason_not_an_error(results):
    evaluation = _evaluation(first=[[2.0]], second=[[1.0]])
    evaluation.loc[evaluation["arm"] == "second", "seed"] = 7
    missing = found(
        replace(results, evaluation=evaluation), "final_difference", first="first", second="second"
    )
    assert isinstance(missing, Missing)


def test_the_best_arm_is_named_and_set_against_the_baseline(results):
    evaluation = _evaluation(
        published=[[1.0, 1.2]], other=[[1.3, 1.5]], better=[[2.0, 2.2]], noisy=[[4.0, 4.0]]
    )
    effect = found(replace(results, evaluation=evaluation), "best_difference", baseline="published")
    assert (effect.detail, effect.estimate) == ("better", pytest.approx(1.0))


def test_a_run_of_the_baseline_alone_has_no_best_other_arm(results):
    alone = replace(results, evaluation=_evaluation(published=[[1.0, 1.2]], noisy=[[1.0, 1.0]]))
    assert found(alone, "best_difference", baseline="published") == Missing("no arm but published was run")


def test_final_means_are_over_utterances_and_seeds(results):
    evaluation = _evaluation(published=[[1.0, 2.0], [2.0, 3.0]])
    effect = found(replace(results, evaluation=evaluation), "final_mean", arm="published", metric="gain")
    assert effect.estimate == pytest.approx(0.2)
    assert effect.by_seed == pytest.approx((0.15, 0.25))


def test_the_fall_is_from_the_peak_to_the_last_epoch(results):
    curve = [[1.0, 2.0], [2.0, 3.0], [1.5, 2.5]]
    run = replace(results, validation=_validation([curve, curve]))
    effect = found(run, "fall_from_peak", arm="published")
    assert effect.estimate == pytest.approx(0.5)
    assert effect.by_seed == pytest.approx((0.5, 0.5))


def test_one_epoch_shows_no_fall_and_no_steadiness(results):
    run = replace(results, validation=_validation([[[1.0, 2.0]]]))
    assert "nothing to fall from" in found(run, "fall_from_peak", arm="published").reason


def test_validation_is_compared_after_the_last_epoch(results):
    rows = _validation([[[1.0, 2.0], [2.0, 4.0]]])
    both = pd.concat([rows, rows.assign(arm="other", pesq=rows["pesq"] / 2)])
    run = replace(results, validation=both)
    call = {"first": "published", "second": "other", "quantity": "pesq"}
    assert found(run, "validation_difference", **call).estimate == pytest.approx(1.5)
    assert found(run, "validation_ratio", **call).estimate == pytest.approx(1.0)


def test_changes_while_falling_are_relative_and_need_a_fall(results):
    falling = [[1.0] * 4, [3.0] * 4, [2.0] * 4]
    run = replace(results, validation=_validation([falling, falling], loss=[3.0, 2.0, 1.5]))
    call = {"arm": "published", "quantity": "loss_magnitude"}
    assert found(run, "change_while_falling", **call).estimate == pytest.approx(-0.25)
    steady = replace(results, validation=_validation([falling[:2]]))
    assert "did not certainly fall" in found(steady, "change_while_falling", **call).reason


def test_early_stopping_is_replayed_on_loss_and_on_pesq(results):
    curve = [[1.0, 1.0], [3.0, 3.0], [2.5, 2.5], [2.0, 2.0], [1.0, 1.0]]
    run = replace(results, validation=_validation([curve, curve], loss=[5.0, 4.0, 3.0, 2.0, 1.0]))
    call = {"arm": "published", "patience": 2}
    assert found(run, "early_stopping_gain", criterion="pesq", **call).estimate == pytest.approx(1.0)
    assert found(run, "early_stopping_gain", criterion="loss", **call).estimate == pytest.approx(0.0)


def test_a_patience_as_long_as_the_training_cannot_be_replayed(results):
    missing = found(results, "early_stopping_gain", arm="published", criterion="loss", patience=6)
    assert missing.reason.startswith("a patience of 6 cannot stop a training of 6 epochs")


def _steps(results, **columns):
    length = len(next(iter(columns.values())))
    frame = pd.DataFrame({"arm": "published", "seed": np.arange(length) % 2, "epoch": 1} | columns)
    return replace(results, steps=frame)


def test_steps_above_a_limit_count_any_of_the_columns_and_no_empty_steps(results):
    run = _steps(results, a=[1.0, 9.0, 1.0, np.nan], b=[9.0, 1.0, 1.0, np.nan])
    effect = found(run, "steps_above", arm="published", columns=["a", "b"], limit=5.0)
    assert (effect.estimate, effect.n) == (pytest.approx(2 / 3), 3)
    assert effect.by_seed == pytest.approx((0.5, 1.0))


def test_skipped_steps_are_counted_for_arms_that_skip(results):
    run = _steps(results, discriminator_skipped=[True, False, False, False])
    effect = found(run, "steps_skipped", arm="published")
    assert (effect.estimate, effect.by_seed) == (0.25, (0.5, 0.0))
    assert "never skips" in found(run, "steps_skipped", arm="masked_labels").reason


def test_healthy_losses_are_those_of_held_arms_late_in_training(results):
    steady = [[[2.0] * 4] * 4] * 2
    run = _steps(results, loss_discriminator=[0.1, 0.1, 0.1, 0.001])
    run = replace(run, steps=run.steps.assign(epoch=[1, 3, 4, 4]), validation=_validation(steady))
    effect = found(run, "healthy_losses_of_held_arms")
    assert (effect.estimate, effect.n, effect.detail) == (pytest.approx(2 / 3), 3, "published")


def test_the_published_scale_is_asked_of_the_budget(results):
    call = {"arm": "published", "metric": "pesq"}
    assert "channels 16 instead of 64" in found(results, "final_mean_at_published_scale", **call).reason
    published = json.loads(json.dumps(vars(Budget())))
    configs = {key: {"budget": published} for key in results.configs}
    full = replace(results, configs=configs)
    assert isinstance(found(full, "final_mean_at_published_scale", **call), Effect)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("final_difference", {"first": "published", "second": "skip_56"}),
        ("final_mean", {"arm": "skip_56", "metric": "pesq"}),
        ("fall_from_peak", {"arm": "skip_56"}),
        ("steps_above", {"arm": "skip_56", "columns": ["gain"], "limit": 1.0}),
        ("steps_skipped", {"arm": "skip_56"}),
    ],
)
def test_a_missing_arm_is_named(results, function, arguments):
    assert found(results, function, **arguments) == Missing("arm skip_56 was not run")


def test_calls_are_checked_against_the_functions():
    check_call("fall_from_peak", {"arm": "published"})
    with pytest.raises(ValueError, match="unknown evidence"):
        check_call("fall", {})
    with pytest.raises(ValueError, match="fall_from_peak"):
        check_call("fall_from_peak", {"arms": "published"})


def test_two_groups_need_two_values_each_and_give_welchs_interval():
    effect = welch_effect([3.0, 3.2, 3.4], [2.0, 2.2], LEVEL, "results")
    assert effect.estimate == pytest.approx(1.1)
    assert effect.low < effect.low95 < 1.1 - MARGIN_PESQ
    with pytest.raises(LookupError, match="fewer than two"):
        welch_effect([3.0], [2.0, 2.2], LEVEL, "results")
