"""The claims under test with their decision rules, read from claims.yaml and checked before anything is judged."""

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from string import ascii_lowercase
from types import ModuleType
from typing import Literal, get_args

import yaml

from cmgan.statistics import MARGIN_PESQ
from cmgan.study.arms import arm
from cmgan.study.branches import evidence as branch_evidence
from cmgan.study.claims import evidence
from cmgan.study.effects import RELATIONS, Effect, Evidence, Missing, MissingEvidenceError, Rule, Scale
from cmgan.study.objective import evidence as objective_evidence

CLAIMS_FILE = Path(__file__).with_name("claims.yaml")
Role = Literal["collapse", "positive", "negative", "remainder"]
ROLES: tuple[Role, ...] = get_args(Role)
Kind = Literal["change", "leave"]
KINDS: tuple[Kind, ...] = get_args(Kind)
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

    kind: Kind
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
    with _named(path.name):
        return _claims(**yaml.safe_load(path.read_text()))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put a name before what goes wrong in what YAML holds, as a ValueError of one line."""
    try:
        yield
    except (yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{name}: {error}".replace("\n", " ")) from None


def _claims(claims: list[dict], controls: list[dict]) -> Claims:
    read = Claims(
        tuple(_entry(_claim, **entry) for entry in claims),
        tuple(_entry(_control, **entry) for entry in controls),
    )
    names = [entry.id for entry in read.claims + read.controls]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the id {repeated[0]} occurs twice")
    return read


def _entry(make: Callable[..., Claim | Prediction], id: str, **settings: object) -> Claim | Prediction:
    with _named(id):
        return make(id, **settings)


def _claim(id: str, figures: list, predictions: list, advice: dict, **said: str | bool) -> Claim:
    judged = tuple(
        _entry(_prediction, id=f"{id}{letter}", **part)
        for letter, part in zip(ascii_lowercase, predictions, strict=False)
    )
    if not judged:
        raise ValueError("no prediction decides it")
    meant = {Verdict(verdict): Advice(*_only(given, KINDS)) for verdict, given in advice.items()}
    return Claim(id, figures=tuple(figures), predictions=judged, advice=meant, **said)


def _control(id: str, role: Role, **settings: object) -> Prediction:
    if role not in ROLES:
        raise ValueError(f"role {role!r} is none of {', '.join(ROLES)}")
    return replace(_prediction(id, **settings), role=role)


def _prediction(id: str, says: str, effect: dict, around: float = 0.0, **rule: float | str) -> Prediction:
    function, arguments = _only(effect, FUNCTIONS)
    relation, margin = _only(rule, RELATIONS)
    scale = "pesq" if margin == "pesq" else "plain"
    decides = Rule(relation, MARGIN_PESQ if scale == "pesq" else float(margin), float(around))
    if relation == "within" and decides.margin <= 0:
        raise ValueError(f"nothing is within ±{margin}: give a margin above 0")
    prediction = Prediction(id, says, function, arguments or {}, decides, scale)
    with _named(function):
        inspect.signature(FUNCTIONS[function]).bind(None, **prediction.arguments)
    for needed in prediction.arms:
        arm(needed)
    return prediction


def _only(given: dict, known: Collection[str]) -> tuple:
    """The name and the value of the one setting that is given."""
    if len(given) != 1 or not given.keys() <= set(known):
        raise ValueError(f"{given!r}: give exactly one of {', '.join(known)}")
    return next(iter(given.items()))
