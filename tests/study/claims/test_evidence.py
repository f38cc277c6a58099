"""Each evidence function on a small frame whose answer is known by hand, and on the published logs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cmgan.recipe import Budget
from cmgan.statistics import batch_share
from cmgan.study.claims.rules import Prediction
from cmgan.study.effects import (
    Effect,
    Evidence,
    Missing,
    Rule,
    effect_of_share,
    effect_of_values,
    transformed,
)
from cmgan.study.run_results import RunResults, load_run, pooled
from tests.simulated_run import simulate_run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("run") / "run"
    simulate_run(root, ("published", "normalised_target"), (0, 1), epochs=6, utterances=4, test_utterances=4)
    return load_run(root)


def found(results: RunResults, function: str, **arguments: object) -> Effect | Missing:
    """The effect, or what it lacks."""
    return Prediction("C00a", "", function, arguments, Rule("above", 0.0)).find(Evidence(results))


def _evaluated(results, **arms):
    """The run with these final PESQ (seeds, utterances) of each arm."""
    rows = [
        {"arm": arm, "seed": seed, "id": f"t{number}", "pesq": pesq, "gain": pesq / 10}
        for arm, seeds in arms.items()
        for seed, scores in enumerate(seeds)
        for number, pesq in enumerate(scores)
    ]
    return replace(results, evaluation=pd.DataFrame(rows))


def _compared(results, loss=None, **arms):
    """The run with these validation PESQ (seeds, epochs, utterances) of each arm; loss: of each epoch."""
    rows = [
        {"arm": arm, "seed": seed, "epoch": epoch, "id": f"v{number}", "pesq": pesq}
        for arm, seeds in arms.items()
        for seed, curve in enumerate(seeds)
        for epoch, scores in enumerate(curve, 1)
        for number, pesq in enumerate(scores)
    ]
    frame = pd.DataFrame(rows)
    losses = frame["epoch"].map(dict(enumerate(loss, 1))) if loss else 1.0
    frame = frame.assign(loss_magnitude=losses, loss_total=losses)
    epochs = frame.groupby(["arm", "seed", "epoch"], as_index=False).mean(numeric_only=True)
    return replace(results, validation=frame, epochs=epochs)


def _stepped(results, **columns):
    """The run with these steps, of two seeds in turn."""
    length = len(next(iter(columns.values())))
    frame = pd.DataFrame({"arm": "published", "seed": np.arange(length) % 2, "epoch": 1} | columns)
    return replace(results, steps=frame)


def _with_file(results, tmp_path, name, **columns):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)
    return replace(results, root=tmp_path)


def test_final_differences_are_of_the_last_three_epochs_paired_by_seed(results):
    first = [
        [[9.0, 9.0], [2.0, 3.0], [2.2, 3.2], [2.4, 3.4]],
        [[9.0, 9.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0]],
    ]
    run = _compared(results, first=first, second=[[[1.5, 2.5]] * 4] * 2)
    effect = found(run, "final_difference", first="first", second="second")
    assert effect.by_seed == pytest.approx((0.7, 0.5))
    assert effect.estimate == pytest.approx(0.6)
    assert (effect.n, effect.unit, effect.scale) == (2, "seeds", "pesq")


def test_an_utterance_without_a_score_is_left_out_of_its_seed_s_difference(results):
    run = _compared(results, first=[[[2.0, np.nan]]], second=[[[1.0, 0.0]]])
    assert found(run, "final_difference", first="first", second="second").estimate == 1.0


def test_arms_without_a_common_seed_give_a_reason_not_an_error(results):
    run = _compared(results, first=[[[2.0]]], second=[[[1.0]]])
    run.validation.loc[run.validation["arm"] == "second", "seed"] = 7
    assert "share no seed" in found(run, "final_difference", first="first", second="second").reason


def test_arms_that_never_differ_compare_nothing(results):
    run = _compared(results, first=[[[2.0]]] * 2, second=[[[2.0]]] * 2)
    assert "never acted" in found(run, "final_difference", first="first", second="second").reason


def test_a_comparison_that_needs_larger_batches_is_missing_without_them(results):
    call = {"first": "published", "second": "normalised_target"}
    assert isinstance(found(results, "final_difference", **call, least_batch=2), Effect)
    assert "takes 3 or more" in found(results, "final_difference", **call, least_batch=3).reason


def test_the_best_arm_is_named_and_set_against_the_baseline(results):
    arms = {"published": [[[1.0, 1.2]]], "other": [[[1.3, 1.5]]], "better": [[[2.0, 2.2]]]}
    effect = found(_compared(results, **arms), "best_difference", baseline="published")
    assert (effect.detail, effect.estimate) == ("better", pytest.approx(1.0))
    alone = _compared(results, published=arms["published"])
    assert found(alone, "best_difference", baseline="published") == Missing("no arm but published was run")


def test_final_means_are_over_utterances_and_seeds(results):
    run = _evaluated(results, published=[[1.0, 2.0], [2.0, 3.0]])
    effect = found(run, "final_mean", arm="published", metric="gain")
    assert effect.estimate == pytest.approx(0.2)
    assert effect.by_seed == pytest.approx((0.15, 0.25))


def test_the_fall_is_from_the_peak_to_the_last_epoch(results):
    curve = [[1.0, 2.0], [2.0, 3.0], [1.5, 2.5]]
    effect = found(_compared(results, published=[curve, curve]), "fall_from_peak", arm="published")
    assert effect.estimate == pytest.approx(0.5)
    assert effect.by_seed == pytest.approx((0.5, 0.5))


def test_one_epoch_shows_no_fall_and_no_steadiness(results):
    run = _compared(results, published=[[[1.0, 2.0]]])
    assert "nothing to fall from" in found(run, "fall_from_peak", arm="published").reason


def test_validation_is_compared_over_the_last_epochs(results):
    rows = _compared(results, published=[[[1.0, 2.0], [2.0, 4.0]]]).validation
    both = pd.concat([rows, rows.assign(arm="other", pesq=rows["pesq"] / 2)])
    run = replace(results, validation=both)
    call = {"first": "published", "second": "other", "quantity": "pesq"}
    assert found(run, "validation_difference", **call).estimate == pytest.approx(9 / 8)
    assert found(run, "validation_ratio", **call).estimate == pytest.approx(1.0)


def test_changes_while_falling_are_relative_and_need_a_fall(results):
    falling = [[1.0] * 4, [3.0] * 4, [2.0] * 4]
    run = _compared(results, loss=[3.0, 2.0, 1.5], published=[falling, falling])
    call = {"arm": "published", "quantity": "loss_magnitude"}
    assert found(run, "change_while_falling", **call).estimate == pytest.approx(-0.25)
    steady = _compared(results, published=[falling[:2]])
    assert "did not certainly fall" in found(steady, "change_while_falling", **call).reason


def test_early_stopping_is_replayed_where_it_stops(results):
    curve = [[1.0, 1.0], [3.0, 3.0], [2.5, 2.5], [2.0, 2.0], [1.0, 1.0]]
    run = _compared(results, loss=[5.0, 4.0, 3.0, 2.0, 1.0], published=[curve, curve])
    call = {"arm": "published", "patience": 2}
    assert found(run, "early_stopping_gain", criterion="pesq", **call).estimate == pytest.approx(1.0)
    missing = found(run, "early_stopping_gain", criterion="loss", **call)
    assert "stopped no training of published" in missing.reason


def test_steps_above_a_limit_count_any_of_the_columns_and_no_empty_steps(results):
    run = _stepped(results, a=[1.0, 9.0, 1.0, np.nan, np.nan], b=[9.0, 1.0, 1.0, np.nan, 1.0])
    effect = found(run, "steps_above", arm="published", columns=["a", "b"], limit=5.0)
    assert effect.by_seed == pytest.approx((1 / 3, 1.0))
    assert (effect.estimate, effect.n, effect.unit) == (pytest.approx(2 / 3), 2, "seeds")


def test_skipped_steps_are_counted_for_arms_that_skip(results):
    run = _stepped(results, discriminator_skipped=[True, False, False, False])
    effect = found(run, "steps_skipped", arm="published")
    assert (effect.estimate, effect.n, effect.unit) == (0.25, 4, "steps")
    assert "never skips" in found(run, "steps_skipped", arm="masked_labels").reason


def test_healthy_losses_are_those_of_held_arms_late_in_training(results):
    steps = _stepped(results, loss_discriminator=[0.1, 0.1, 0.1, 0.001]).steps.assign(epoch=[1, 3, 4, 4])
    run = replace(_compared(results, published=[[[2.0] * 4] * 4] * 2), steps=steps)
    effect = found(run, "healthy_losses_of_held_arms")
    assert (effect.estimate, effect.n, effect.detail) == (pytest.approx(3 / 4), 2, "published")


def test_the_published_scale_is_asked_of_the_budget(results):
    call = {"arm": "published", "metric": "pesq"}
    assert "channels 16 instead of 64" in found(results, "final_mean_at_published_scale", **call).reason
    full = replace(results, configs={key: {"budget": vars(Budget())} for key in results.configs})
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


def test_zeros_are_counted_among_published_lines_that_could_show_a_skip(results):
    everything = found(results, "logged_zeros")
    small = found(results, "logged_zeros", below=0.001)
    authors = found(results, "logged_zeros", runs=["author-log"])
    assert (everything.estimate, everything.n) == (0.0, 81)
    assert (small.n, authors.n) == (13, 10)


def test_published_losses_in_the_healthy_band_are_those_of_good_runs(results):
    effect = found(results, "healthy_published_losses", least_pesq=2.9)
    assert (effect.estimate, effect.n) == (pytest.approx(1 / 65), 65)


def test_published_results_are_compared_once_a_run_and_need_two_in_each_group(results):
    call = {"version": "before-refactor", "other_version": "after-refactor"}
    effect = found(results, "published_results_difference", **call)
    before, after = [3.41, 2.943987, 3.28], [2.13, 2.2, 3.0, 2.0, 2.07]
    assert effect.n == len(before) + len(after)
    assert effect.estimate == pytest.approx(np.mean(before) - np.mean(after))
    # Welch's interval by hand: standard error and Satterthwaite's degrees of freedom.
    parts = [np.var(values, ddof=1) / len(values) for values in (before, after)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 4)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    assert effect.high - effect.estimate == pytest.approx(reach)
    assert effect.test(effect.low)[0] == pytest.approx(0.025)
    missing = found(results, "published_results_difference", **call | {"version": "never"})
    assert missing == Missing("fewer than two published results in one of the groups")


@pytest.fixture
def crops(results, tmp_path):
    return _with_file(
        results,
        tmp_path,
        "silence/crops.csv",
        crop_seconds=[2.0] * 10 + [0.5] * 5,
        active_ms=[1000.0] * 8 + [0.0] * 2 + [400.0] * 5,
        pesq=[2.0] * 8 + [np.nan] * 2 + [np.nan] + [2.0] * 4,
        pesq_reason=[""] * 8 + ["silent_reference", "other"] + ["no_utterances"] + [""] * 4,
    )


def test_failing_batches_follow_from_the_crops_of_that_length(crops):
    effect = found(crops, "failing_batches", crop_seconds=2.0, batch_size=4)
    share = effect_of_share([True] * 2 + [False] * 8, "crops")
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
    sides = ["reference", "reference", "estimate", "reference"]
    columns = {"dose_ms": [0, 0, 0, 100], "side": sides, "pesq": [np.nan, 2.0, 2.0, 2.0]}
    run = _with_file(results, tmp_path, "silence/dose_response.csv", **columns)
    assert found(run, "failures_at_dose", side="reference", dose_ms=0).estimate == 0.5


def test_the_change_by_level_is_the_largest_of_each_crop(results, tmp_path):
    columns = {"crop": [0, 0, 1, 1], "change": [0.1, -0.3, 0.1, np.nan]}
    effect = found(_with_file(results, tmp_path, "silence/levels.csv", **columns), "level_change")
    assert (effect.estimate, effect.n) == (pytest.approx(0.2), 2)


def test_label_correlations_are_read_with_their_interval(results, tmp_path):
    run = _with_file(
        results,
        tmp_path,
        "silence/label_policies.csv",
        policy=["batch_mean", "mask"],
        batch_size=4,
        failure_rate=0.56,
        rank_correlation=[0.4, 1.0],
        rank_correlation_low=[0.3, 1.0],
        rank_correlation_high=[0.5, 1.0],
        crops=100,
    )
    call = {"batch_size": 4, "failure_rate": 0.56}
    effect = found(run, "label_correlation", policy="batch_mean", **call)
    assert (effect.low, effect.estimate, effect.high) == (0.3, 0.4, 0.5)
    assert effect.test(0.3)[0] == pytest.approx(0.025)
    certain = found(run, "label_correlation", policy="mask", **call)
    assert certain.test(0.5)[0] == 0
    assert isinstance(found(run, "label_correlation", policy="fill", **call), Missing)


def test_a_hidden_drop_shrinks_with_the_root_of_the_utterances(results, tmp_path):
    columns = {"utterance": ["a", "a", "b", "b", "c", "c"], "repeat": [0, 1] * 3}
    # c is b under another name.
    scores = {"pesq": [2.0, 2.2, 3.0, 3.2, 5.0, 9.0], "whole_pesq": [2.5] * 2 + [3.5] * 4}
    run = _with_file(results, tmp_path, "silence/validation_noise.csv", **columns, **scores)
    few, many = (found(run, "hidden_drop", utterances=count).estimate for count in (2, 200))
    assert few == pytest.approx(1.96 * np.sqrt(2 * 0.02 / 2))
    assert few / many == pytest.approx(10)


def test_processes_are_in_step_when_both_finish_with_equal_parameters(results, tmp_path):
    run = _with_file(
        results,
        tmp_path,
        "evidence/rank_skip.csv",
        scenario=["fine", "fine", "hung", "hung", "mixed", "mixed"],
        finished=[True, True, True, False, True, True],
        parameters_equal=True,
        mispaired=[0, 0, 0, 0, 3, 3],
    )
    effects = [found(run, "desynchronised", scenario=name) for name in ("fine", "hung", "mixed")]
    assert [(effect.estimate, effect.low, effect.high) for effect in effects] == [
        (0,) * 3,
        (1,) * 3,
        (1,) * 3,
    ]
    assert found(run, "desynchronised", scenario="none").reason == "scenario none was not tried"


def test_rating_inflation_is_that_of_one_metric(results, tmp_path):
    columns = {"metric": ["csig", "csig", "cbak"], "inflation": [0.2, 0.4, 9.0]}
    run = _with_file(results, tmp_path, "evidence/composite_inflation.csv", **columns)
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
    run = _with_file(results, tmp_path, "silence/levels.csv", crop=[], change=[])
    assert found(run, "level_change") == Missing("silence/levels.csv has no rows")


def test_an_interval_holds_what_neither_side_of_the_test_rejects():
    values = np.random.default_rng(1).gamma(2, 1, 30)
    for effect in (
        effect_of_values(values, "utterances"),
        effect_of_values(values[:4], "utterances"),
        effect_of_share([True] * 3 + [False] * 37, "steps"),
        transformed(effect_of_values(values, "utterances"), np.sqrt, np.square),
    ):
        assert effect.low < effect.estimate < effect.high
        assert effect.test(effect.low)[0] == pytest.approx(0.025)
        assert effect.test(effect.high)[1] == pytest.approx(0.025)


def test_failures_put_there_on_purpose_are_not_counted_as_failures_of_pesq(results):
    columns = {"pesq_failures": [1, 1, 0, 2], "failure_injected": [1, 0, 0, 0]}
    run = _stepped(
        results, loss_discriminator=[np.nan, 0.1, 0.1, np.nan], discriminator_skipped=False, **columns
    )
    effect = found(run, "failed_steps")
    assert (effect.estimate, effect.n) == (0.5, 2)


def test_a_fall_that_was_published_is_that_of_one_run(results):
    effect = found(results, "published_fall", beginning="user run after batch-mean fix")
    assert effect.estimate == pytest.approx(2.72 - 2.18)
    assert isinstance(found(results, "published_fall", beginning="reproducer"), Missing)


def test_inflated_files_are_counted_by_sign(results, tmp_path):
    columns = {"metric": ["csig"] * 4 + ["cbak"], "inflation": [0.2, 0.001, -0.1, np.nan, 9.0]}
    run = _with_file(results, tmp_path, "evidence/composite_inflation.csv", **columns)
    effect = found(run, "inflated_files", metric="csig")
    assert (effect.estimate, effect.n) == (pytest.approx(2 / 3), 3)


@pytest.fixture
def branched(results, tmp_path):
    arms = ["trunk", "normalised_target", "published"] * 2
    return _with_file(
        results,
        tmp_path,
        "branches/endpoints.csv",
        trunk="normalised_target",
        arm=arms,
        seed=[0] * 3 + [1] * 3,
        pesq=[2.0, 2.2, 1.8, 2.1, 2.3, 1.7],
        objective=[0.20, 0.21, 0.15, 0.20, 0.20, 0.17],
    )


def test_branches_are_compared_within_their_trunk_and_seed(branched):
    call = {"trunk": "normalised_target"}
    apart = found(branched, "branch_difference", **call, first="normalised_target", second="published")
    assert apart.by_seed == pytest.approx((0.4, 0.6))
    assert found(branched, "branch_fall", **call, arm="published").by_seed == pytest.approx((0.2, 0.4))
    change = found(branched, "branch_change", **call, arm="published", quantity="objective")
    assert change.by_seed == pytest.approx((-0.25, -0.15))
    assert change.scale == "relative"


def test_a_branch_that_was_not_trained_is_named(branched):
    call = {"trunk": "normalised_target", "first": "normalised_skip_90", "second": "published"}
    assert "normalised_skip_90 was not trained" in found(branched, "branch_difference", **call).reason


def test_pooled_runs_have_the_seeds_of_all_and_refuse_one_twice(results, tmp_path):
    other = load_run(simulate_run(tmp_path / "other", ("published",), (7,), epochs=6, utterances=4))
    both = pooled([results, other])
    assert set(both.validation["seed"]) == {0, 1, 7}
    assert found(both, "fall_from_peak", arm="published").n == 3
    with pytest.raises(ValueError, match="both trained published with seed 0"):
        pooled([results, results])
