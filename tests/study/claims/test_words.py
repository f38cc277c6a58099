"""What is said of verdicts, advised from them and drawn of them, for a simulated run and for claims put together."""

import re

import pandas as pd

from cmgan.study.claims.effects import Effect, Missing
from cmgan.study.claims.plots import claims_forest, pesq_effects
from cmgan.study.claims.rules import Verdict, read_claims
from cmgan.study.claims.verdicts import Judged, JudgedClaim, JudgedRun, judge, judge_run
from cmgan.study.claims.words import (
    controls_in_words,
    effect_in_words,
    points_towards,
    to_change,
    to_leave,
    unknown,
    verdicts_in_words,
)
from cmgan.study.report.figures import FIGURES
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run

LEVEL = 0.999


def _effect(low95: float, high95: float, scale: str = "pesq", wider: float = 0.0) -> Effect:
    """An effect on 20 utterances whose interval at the level of the verdicts is wider on both sides."""
    middle = (low95 + high95) / 2
    return Effect(middle, low95 - wider, high95 + wider, low95, high95, 20, "utterances", scale)


def _judged(name: str, found: list[Effect]) -> JudgedRun:
    claim = next(claim for claim in read_claims().claims if claim.id == name)
    predictions = [prediction for prediction in claim.predictions if prediction.decides]
    judged = tuple(
        Judged(prediction, effect, judge(effect, prediction.rule))
        for prediction, effect in zip(predictions, found, strict=True)
    )
    return JudgedRun((JudgedClaim(claim, judged, Verdict.INCONCLUSIVE, "too few utterances"),), (), LEVEL)


def test_an_effect_clear_at_95_percent_alone_is_pointed_at_with_why_it_is_not_decided():
    run = _judged("C12", [_effect(0.5, 1.0, wider=0.6), _effect(0.4, 0.9, wider=0.6)])
    assert {judged.verdict for judged in run.claims[0].predictions} == {Verdict.INCONCLUSIVE}
    (line,) = points_towards(run)
    assert "hand the loss clean · gain" in line
    assert "+0.75 [+0.50, +1.00]" in line
    assert line.endswith("Not decided: too few utterances.")


def test_an_effect_open_at_95_percent_points_nowhere():
    assert points_towards(_judged("C12", [_effect(0.0, 1.0), _effect(-0.1, 0.9)])) == []


def test_that_gradients_are_often_clipped_is_no_reason_to_clip_them():
    run = _judged("C09", [_effect(0.3, 0.5, "share"), _effect(-0.2, 0.2)])
    assert run.claims[0].predictions[0].leaning == Verdict.SUPPORTED
    assert points_towards(run) == []


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
    assert {claim.claim.id: claim.verdict for claim in judged.claims}["C12"] == Verdict.INCONCLUSIVE
    assert any("C12" in line and "skip_56 was not run" in line for line in points_towards(judged))


def test_effects_are_worded_with_interval_n_and_seeds():
    effect = Effect(0.17, 0.01, 0.33, 0.1, 0.26, 24, "utterances", "pesq", (0.21, 0.12))
    assert effect_in_words(effect) == "+0.17 [+0.10, +0.26], 24 utterances × 2 seeds (+0.12 to +0.21)"
    tiny = Effect(4e-6, 0, 1e-5, 2e-6, 6e-6, 21, "crops", "pesq")
    assert effect_in_words(tiny).startswith("4e−06 [2e−06, 6e−06], 21 crops")
    together = Effect(1, 1, 1, 1, 1, 2, "processes", "outcome", detail="out of step")
    assert effect_in_words(together) == "out of step: yes, 2 processes"
    assert effect_in_words(Missing("arm skip_56 was not run")) == "no evidence: arm skip_56 was not run"


def test_the_forest_holds_effects_of_training_only_and_is_drawn_from_its_csv(judged, tmp_path):
    frame = pesq_effects(judged)
    assert {"C12a", "C12b", "C04a", "K1", "K2"} <= set(frame["prediction"])
    assert not {"C07a", "C11b", "C17a"} & set(frame["prediction"])
    frame.to_csv(tmp_path / "forest.csv", index=False)
    figure = claims_forest(pd.read_csv(tmp_path / "forest.csv"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == len(frame)
    assert "C12a  normalised target − published" in texts
    assert FIGURES["claims_forest"].plot is claims_forest
