"""The claims file, and claims judged on runs whose truth is known."""

import copy
import re
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from cmgan.study.claims.judging import NO_COLLAPSE, claims_frame, judge_run
from cmgan.study.claims.plots import claims_forest, pesq_effects
from cmgan.study.claims.rules import CLAIMS_FILE, read_claims
from cmgan.study.claims.tables import claims_text
from cmgan.study.claims.verdicts import Effect, Missing, Verdict
from cmgan.study.claims.words import (
    controls_in_words,
    effect_in_words,
    points_towards,
    to_change,
    to_leave,
    unknown,
    verdicts_in_words,
)
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.report.redraw import PLOTS
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run

CONTENT = yaml.safe_load(CLAIMS_FILE.read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    arms = ("published", "masked_labels", "normalised_target", "normalised_skip_56", "skip_56")
    root = simulate_run(
        tmp_path_factory.mktemp("run") / "run", arms, (0, 1, 2), epochs=17, utterances=12, test_utterances=24
    )
    return load_run(root)


@pytest.fixture(scope="module")
def judged(results):
    return judge_run(results)


def _claim(judged, name):
    return next(claim for claim in judged.claims if claim.claim.id == name)


def test_all_claims_of_the_study_are_there_in_order():
    claims = read_claims().claims
    assert [claim.id for claim in claims] == [f"C{number:02d}" for number in range(1, 23)]


def test_every_claim_says_what_its_verdict_would_mean():
    assert all(claim.advice for claim in read_claims().claims)


def test_the_margin_of_pesq_is_that_of_the_whole_study():
    claim = next(claim for claim in read_claims().claims if claim.id == "C12")
    assert claim.predictions[0].rule.margin == MARGIN_PESQ


def test_the_level_counts_controls_and_all_predictions_but_those_about_the_objective():
    claims = read_claims()
    about_objective = ("descent_fall", "minimum_", "objective_at_peak", "metric_effect", "starts_meet")
    predictions = [prediction for claim in claims.claims for prediction in claim.predictions]
    drawn = [one for one in predictions if not one.function.startswith(about_objective)]
    assert 0 < len(drawn) < len(predictions)
    count = len(drawn) + len(claims.controls)
    assert claims.level == pytest.approx(1 - 0.05 / count)


def _changed(change):
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


def _first(content):
    return content["claims"][0]["predictions"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["claims"][0].pop("sentence"), "C01 lacks sentence"),
        (lambda c: c["claims"][0].update(verdict="refuted"), "C01 has the unknown setting verdict"),
        (lambda c: _first(c).update(effect={"guessed": {}}), "C01a: unknown evidence 'guessed'"),
        (
            lambda c: _first(c).update(effect={"logged_zeros": {"lines": 3}}),
            "C01a: evidence logged_zeros: .*lines",
        ),
        (lambda c: _first(c).update(effect="logged_zeros"), "C01a: effect is 'logged_zeros'"),
        (lambda c: _first(c).update(below=0.5), "C01a: give exactly one of above, below, within"),
        (lambda c: _first(c).update(above="large"), "C01a: margin 'large'"),
        (
            lambda c: _first(c).update(effect={"fall_from_peak": {"arm": "publshed"}}),
            "C01a: unknown arm 'publshed'",
        ),
        (lambda c: c["claims"][0].update(figures=["nothing"]), "C01: unknown figure 'nothing'"),
        (lambda c: c["claims"].append(c["claims"][0]), "the id C01 occurs twice"),
        (lambda c: c["claims"][0]["advice"].update(maybe={"change": "x"}), "unknown setting maybe"),
        (lambda c: c["claims"][1]["predictions"].pop(0), "C02: no prediction decides it"),
        (lambda c: c["controls"][0].update(role="hopeful"), "K1: role 'hopeful'"),
        (lambda c: c.pop("controls"), "the file lacks controls"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, change, message):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(_changed(change)))
    with pytest.raises(ValueError, match=f"^claims.yaml: .*{message}"):
        read_claims(path)


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("claims: [")
    with pytest.raises(ValueError, match="not YAML"):
        read_claims(path)


def test_the_cause_put_into_a_run_is_supported_and_its_rivals_are_refuted(judged):
    assert judged.collapsed
    assert _claim(judged, "C12").verdict == Verdict.SUPPORTED
    assert _claim(judged, "C11").verdict == Verdict.SUPPORTED
    assert _claim(judged, "C04").verdict == Verdict.REFUTED


def test_claims_without_their_arms_are_not_testable_and_name_them(judged):
    for name, arm in (("C13", "single_rank_shuffle"), ("C14", "rebalanced_weights")):
        claim = _claim(judged, name)
        assert claim.verdict == Verdict.NOT_TESTABLE
        assert arm in claim.reason


def test_overfitting_is_refuted_where_the_validation_loss_goes_on_falling(judged):
    claim = _claim(judged, "C08")
    assert claim.verdict == Verdict.REFUTED
    assert claim.predictions[0].verdict == Verdict.REFUTED


def test_a_run_without_collapse_decides_no_claim_about_it(tmp_path):
    arms = ("normalised_target", "normalised_skip_56", "published", "skip_56", "masked_labels")
    root = simulate_run(tmp_path / "run", arms, (0, 1), epochs=3, utterances=8, test_utterances=12)
    results = load_run(root)
    alike = results.evaluation.assign(pesq=2.0)
    level = results.validation.assign(pesq=2.0)
    judged = judge_run(replace(results, evaluation=alike, validation=level))
    assert not judged.collapsed
    for name in ("C04", "C12"):
        claim = _claim(judged, name)
        assert (claim.verdict, claim.reason) == (Verdict.NOT_TESTABLE, NO_COLLAPSE)
    assert _claim(judged, "C01").verdict == Verdict.REFUTED


def test_the_smallest_run_there_can_be_is_judged_without_an_error(tmp_path):
    root = simulate_run(tmp_path / "run", ("published",), (0,), epochs=1, utterances=1, test_utterances=1)
    judged = judge_run(load_run(root))
    deciding = {
        judged_prediction.verdict
        for claim in judged.claims
        for judged_prediction in claim.predictions
        if isinstance(judged_prediction.found, Effect) and judged_prediction.found.by_seed
    }
    assert deciding <= {Verdict.INCONCLUSIVE}
    assert _claim(judged, "C12").verdict == Verdict.NOT_TESTABLE
    assert len(claims_text(judged)) == len(judged.claims)


def test_what_to_change_follows_from_the_verdicts_and_carries_its_evidence(judged):
    changes = to_change(judged)
    assert any("clean · gain" in line and "C12" in line for line in changes)
    assert all(re.search(r"\[.+\], \d+ ", line) for line in changes)
    assert not any("C04" in line for line in changes)
    assert any("C04" in line for line in to_leave(judged))


def test_the_largest_effect_on_pesq_is_changed_first(judged):
    advised = [re.search(r"\((C\d\d);", line)[1] for line in to_change(judged)]
    assert advised[0] == "C12"


def test_open_claims_are_listed_with_what_is_missing(judged):
    lines = unknown(judged)
    assert any(line.startswith("C13") and "To run: `single_rank_shuffle`" in line for line in lines)
    assert not any(line.startswith(("C12", "C04")) for line in lines)


def test_every_claim_is_counted_once(judged):
    words = verdicts_in_words(judged)
    counts = re.findall(r"(\d+) (?:supported|refuted|inconclusive|not testable)", words)
    assert sum(map(int, counts)) == 22


def test_controls_say_whether_what_must_appear_did(judged):
    words = controls_in_words(judged)
    assert "**yes**" in words[0]
    assert any("normalised_no_metric was not run" in line and "**not known**" in line for line in words)


def test_points_towards_lists_only_undecided_claims_without_a_refuted_prediction(tmp_path):
    root = simulate_run(tmp_path / "run", ("published", "normalised_target"), (0, 1), test_utterances=24)
    judged = judge_run(load_run(root))
    assert _claim(judged, "C12").verdict == Verdict.INCONCLUSIVE
    assert any("C12" in line and "skip_56 was not run" in line for line in points_towards(judged))


def test_the_frame_holds_every_prediction_with_its_rule_and_effect(judged, tmp_path):
    path = tmp_path / "claims.csv"
    claims_frame(judged).to_csv(path, index=False)
    frame = pd.read_csv(path)
    claims = read_claims()
    assert len(frame) == sum(len(claim.predictions) for claim in claims.claims) + len(claims.controls)
    row = frame.set_index("prediction").loc["C12a"]
    assert row["low"] < row["low95"] < row["estimate"] < row["high95"] < row["high"]
    assert row["estimate"] == pytest.approx(0.6, abs=0.05)
    assert (row["n"], row["seeds"], row["verdict"]) == (24, 3, "supported")
    assert frame["missing"].isna().equals(frame["estimate"].notna())


def test_the_forest_holds_effects_of_training_only_and_is_drawn_from_its_csv(judged, tmp_path):
    frame = pesq_effects(judged)
    assert {"C12a", "C12b", "C04a", "K1", "K2"} <= set(frame["prediction"])
    assert not {"C07a", "C11b", "C17a"} & set(frame["prediction"])
    frame.to_csv(tmp_path / "forest.csv", index=False)
    figure = claims_forest(pd.read_csv(tmp_path / "forest.csv"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == len(frame)
    assert "C12a  normalised target − published" in texts
    assert PLOTS["claims_forest"] is claims_forest


def test_effects_are_worded_with_interval_n_and_seeds():
    effect = Effect(0.17, 0.01, 0.33, 0.1, 0.26, 24, "utterances", "pesq", (0.21, 0.12))
    assert effect_in_words(effect) == "+0.17 [+0.10, +0.26], 24 utterances × 2 seeds (+0.12 to +0.21)"
    tiny = Effect(4e-6, 0, 1e-5, 2e-6, 6e-6, 21, "crops", "pesq")
    assert effect_in_words(tiny).startswith("4e−06 [2e−06, 6e−06], 21 crops")
    together = Effect(1, 1, 1, 1, 1, 2, "processes", "outcome", detail="out of step")
    assert effect_in_words(together) == "out of step: yes, 2 processes"
    assert effect_in_words(Missing("arm skip_56 was not run")) == "no evidence: arm skip_56 was not run"


def test_whether_there_is_a_collapse_is_asked_at_95_percent(tmp_path):
    root = simulate_run(tmp_path / "results" / "laptop", ("published", "normalised_target"))
    judged = judge_run(load_run(root))
    (fall,) = [control.judged.found for control in judged.controls if control.judged.prediction.id == "K1"]
    assert (fall.low, fall.high) == (fall.low95, fall.high95)
    assert all(
        one.found.high95 <= one.found.high
        for one in judged.claims[11].deciding
        if isinstance(one.found, Effect)
    )
