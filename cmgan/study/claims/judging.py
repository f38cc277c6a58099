"""A run judged: every prediction, every control and every claim, with the effects behind them."""

from dataclasses import dataclass, replace

import pandas as pd

from cmgan.study.claims.evidence import Evidence
from cmgan.study.claims.evidence_functions import find
from cmgan.study.claims.rules import Claim, Claims, Control, Prediction, read_claims
from cmgan.study.claims.verdicts import Effect, Missing, Verdict, combine, judge
from cmgan.study.run_results import RunResults

NO_COLLAPSE = (
    "PESQ of the published recipe did not certainly collapse in this run: it takes a longer or larger one"
)


@dataclass(frozen=True)
class Judged:
    """A prediction with what was found and what follows."""

    prediction: Prediction
    found: Effect | Missing
    verdict: Verdict

    @property
    def leaning(self) -> Verdict:
        """What the 95 % interval that is shown says by itself, not guarded for the number of predictions."""
        return judge(_as_shown(self.found), self.prediction.rule)


@dataclass(frozen=True)
class JudgedControl:
    """A control with its judged prediction; it is met when that is supported."""

    control: Control
    judged: Judged

    @property
    def met(self) -> bool:
        return self.judged.verdict == Verdict.SUPPORTED


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its predictions judged; reason says in words why it is not decided, else empty."""

    claim: Claim
    predictions: tuple[Judged, ...]
    verdict: Verdict
    reason: str

    @property
    def deciding(self) -> tuple[Judged, ...]:
        return tuple(judged for judged in self.predictions if judged.prediction.decides)

    @property
    def leading(self) -> Judged:
        """The prediction that stands for the claim in one line: one that made the verdict, else the first found."""
        made = [judged for judged in self.deciding if judged.verdict == self.verdict]
        found = [judged for judged in self.deciding if isinstance(judged.found, Effect)]
        return next((one for one in made if one in found), next(iter(found), self.deciding[0]))


@dataclass(frozen=True)
class JudgedRun:
    """All claims and controls of a run; level is that of the deciding intervals."""

    claims: tuple[JudgedClaim, ...]
    controls: tuple[JudgedControl, ...]
    level: float

    @property
    def collapsed(self) -> bool:
        """Whether the collapse that claims are about certainly appeared."""
        return any(control.met for control in self.controls if control.control.role == "collapse")


def judge_run(results: RunResults, claims: Claims | None = None) -> JudgedRun:
    """Judge every claim on a run's files; what is missing makes a claim not testable, never an error."""
    claims = claims or read_claims()
    available = Evidence(results, claims.level)

    def judged(prediction: Prediction) -> Judged:
        found = find(available, prediction.function, prediction.arguments)
        return Judged(prediction, found, judge(found, prediction.rule))

    def controlled(control: Control) -> JudgedControl:
        one = judged(control.prediction)
        if control.role != "collapse":
            return JudgedControl(control, one)
        # Whether there is a collapse to explain is asked before all claims and is none of them: the 95 % interval.
        return JudgedControl(control, Judged(one.prediction, _as_shown(one.found), one.leaning))

    controls = tuple(map(controlled, claims.controls))
    collapsed = JudgedRun((), controls, claims.level).collapsed
    return JudgedRun(
        tuple(
            _judged_claim(claim, tuple(map(judged, claim.predictions)), collapsed) for claim in claims.claims
        ),
        controls,
        claims.level,
    )


def claims_frame(run: JudgedRun) -> pd.DataFrame:
    """One row per claim, prediction and control, for claims.csv.

    Columns: claim, title, sentence, source, claim_verdict, claim_reason, prediction, says, decides, relation,
    margin, around, verdict, missing, estimate, low95, high95, low, high (at `level`), level, n, unit, scale, seeds,
    by_seed ("a;b"), detail, figures ("a;b").
    """
    rows = []
    for judged_claim in run.claims:
        claim = judged_claim.claim
        head = {
            "claim": claim.id,
            "title": claim.title,
            "sentence": claim.sentence,
            "source": claim.source,
            "claim_verdict": str(judged_claim.verdict),
            "claim_reason": judged_claim.reason,
            "figures": ";".join(claim.figures),
        }
        rows += [head | _row(judged, run.level) for judged in judged_claim.predictions]
    for control in run.controls:
        head = {"claim": control.judged.prediction.id, "title": f"control: {control.control.role}"}
        rows.append(head | _row(control.judged, run.level))
    return pd.DataFrame(rows)


def _as_shown(found: Effect | Missing) -> Effect | Missing:
    return found if isinstance(found, Missing) else replace(found, low=found.low95, high=found.high95)


def _judged_claim(claim: Claim, predictions: tuple[Judged, ...], collapsed: bool) -> JudgedClaim:
    deciding = [judged for judged in predictions if judged.prediction.decides]
    verdict = combine([judged.verdict for judged in deciding])
    missing = [judged.found.reason for judged in deciding if isinstance(judged.found, Missing)]
    if verdict == Verdict.NOT_TESTABLE:
        return JudgedClaim(claim, predictions, verdict, "; ".join(dict.fromkeys(missing)))
    if claim.about_collapse and not collapsed:
        return JudgedClaim(claim, predictions, Verdict.NOT_TESTABLE, NO_COLLAPSE)
    if verdict == Verdict.INCONCLUSIVE:
        return JudgedClaim(claim, predictions, verdict, _why_inconclusive(deciding))
    return JudgedClaim(claim, predictions, verdict, "")


def _why_inconclusive(deciding: list[Judged]) -> str:
    parts = []
    supported = sum(judged.verdict == Verdict.SUPPORTED for judged in deciding)
    if supported:
        parts.append(f"{supported} of {len(deciding)} predictions supported, none refuted")
    unclear = [judged for judged in deciding if judged.verdict == Verdict.INCONCLUSIVE]
    if unclear:
        parts.append(f"interval or seeds leave {_names(unclear)} open")
    missing = [judged for judged in deciding if isinstance(judged.found, Missing)]
    if missing:
        reasons = dict.fromkeys(judged.found.reason for judged in missing)
        parts.append(f"no evidence for {_names(missing)} ({'; '.join(reasons)})")
    return "; ".join(parts)


def _names(judged: list[Judged]) -> str:
    return ", ".join(one.prediction.id for one in judged)


def _row(judged: Judged, level: float) -> dict[str, object]:
    prediction, found = judged.prediction, judged.found
    row: dict[str, object] = {
        "prediction": prediction.id,
        "says": prediction.says,
        "decides": prediction.decides,
        "relation": prediction.rule.relation,
        "margin": prediction.rule.margin,
        "around": prediction.rule.around,
        "verdict": str(judged.verdict),
        "level": level,
    }
    if isinstance(found, Missing):
        return row | {"missing": found.reason}
    return row | {
        "estimate": found.estimate,
        "low95": found.low95,
        "high95": found.high95,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "unit": found.unit,
        "scale": found.scale,
        "seeds": len(found.by_seed),
        "by_seed": ";".join(f"{value:.6g}" for value in found.by_seed),
        "detail": found.detail,
    }
