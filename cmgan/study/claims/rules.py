"""The claims under test with their decision rules, read from claims.yaml and checked before anything is judged."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isnan
from pathlib import Path
from string import ascii_lowercase
from types import ModuleType
from typing import Literal, get_args

import yaml

from cmgan.statistics import MARGIN_PESQ
from cmgan.study.arms import arm
from cmgan.study.branches import evidence as branch_evidence
from cmgan.study.claims import evidence
from cmgan.study.claims.effects import Effect, Evidence, Missing, MissingEvidenceError, Scale
from cmgan.study.objective import evidence as objective_evidence

CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
Relation = Literal["above", "below", "within"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
Role = Literal["collapse", "positive", "negative", "remainder"]
ROLES: tuple[Role, ...] = get_args(Role)
ARM_ARGUMENTS = ("arm", "first", "second", "baseline")
# A public function of these modules takes a run's evidence and the arguments that the claims file gives it.
FUNCTIONS: dict[str, Callable[..., Effect]] = {
    name: function
    for module in (evidence, branch_evidence, objective_evidence)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}


def _of(module: ModuleType) -> frozenset[str]:
    return frozenset(name for name, function in FUNCTIONS.items() if function.__module__ == module.__name__)


FROM_BRANCHES, FROM_OBJECTIVE = _of(branch_evidence), _of(objective_evidence)
# Minimising an objective is arithmetic on given clips, and two processes are in step or not: no chance is in it that
# could err in a share of studies.
DETERMINISTIC = FROM_OBJECTIVE | {"desynchronised"}


class Verdict(StrEnum):
    """What can be said of a prediction or a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTABLE = "not testable at this scale"


@dataclass(frozen=True)
class Rule:
    """What the effect must be: above or below `margin`, or within ±margin of `around`."""

    relation: Relation
    margin: float
    around: float = 0.0

    def p_values(self, effect: Effect) -> tuple[float, float]:
        """p-values for the rule and for its opposite; below 5 % exactly where the 95 % interval says so.

        Two one-sided tests, each doubled. Source for `within`: Schuirmann (1987), two one-sided tests.
        """
        if isnan(effect.low) or isnan(effect.high):
            return 1.0, 1.0
        if self.relation == "within":
            (over_low, under_low), (over_high, under_high) = map(
                effect.test, (self.around - self.margin, self.around + self.margin)
            )
            pro, contra = max(over_low, under_high), min(under_low, over_high)
        else:
            pro, contra = effect.test(self.margin)
            if self.relation == "below":
                pro, contra = contra, pro
        return min(1.0, 2 * pro), min(1.0, 2 * contra)


@dataclass(frozen=True)
class Prediction:
    """What must be so: a rule on one effect, given as the name of an evidence function and its arguments.

    scale: how to write the margin where no effect was found. role: of a control, which has to appear if the study
    works, or may remain unexplained (`remainder`); a claim about the collapse is decided only where a control of role
    `collapse` is met that looks where its primary prediction does, at branches or at trainings from scratch.
    """

    id: str
    says: str
    function: str
    arguments: dict[str, str | int | float | list]
    rule: Rule
    scale: Scale = "plain"
    role: Role | None = None

    @property
    def of_branches(self) -> bool:
        """Whether the effect is one of branches, not of trainings from scratch."""
        return self.function in FROM_BRANCHES

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms whose training the effect needs."""
        return tuple(str(self.arguments[name]) for name in ARM_ARGUMENTS if name in self.arguments)

    def find(self, run: Evidence) -> Effect | Missing:
        """The effect in a run, or why there is none."""
        try:
            return FUNCTIONS[self.function](run, **self.arguments)
        except MissingEvidenceError as error:
            return Missing(str(error))


@dataclass(frozen=True)
class Advice:
    """What a verdict means for one's own code: something to change, or something to leave alone."""

    kind: Literal["change", "leave"]
    text: str


@dataclass(frozen=True, eq=False)
class Claim:
    """One claim: the sentence it tests with its source, what it predicts, and what its verdict would mean.

    changed: what of its rule was changed after data had been seen, and when; empty where nothing was.
    """

    id: str
    title: str
    sentence: str
    source: str
    figures: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    advice: dict[Verdict, Advice]
    about_collapse: bool = False
    note: str = ""
    changed: str = ""

    @property
    def primary(self) -> Prediction:
        """The prediction that decides: the first."""
        return self.predictions[0]


@dataclass(frozen=True)
class Claims:
    """Everything in the claims file."""

    claims: tuple[Claim, ...]
    controls: tuple[Prediction, ...]


def read_claims(path: Path = CLAIMS_FILE) -> Claims:
    """The claims file, checked; ValueError names the file, the entry and what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML ({error})".replace("\n", " ")) from None
    try:
        _check_keys("the file", content, ("controls", "claims"))
        claims = tuple(map(_claim, content["claims"]))
        controls = tuple(map(_control, content["controls"]))
        names = [entry.id for entry in claims + controls]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the id {name} occurs twice")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    return Claims(claims, controls)


def _claim(entry: object) -> Claim:
    required = ("id", "title", "sentence", "source", "figures", "predictions", "advice")
    _check_keys("a claim", entry, required, ("about_collapse", "note", "changed"))
    name, parts = entry["id"], entry["predictions"]
    predictions = tuple(
        _prediction(f"{name}{letter}", part) for letter, part in zip(ascii_lowercase, parts, strict=False)
    )
    if not predictions:
        raise ValueError(f"{name}: no prediction decides it")
    converted = {
        "figures": tuple(entry["figures"]),
        "predictions": predictions,
        "advice": _advice(name, entry["advice"]),
    }
    return Claim(**entry | converted)


def _control(entry: object) -> Prediction:
    _check_keys("a control", entry, ("id", "role", "says", "effect"), ("around", *RELATIONS))
    if entry["role"] not in ROLES:
        raise ValueError(f"{entry['id']}: role {entry['role']!r} is none of {', '.join(ROLES)}")
    rest = {key: value for key, value in entry.items() if key not in ("id", "role")}
    return replace(_prediction(entry["id"], rest), role=entry["role"])


def _prediction(name: str, entry: object) -> Prediction:
    _check_keys(name, entry, ("says", "effect"), ("around", *RELATIONS))
    effect = entry["effect"]
    if not isinstance(effect, Mapping) or len(effect) != 1:
        raise ValueError(f"{name}: effect is {effect!r}: give one evidence function with its arguments")
    ((function, arguments),) = effect.items()
    relations = [relation for relation in RELATIONS if relation in entry]
    if len(relations) != 1:
        raise ValueError(f"{name}: give exactly one of {', '.join(RELATIONS)}")
    (relation,) = relations
    is_pesq = entry[relation] == "pesq"
    margin = MARGIN_PESQ if is_pesq else entry[relation]
    if not isinstance(margin, int | float) or (relation == "within" and margin <= 0):
        raise ValueError(f"{name}: margin {margin!r}: use a number or one of pesq")
    prediction = Prediction(
        name,
        entry["says"],
        function,
        arguments or {},
        Rule(relation, float(margin), float(entry.get("around", 0.0))),
        scale="pesq" if is_pesq else "plain",
    )
    if function not in FUNCTIONS:
        known = ", ".join(sorted(FUNCTIONS))
        raise ValueError(f"{name}: unknown evidence {function!r}: use one of {known}")
    try:
        inspect.signature(FUNCTIONS[function]).bind(None, **prediction.arguments)
        for needed in prediction.arms:
            arm(needed)
    except TypeError as error:
        raise ValueError(f"{name}: evidence {function}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return prediction


def _advice(name: str, entry: object) -> dict[Verdict, Advice]:
    _check_keys(f"{name}, advice", entry, (), (Verdict.SUPPORTED.value, Verdict.REFUTED.value))
    advice = {}
    for verdict, given in entry.items():
        if not isinstance(given, Mapping) or list(given) not in (["change"], ["leave"]):
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
