"""Verdicts on simulated studies whose truth is known, and on effects whose verdict is plain."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from cmgan.study.claims.effects import Effect, Missing, effect_of_table
from cmgan.study.claims.rules import Rule, Verdict, read_claims
from cmgan.study.claims.verdicts import NO_COLLAPSE, claims_frame, combine, judge, judge_run
from cmgan.study.claims.words import claims_text
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run

MARGIN = 0.1
LEVEL = 0.99
STUDIES = 150
SUPPORTED, REFUTED, INCONCLUSIVE, NOT_TESTABLE = Verdict


@cache
def rates(truth, seed_spread=0.02, seeds=3, utterances=24, relation="above"):
    """Share of each verdict over simulated studies: utterances differ, seeds differ, and so does every score."""
    rng = np.random.default_rng([round(1000 * truth), round(1000 * seed_spread), seeds, utterances])
    rule = Rule(relation, MARGIN)
    verdicts = []
    for _ in range(STUDIES):
        by_utterance = rng.gamma(2, 0.1, utterances) - 0.2
        by_seed = rng.normal(0, seed_spread, seeds)
        noise = rng.normal(0, 0.05, (utterances, seeds))
        table = pd.DataFrame(truth + by_utterance[:, None] + by_seed + noise)
        verdicts.append(judge(effect_of_table(table, LEVEL), rule))
    return {verdict: verdicts.count(verdict) / STUDIES for verdict in Verdict}


@pytest.mark.parametrize("truth", [0.0, 0.05])
def test_an_effect_below_the_margin_is_hardly_ever_called_supported(truth):
    assert rates(truth)[SUPPORTED] <= 1 - LEVEL


@pytest.mark.parametrize("truth", [0.15, 0.3])
def test_an_effect_above_the_margin_is_hardly_ever_called_refuted(truth):
    assert rates(truth)[REFUTED] <= 1 - LEVEL


def test_large_and_absent_effects_get_their_verdict_most_of_the_time():
    assert rates(0.4)[SUPPORTED] > 0.95
    assert rates(0.0, utterances=60)[REFUTED] > 0.75


def test_an_effect_near_the_margin_is_left_open_most_of_the_time():
    assert rates(0.12)[INCONCLUSIVE] > 0.9


def test_at_the_margin_itself_utterances_mislead_as_rarely_as_the_level_says():
    at_margin = rates(MARGIN, seed_spread=0.0)
    # Three standard errors of a share of 1 % over these studies.
    assert at_margin[SUPPORTED] + at_margin[REFUTED] <= 1 - LEVEL + 3 * np.sqrt(0.01 * 0.99 / STUDIES)


@pytest.mark.parametrize("seeds", [2, 4])
def test_however_seeds_differ_an_effect_at_the_margin_passes_no_more_often_than_all_seeds_agree(seeds):
    at_margin = rates(MARGIN, seed_spread=1.0, seeds=seeds)
    assert at_margin[SUPPORTED] <= 0.5**seeds + 0.08
    assert at_margin[REFUTED] <= 0.5**seeds + 0.08


def test_equivalence_is_shown_by_many_utterances_and_not_by_few():
    assert rates(0.0, utterances=60, relation="within")[SUPPORTED] > 0.75
    assert rates(0.0, utterances=6, relation="within")[SUPPORTED] < 0.1
    assert rates(0.3, relation="within")[REFUTED] > 0.9


def _effect(low, high, by_seed=()):
    return Effect((low + high) / 2, low, high, low, high, 10, "utterances", by_seed=by_seed)


@pytest.mark.parametrize(
    ("low", "high", "rule", "verdict"),
    [
        (0.2, 0.4, Rule("above", 0.1), SUPPORTED),
        (-0.2, 0.05, Rule("above", 0.1), REFUTED),
        (0.05, 0.4, Rule("above", 0.1), INCONCLUSIVE),
        (0.2, 0.4, Rule("below", 0.5), SUPPORTED),
        (0.6, 0.9, Rule("below", 0.5), REFUTED),
        (0.4, 0.9, Rule("below", 0.5), INCONCLUSIVE),
        (0.5, 0.6, Rule("within", 0.1, around=0.56), SUPPORTED),
        (0.0, 0.2, Rule("within", 0.1, around=0.56), REFUTED),
        (0.8, 0.9, Rule("within", 0.1, around=0.56), REFUTED),
        (0.4, 0.6, Rule("within", 0.1, around=0.56), INCONCLUSIVE),
        (0.0, 1.0, Rule("within", 0.1, around=0.56), INCONCLUSIVE),
        (np.nan, np.nan, Rule("above", 0.1), INCONCLUSIVE),
    ],
)
def test_the_whole_interval_decides(low, high, rule, verdict):
    assert judge(_effect(low, high), rule) == verdict


@pytest.mark.parametrize(
    ("by_seed", "verdict"),
    [
        ((0.25, 0.35), SUPPORTED),
        ((0.08, 0.52), INCONCLUSIVE),
        ((0.3,), INCONCLUSIVE),
    ],
)
def test_every_one_of_at_least_two_seeds_has_to_say_the_same(by_seed, verdict):
    assert judge(_effect(0.2, 0.4, by_seed), Rule("above", 0.1)) == verdict


def test_seeds_outside_an_equivalence_band_on_different_sides_do_not_show_equivalence():
    assert judge(_effect(-0.05, 0.05, (-0.3, 0.3)), Rule("within", 0.1)) == INCONCLUSIVE


def test_missing_evidence_is_not_testable():
    assert judge(Missing("arm skip_56 was not run"), Rule("above", 0.1)) == NOT_TESTABLE


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, REFUTED], REFUTED),
        ([NOT_TESTABLE, REFUTED], REFUTED),
        ([SUPPORTED, NOT_TESTABLE], INCONCLUSIVE),
        ([SUPPORTED, INCONCLUSIVE], INCONCLUSIVE),
        ([NOT_TESTABLE, INCONCLUSIVE], INCONCLUSIVE),
        ([NOT_TESTABLE, NOT_TESTABLE], NOT_TESTABLE),
        ([], NOT_TESTABLE),
    ],
)
def test_a_claim_is_supported_by_all_and_refuted_by_one_of_its_predictions(verdicts, combined):
    assert combine(verdicts) == combined


def _claim(judged, name):
    return next(claim for claim in judged.claims if claim.claim.id == name)


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
    assert deciding == {Verdict.INCONCLUSIVE}
    assert _claim(judged, "C12").verdict == Verdict.NOT_TESTABLE
    assert len(claims_text(judged)) == len(judged.claims)


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


def test_whether_there_is_a_collapse_is_asked_at_95_percent(tmp_path):
    root = simulate_run(tmp_path / "results" / "laptop", ("published", "normalised_target"))
    judged = judge_run(load_run(root))
    (fall,) = [control.found for control in judged.controls if control.prediction.id == "K1"]
    assert (fall.low, fall.high) == (fall.low95, fall.high95)
    difference = _claim(judged, "C12").deciding[0].found
    assert difference.low < difference.low95 < difference.high95 < difference.high
