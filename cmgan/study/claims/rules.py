"""The claims under test with their decision rules, read from claims.yaml and checked before anything is judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Literal, get_args

import yaml

from cmgan.study.arms import arm
from cmgan.study.claims.evidence_functions import DETERMINISTIC, Arguments, check_call
from cmgan.study.claims.verdicts import Relation, Rule, Scale, Verdict, verdict_level
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.report.figure_words import WORDS

CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
MARGINS = {"pesq": MARGIN_PESQ}
RELATIONS: tuple[Relation, ...] = get_args(Relation)
Role = Literal["collapse", "positive", "negative", "remainder"]
ROLES: tuple[Role, ...] = get_args(Role)
DECIDED = (Verdict.SUPPORTED.value, Verdict.REFUTED.value)
ARM_ARGUMENTS = ("arm", "first", "second", "baseline")


@dataclass(frozen=True)
class Prediction:
    """What must be so: a rule on one effect, given as the name of an evidence function and its arguments.

    decides: whether it enters the claim's verdict or is only shown beside it. scale: how to write the margin where
    no effect was found.
    """

    id: str
    says: str
    function: str
    arguments: Arguments
    rule: Rule
    decides: bool = True
    scale: Scale = "plain"

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms whose training the effect needs."""
        return tuple(str(self.arguments[name]) for name in ARM_ARGUMENTS if name in self.arguments)


@dataclass(frozen=True)
class Control:
    """What has to appear if the study works, or may remain unexplained (role `remainder`).

    role `collapse`: without it no claim about the collapse is decided.
    """

    role: Role
    prediction: Prediction


@dataclass(frozen=True)
class Advice:
    """What a verdict means for one's own code: something to change, or something to leave alone."""

    kind: Literal["change", "leave"]
    text: str


@dataclass(frozen=True)
class Claim:
    """One claim: the sentence it tests with its source, what it predicts, and what its verdict would mean."""

    id: str
    title: str
    sentence: str
    source: str
    about_collapse: bool
    figures: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    advice: dict[Verdict, Advice]
    note: str = ""


@dataclass(frozen=True)
class Claims:
    """Everything in the claims file."""

    claims: tuple[Claim, ...]
    controls: tuple[Control, ...]

    @property
    def level(self) -> float:
        """Level of the intervals that decide: corrected for everything in the file, whatever a run tests.

        Predictions about the objective's minimum count in no family (see `DETERMINISTIC`).
        """
        predictions = [prediction for claim in self.claims for prediction in claim.predictions]
        drawn = [prediction for prediction in predictions if prediction.function not in DETERMINISTIC]
        return verdict_level(len(drawn) + len(self.controls))


def read_claims(path: Path = CLAIMS_FILE) -> Claims:
    """The claims file, checked; ValueError names the file, the entry and what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML ({error})".replace("\n", " ")) from None
    try:
        _check_keys("the file", content, ("controls", "claims"))
        claims = tuple(_claim(entry) for entry in content["claims"])
        controls = tuple(_control(entry) for entry in content["controls"])
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    names = [claim.id for claim in claims] + [control.prediction.id for control in controls]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path.name}: the id {name} occurs twice")
    return Claims(claims, controls)


def _claim(entry: object) -> Claim:
    _check_keys(
        "a claim",
        entry,
        ("id", "title", "sentence", "source", "figures", "predictions", "advice"),
        ("about_collapse", "note"),
    )
    name = entry["id"]
    predictions = tuple(
        _prediction(f"{name}{letter}", part)
        for letter, part in zip(ascii_lowercase, entry["predictions"], strict=False)
    )
    if not any(prediction.decides for prediction in predictions):
        raise ValueError(f"{name}: no prediction decides it")
    for figure in entry["figures"]:
        if figure not in WORDS:
            raise ValueError(f"{name}: unknown figure {figure!r}")
    return Claim(
        name,
        entry["title"],
        entry["sentence"],
        entry["source"],
        entry.get("about_collapse", False),
        tuple(entry["figures"]),
        predictions,
        _advice(name, entry["advice"]),
        entry.get("note", "").strip(),
    )


def _control(entry: object) -> Control:
    _check_keys("a control", entry, ("id", "role", "says", "effect"), ("around", *RELATIONS))
    if entry["role"] not in ROLES:
        raise ValueError(f"{entry['id']}: role {entry['role']!r} is none of {', '.join(ROLES)}")
    rest = {key: value for key, value in entry.items() if key not in ("id", "role")}
    return Control(entry["role"], _prediction(entry["id"], rest))


def _prediction(name: str, entry: object) -> Prediction:
    _check_keys(name, entry, ("says", "effect"), ("around", "beside", *RELATIONS))
    if not isinstance(entry["effect"], Mapping) or len(entry["effect"]) != 1:
        raise ValueError(
            f"{name}: effect is {entry['effect']!r}: give one evidence function with its arguments"
        )
    ((function, arguments),) = entry["effect"].items()
    relations = [relation for relation in RELATIONS if relation in entry]
    if len(relations) != 1:
        raise ValueError(f"{name}: give exactly one of {', '.join(RELATIONS)}")
    given = entry[relations[0]]
    margin = MARGINS.get(given, given)
    if not isinstance(margin, int | float) or (relations[0] == "within" and margin <= 0):
        raise ValueError(f"{name}: margin {margin!r}: use a number or one of {', '.join(MARGINS)}")
    rule = Rule(relations[0], float(margin), float(entry.get("around", 0.0)))
    prediction = Prediction(
        name,
        entry["says"],
        function,
        arguments or {},
        rule,
        decides=not entry.get("beside", False),
        scale="pesq" if given == "pesq" else "plain",
    )
    try:
        check_call(function, prediction.arguments)
        for needed in prediction.arms:
            arm(needed)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return prediction


def _advice(name: str, entry: object) -> dict[Verdict, Advice]:
    _check_keys(f"{name}, advice", entry, (), DECIDED)
    advice = {}
    for verdict, given in entry.items():
        if not isinstance(given, Mapping) or len(given) != 1 or not set(given) <= {"change", "leave"}:
            raise ValueError(f"{name}, advice if {verdict}: give one of change and leave with a sentence")
        ((kind, text),) = given.items()
        advice[Verdict(verdict)] = Advice(kind, text)
    return advice


def _check_keys(what: str, entry: object, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{what} is {entry!r}: give settings by name")
    label = f"{what} {entry['id']}" if "id" in entry else what
    lacking = [key for key in required if key not in entry]
    if lacking:
        raise ValueError(f"{label} lacks {', '.join(lacking)}")
    unknown = [str(key) for key in entry if key not in required + optional]
    if unknown:
        raise ValueError(f"{label} has the unknown setting {', '.join(unknown)}")
