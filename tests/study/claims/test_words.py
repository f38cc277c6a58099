"""What is said of verdicts, advised from them and drawn of them, for a simulated run and for claims put together."""

import re

import numpy as np
import pandas as pd
import pytest

from cmgan.statistics import t_power
from cmgan.study.claims.plots import claims_forest, pesq_effects
from cmgan.study.claims.rules import Verdict, read_claims
from cmgan.study.claims.verdicts import JudgedClaim, JudgedRun, judge
from cmgan.study.claims.words import (
    controls_in_words,
    effect_in_words,
    points_towards,
    power_table,
    to_change,
    to_leave,
    unknown,
    verdicts_in_words,
)
from cmgan.study.effects import (
    Effect,
    Missing,
    effect_of_fact,
    effect_of_seeds,
    effect_of_share,
)
from cmgan.study.report.figures import FIGURES


def _effect(middle: float, scatter: float) -> Effect:
    """An effect on PESQ of six seeds that scatter evenly around their mean."""
    return effect_of_seeds(dict(enumerate(middle + scatter * np.array([-1, 1, -1, 1, -1, 1]))))


def _judged(name: str, found: Effect, adjusted: float | None = None) -> JudgedRun:
    claim = next(claim for claim in read_claims().claims if claim.id == name)
    primary = judge(claim.primary, found, adjusted)
    judged = JudgedClaim(claim, (primary,), primary.verdict, "too many claims beside it")
    return JudgedRun((judged,), (), 1)


def test_an_effect_clear_at_95_percent_alone_is_pointed_at_with_why_it_is_not_decided():
    run = _judged("C12", _effect(0.75, 0.1), adjusted=0.2)
    assert run.claims[0].verdict == Verdict.INCONCLUSIVE
    (line,) = points_towards(run)
    assert "hand the loss clean · gain" in line
    assert "+0.75 [+0.64, +0.86], 6 seeds" in line
    assert line.endswith("Not decided: too many claims beside it.")


def test_an_effect_open_at_95_percent_points_nowhere():
    assert points_towards(_judged("C12", _effect(0.1, 0.3))) == []


def test_what_to_change_follows_from_the_verdicts_and_carries_its_evidence(judged):
    changes = to_change(judged)
    assert any("clean · gain" in line and "C12" in line for line in changes)
    assert all(re.search(r"\d+ \w+", line) for line in changes)
    assert not any("C04" in line for line in changes)
    assert any("C04" in line for line in to_leave(judged))


def test_the_largest_effect_on_pesq_is_changed_first(judged):
    advised = [re.search(r"\((C\d\d);", line)[1] for line in to_change(judged)]
    assert advised[0] == "C12"


def test_open_claims_are_listed_with_what_is_missing(judged):
    lines = unknown(judged)
    (untested,) = [line for line in lines if line.startswith("Not testable in this run")]
    assert "C13 (from a trunk of published, single_rank_shuffle was not trained" in untested
    assert not any(line.startswith(("C12", "C04")) for line in lines)


def test_every_claim_is_counted_once(judged):
    words = verdicts_in_words(judged)
    counts = re.findall(r"(\d+) (?:supported|refuted|inconclusive|not testable)", words)
    assert sum(map(int, counts)) == 22


def test_controls_say_whether_what_must_appear_did(judged):
    words = controls_in_words(judged)
    assert "**yes**" in words[0]
    assert any("normalised_no_metric was not run" in line and "**not known**" in line for line in words)


def test_effects_are_worded_with_interval_n_and_seeds():
    effect = Effect(0.17, 0.1, 0.26, 2, "seeds", "pesq", (0.21, 0.12))
    assert effect_in_words(effect) == "+0.17 [+0.10, +0.26], 2 seeds (+0.12 to +0.21)"
    tiny = Effect(4e-6, 2e-6, 6e-6, 21, "crops", "pesq")
    assert effect_in_words(tiny).startswith("4e−06 [2e−06, 6e−06], 21 crops")
    together = effect_of_fact(1, 2, "processes", "outcome", "out of step")
    assert effect_in_words(together) == "out of step: yes, 2 processes"
    assert effect_in_words(Missing("arm skip_56 was not run")) == "no evidence: arm skip_56 was not run"


def test_the_power_table_uses_the_scatter_of_the_run_s_own_seeds(judged):
    table = power_table(judged)
    scatters = [np.std(one.found.by_seed, ddof=1) for one in judged.predictions if _on_pesq(one.found)]
    expected = t_power(0.3, 0.1, float(np.median(scatters)), 6)
    row = table.numbers.set_index(["true difference", "seeds"]).loc[(0.3, 6)]
    assert row["supported"] == pytest.approx(expected)
    assert power_table(_judged("C01", effect_of_share([False] * 13, "log lines"))) is None


def _on_pesq(found: Effect | Missing) -> bool:
    return isinstance(found, Effect) and found.scale == "pesq" and len(found.by_seed) > 1


def test_the_forest_holds_effects_of_training_only_and_is_drawn_from_its_csv(judged, tmp_path):
    frame = pesq_effects(judged)
    assert {"C12a", "C12b", "C04a", "K1", "K2"} <= set(frame["prediction"])
    assert not {"C07a", "C11a", "C17a"} & set(frame["prediction"])
    frame.to_csv(tmp_path / "forest.csv", index=False)
    figure = claims_forest(pd.read_csv(tmp_path / "forest.csv"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == len(frame)
    assert "C12a  from normalised target: normalised target − published" in texts
    assert FIGURES["claims_forest"].plot is claims_forest
