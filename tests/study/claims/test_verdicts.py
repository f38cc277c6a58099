"""Verdicts on simulated studies whose truth is known, and on effects whose verdict is plain."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cmgan.statistics import ERROR, holm, t_power
from cmgan.study.claims.rules import Prediction, Verdict, read_claims
from cmgan.study.claims.verdicts import NO_COLLAPSE, claims_frame, collapse_seen, judge, judge_run
from cmgan.study.claims.words import claims_text
from cmgan.study.effects import Missing, Rule, effect_of_fact, effect_of_seeds, effect_of_share
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run

MARGIN = 0.1
STUDIES = 400
SPREAD = 0.1  # between seeds, in PESQ, as in the kept runs
SUPPORTED, REFUTED, INCONCLUSIVE, NOT_TESTABLE = Verdict


def _prediction(rule: Rule) -> Prediction:
    return Prediction("C00a", "", "final_difference", {}, rule)


def _rates(truth: float, seeds: int, relation: str = "above", spread: float = SPREAD) -> dict[Verdict, float]:
    """Share of each verdict over simulated studies whose seeds scatter around the truth."""
    rng = np.random.default_rng([round(1000 * truth), seeds])
    prediction = _prediction(Rule(relation, MARGIN))
    draws = rng.normal(truth, spread, (STUDIES, seeds))
    verdicts = [judge(prediction, effect_of_seeds(dict(enumerate(values)))).verdict for values in draws]
    return {verdict: verdicts.count(verdict) / STUDIES for verdict in Verdict}


@pytest.mark.parametrize("seeds", [3, 6, 12])
@pytest.mark.parametrize("truth", [0.0, 0.1, 0.3, 0.5])
def test_simulated_studies_are_as_often_right_as_the_power_table_says_and_as_rarely_wrong(truth, seeds):
    rates = _rates(truth, seeds)
    error = 3 * np.sqrt(0.25 / STUDIES)
    assert rates[SUPPORTED] == pytest.approx(t_power(truth, MARGIN, SPREAD, seeds), abs=error)
    assert rates[REFUTED] == pytest.approx(t_power(-truth, -MARGIN, SPREAD, seeds), abs=error)
    wrong = rates[SUPPORTED] if truth <= MARGIN else rates[REFUTED]
    assert wrong <= ERROR / 2 + 3 * np.sqrt(ERROR / 2 / STUDIES)


def test_more_seeds_never_make_a_true_effect_harder_to_support():
    assert _rates(0.3, 3)[SUPPORTED] < _rates(0.3, 6)[SUPPORTED] <= _rates(0.3, 12)[SUPPORTED]


def test_equivalence_needs_an_interval_inside_the_band():
    assert _rates(0.0, 12, "within")[SUPPORTED] > 0.7
    assert _rates(0.0, 3, "within")[SUPPORTED] < 0.2
    assert _rates(0.5, 6, "within")[REFUTED] > 0.9


def test_many_claims_without_an_effect_are_together_called_one_rarely():
    rng = np.random.default_rng(5)
    prediction, false_studies = _prediction(Rule("above", 0.0)), 0
    for values in rng.normal(0.0, SPREAD, (STUDIES, 10, 6)):
        effects = [effect_of_seeds(dict(enumerate(of_claim))) for of_claim in values]
        adjusted = holm([judge(prediction, effect).p for effect in effects])
        verdicts = {judge(prediction, effect, p).verdict for effect, p in zip(effects, adjusted, strict=True)}
        false_studies += verdicts != {INCONCLUSIVE}
    assert false_studies / STUDIES <= ERROR + 3 * np.sqrt(ERROR / STUDIES)


@pytest.mark.parametrize(
    ("values", "rule", "verdict"),
    [
        ((0.29, 0.30, 0.31), Rule("above", 0.1), SUPPORTED),
        ((-0.01, 0.0, 0.01), Rule("above", 0.1), REFUTED),
        ((0.0, 0.3, 0.6), Rule("above", 0.1), INCONCLUSIVE),
        ((0.29, 0.30, 0.31), Rule("below", 0.5), SUPPORTED),
        ((0.69, 0.70, 0.71), Rule("below", 0.5), REFUTED),
        ((0.55, 0.56, 0.57), Rule("within", 0.1, around=0.56), SUPPORTED),
        ((0.09, 0.10, 0.11), Rule("within", 0.1, around=0.56), REFUTED),
        ((0.89, 0.90, 0.91), Rule("within", 0.1, around=0.56), REFUTED),
        ((0.3, 0.5, 0.7), Rule("within", 0.1, around=0.56), INCONCLUSIVE),
        ((0.3,), Rule("above", 0.1), INCONCLUSIVE),
    ],
)
def test_the_whole_interval_decides(values, rule, verdict):
    effect = effect_of_seeds(dict(enumerate(values)))
    judged = judge(_prediction(rule), effect)
    assert judged.verdict == verdict
    if rule.relation != "within" and len(values) > 1:
        bound = effect.low if rule.relation == "above" else -effect.high
        assert (judged.verdict == SUPPORTED) == (
            bound > (rule.margin if rule.relation == "above" else -rule.margin)
        )


def test_shares_are_judged_by_their_exact_interval():
    rule = Rule("above", 0.5)
    assert judge(_prediction(rule), effect_of_share([True] * 14, "files")).verdict == SUPPORTED
    assert judge(_prediction(rule), effect_of_share([True] * 5, "files")).verdict == INCONCLUSIVE
    assert judge(_prediction(rule), effect_of_share([False] * 13, "log lines")).verdict == REFUTED


def test_what_holds_no_chance_is_decided_by_its_value():
    assert (
        judge(_prediction(Rule("above", 0.5)), effect_of_fact(1, 2, "processes", "outcome")).verdict
        == SUPPORTED
    )
    assert (
        judge(_prediction(Rule("below", 0.5)), effect_of_fact(1, 2, "processes", "outcome")).verdict
        == REFUTED
    )


def test_an_effect_clear_by_itself_is_left_open_where_other_claims_make_it_uncertain():
    effect = effect_of_seeds({0: 0.28, 1: 0.30, 2: 0.35})
    prediction = _prediction(Rule("above", 0.1))
    alone = judge(prediction, effect)
    guarded = judge(prediction, effect, adjusted=13 * alone.p)
    assert alone.verdict == SUPPORTED
    assert (guarded.verdict, guarded.leaning) == (INCONCLUSIVE, SUPPORTED)


def test_missing_evidence_is_not_testable():
    assert judge(_prediction(Rule("above", 0.1)), Missing("arm skip_56 was not run")).verdict == NOT_TESTABLE


def _claim(judged, name):
    return next(claim for claim in judged.claims if claim.claim.id == name)


def test_the_cause_put_into_a_run_is_supported_and_its_rivals_are_refuted(judged):
    assert _claim(judged, "C12").verdict == SUPPORTED
    for rival in ("C04", "C05"):
        assert _claim(judged, rival).verdict == REFUTED


def test_claims_without_their_branches_are_not_testable_and_name_them(judged):
    for name, arm in (("C13", "single_rank_shuffle"), ("C14", "rebalanced_weights")):
        claim = _claim(judged, name)
        assert claim.verdict == NOT_TESTABLE
        assert arm in claim.reason


def test_overfitting_is_refuted_where_the_objective_of_unseen_speakers_falls_with_pesq(judged):
    claim = _claim(judged, "C08")
    assert claim.verdict == REFUTED
    assert claim.primary.found.estimate < 0


def test_the_first_prediction_alone_decides(judged):
    claim = _claim(judged, "C12")
    assert NOT_TESTABLE in {one.verdict for one in claim.predictions[1:]}
    assert claim.verdict == claim.primary.verdict == SUPPORTED


def test_a_run_without_collapse_decides_no_claim_about_it(tmp_path):
    root = simulate_run(tmp_path / "run", ("normalised_target", "published"), (0, 1, 2), epochs=3)
    ends = root / "branches" / "endpoints.csv"
    pd.read_csv(ends).assign(pesq=2.0).to_csv(ends, index=False)
    results = load_run(root)
    judged = judge_run(replace(results, validation=results.validation.assign(pesq=2.0)))
    assert not any(collapse_seen(judged.controls, of_branches) for of_branches in (True, False))
    for name in ("C04", "C12"):
        claim = _claim(judged, name)
        assert (claim.verdict, claim.reason) == (NOT_TESTABLE, NO_COLLAPSE[True])
    assert _claim(judged, "C01").verdict == REFUTED


def test_the_smallest_run_there_can_be_is_judged_without_an_error(tmp_path):
    root = simulate_run(tmp_path / "run", ("published",), (0,), epochs=1, utterances=1, test_utterances=1)
    judged = judge_run(load_run(root))
    assert _claim(judged, "C12").verdict == NOT_TESTABLE
    trained = [one for one in judged.predictions if getattr(one.found, "by_seed", ())]
    assert {one.verdict for one in trained} == {INCONCLUSIVE}
    assert len(claims_text(judged)) == len(judged.claims)


def test_only_what_chance_could_fool_is_guarded_together(judged):
    guarded = {claim.claim.id for claim in judged.claims if claim.primary.adjusted is not None}
    assert len(guarded) == judged.tested
    assert {"C01", "C12"} <= guarded
    assert not {"C16", "C19"} & guarded
    for claim in judged.claims:
        if claim.primary.adjusted is not None:
            assert claim.primary.p <= claim.primary.adjusted <= 1


def test_the_frame_holds_every_prediction_with_its_rule_and_effect(judged, tmp_path):
    path = tmp_path / "claims.csv"
    claims_frame(judged).to_csv(path, index=False)
    frame = pd.read_csv(path)
    claims = read_claims()
    assert len(frame) == sum(len(claim.predictions) for claim in claims.claims) + len(claims.controls)
    row = frame.set_index("prediction").loc["C12a"]
    assert row["low"] < row["estimate"] < row["high"]
    assert row["estimate"] == pytest.approx(0.6, abs=0.05)
    assert (row["n"], row["seeds"], row["verdict"], row["primary"]) == (3, 3, "supported", True)
    assert frame["missing"].isna().equals(frame["estimate"].notna())
