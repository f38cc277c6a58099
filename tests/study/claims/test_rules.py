"""The claims file: what it holds, and how mistakes in it are named."""

import copy

import pytest
import yaml

from cmgan.statistics import MARGIN_PESQ
from cmgan.study.claims.rules import CLAIMS_FILE, read_claims
from cmgan.study.effects import Rule, effect_of_seeds

CONTENT = yaml.safe_load(CLAIMS_FILE.read_text())


def test_all_claims_of_the_study_are_there_in_order_and_say_what_their_verdicts_would_mean():
    claims = read_claims().claims
    assert [claim.id for claim in claims] == [f"C{number:02d}" for number in range(1, 23)]
    assert all(claim.advice for claim in claims)


def test_the_margin_of_pesq_is_that_of_the_whole_study():
    claim = next(claim for claim in read_claims().claims if claim.id == "C12")
    assert claim.predictions[0].rule.margin == MARGIN_PESQ


def test_no_two_claims_are_decided_by_the_same_effect():
    primaries = [(one.primary.function, repr(one.primary.arguments)) for one in read_claims().claims]
    assert len(set(primaries)) == len(primaries)


def test_a_rule_supports_exactly_where_the_interval_lies_beyond_its_margin():
    effect = effect_of_seeds({0: 0.2, 1: 0.3, 2: 0.35})
    for margin in (effect.low - 1e-6, effect.low + 1e-6):
        pro, contra = Rule("above", margin).p_values(effect)
        assert (pro < 0.05) == (effect.low > margin)
        assert contra > 0.05
    assert Rule("below", effect.high + 1e-6).p_values(effect)[0] < 0.05


def _first(content):
    return content["claims"][0]["predictions"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["claims"].append(c["claims"][0]), "the id C01 occurs twice"),
        (lambda c: c["claims"][0].pop("sentence"), "C01: .*missing .* 'sentence'"),
        (lambda c: c["claims"][1]["predictions"].clear(), "C02: no prediction decides it"),
        (lambda c: c["controls"][0].update(role="hopeful"), "K1: role 'hopeful'"),
        (lambda c: _first(c).update(effect={"_inflation": {}}), "C01a: {'_inflation': .*logged_zeros"),
        (lambda c: _first(c).update(effect={"logged_zeros": {"lines": 3}}), "C01a: logged_zeros: .*'lines'"),
        (lambda c: _first(c).update(effect={"fall_from_peak": {"arm": "good"}}), "C01a: unknown arm 'good'"),
        (lambda c: _first(c).update(below=0.5), "C01a: .*: give exactly one of above, below, within"),
        (lambda c: c["claims"][1]["predictions"][0].update(within=0), "C02a: nothing is within ±0"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, change, message):
    content = copy.deepcopy(CONTENT)
    change(content)
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ValueError, match=f"^claims.yaml: .*{message}"):
        read_claims(path)


def test_a_file_that_is_not_yaml_is_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("claims: [")
    with pytest.raises(ValueError, match=r"^claims\.yaml: while parsing .*$"):
        read_claims(path)
