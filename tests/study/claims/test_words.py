"""What the report advises, from judged claims put together by hand."""

from cmgan.study.claims.judging import Judged, JudgedClaim, JudgedRun
from cmgan.study.claims.rules import read_claims
from cmgan.study.claims.verdicts import Effect, Verdict, judge
from cmgan.study.claims.words import points_towards

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
