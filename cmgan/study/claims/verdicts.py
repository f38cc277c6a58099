"""From effects to verdicts, by rules written beforehand: of a prediction, of a claim, of a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isnan

import pandas as pd

from cmgan.study.claims.effects import Effect, Evidence, Missing
from cmgan.study.claims.rules import Claim, Prediction, Rule, Verdict, read_claims
from cmgan.study.run_results import RunResults

LEAST_SEEDS = 2
NO_COLLAPSE = (
    "PESQ of the published recipe did not certainly collapse in this run: it takes a longer or larger one"
)
SHOWN_FIELDS = ("estimate", "low95", "high95", "low", "high", "n", "unit", "scale")


@dataclass(frozen=True)
class Judged:
    """A prediction, or a control, with what was found and what follows."""

    prediction: Prediction
    found: Effect | Missing
    verdict: Verdict

    @property
    def leaning(self) -> Verdict:
        """What the 95 % interval that is shown says by itself, not guarded for the number of predictions."""
        return judge(_as_shown(self.found), self.prediction.rule)


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its predictions judged; reason says in words why it is not decided, else empty."""

    claim: Claim
    predictions: tuple[Judged, ...]
    verdict: Verdict
    reason: str

    @property
    def deciding(self) -> tuple[Judged, ...]:
        """The predictions that enter the verdict."""
        return tuple(judged for judged in self.predictions if judged.prediction.decides)

    @property
    def leading(self) -> Judged:
        """The prediction that stands for the claim in one line: one that made the verdict, else the first found."""
        found = [judged for judged in self.deciding if isinstance(judged.found, Effect)]
        made = [judged for judged in found if judged.verdict == self.verdict]
        return (made + found + [*self.deciding])[0]


@dataclass(frozen=True)
class JudgedRun:
    """All claims and controls of a run; level is that of the deciding intervals."""

    claims: tuple[JudgedClaim, ...]
    controls: tuple[Judged, ...]
    level: float

    @property
    def predictions(self) -> tuple[Judged, ...]:
        """Every prediction of every claim, then the controls."""
        return tuple(judged for claim in self.claims for judged in claim.predictions) + self.controls

    @property
    def collapsed(self) -> bool:
        """Whether the collapse that claims are about certainly appeared."""
        collapses = [control for control in self.controls if control.prediction.role == "collapse"]
        return any(control.verdict == Verdict.SUPPORTED for control in collapses)


def judge(effect: Effect | Missing, rule: Rule) -> Verdict:
    """What the deciding interval says by the rule (see `Rule.verdict`).

    Where training is involved, that also needs at least two seeds and every seed's own estimate to say the same.
    """
    if isinstance(effect, Missing):
        return Verdict.NOT_TESTABLE
    if isnan(effect.estimate) or isnan(effect.low) or isnan(effect.high):
        return Verdict.INCONCLUSIVE
    by_interval = rule.verdict(effect.low, effect.high)
    if not effect.by_seed:
        return by_interval
    agree = all(rule.verdict(value, value) == by_interval for value in effect.by_seed)
    return by_interval if agree and len(effect.by_seed) >= LEAST_SEEDS else Verdict.INCONCLUSIVE


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim's verdict from those of its deciding predictions.

    Refuted by one refuted prediction, supported by nothing less than all; not testable without evidence for any.
    """
    given = set(verdicts)
    if given <= {Verdict.NOT_TESTABLE}:
        return Verdict.NOT_TESTABLE
    if Verdict.REFUTED in given:
        return Verdict.REFUTED
    return Verdict.SUPPORTED if given == {Verdict.SUPPORTED} else Verdict.INCONCLUSIVE


def judge_prediction(prediction: Prediction, run: Evidence) -> Judged:
    """A prediction judged on a run at the level of its evidence."""
    found = prediction.find(run)
    judged = Judged(prediction, found, judge(found, prediction.rule))
    if prediction.role != "collapse":
        return judged
    # Whether there is a collapse to explain is asked before all claims and is none of them: the 95 % interval.
    return Judged(prediction, _as_shown(found), judged.leaning)


def judge_claim(claim: Claim, run: Evidence, collapsed: bool) -> JudgedClaim:
    """A claim judged on a run; collapsed: whether PESQ certainly collapsed there."""
    predictions = tuple(judge_prediction(prediction, run) for prediction in claim.predictions)
    deciding = [judged for judged in predictions if judged.prediction.decides]
    verdict, reason = combine([judged.verdict for judged in deciding]), ""
    if verdict == Verdict.NOT_TESTABLE:
        reason = _reasons(deciding)
    elif claim.about_collapse and not collapsed:
        verdict, reason = Verdict.NOT_TESTABLE, NO_COLLAPSE
    elif verdict == Verdict.INCONCLUSIVE:
        reason = _why_inconclusive(deciding)
    return JudgedClaim(claim, predictions, verdict, reason)


def judge_run(results: RunResults) -> JudgedRun:
    """Judge every claim on a run's files; what is missing makes a claim not testable, never an error."""
    claims = read_claims()
    run = Evidence(results, claims.level)
    controls = tuple(judge_prediction(control, run) for control in claims.controls)
    judged = JudgedRun((), controls, claims.level)
    return replace(judged, claims=tuple(judge_claim(claim, run, judged.collapsed) for claim in claims.claims))


def claims_frame(run: JudgedRun) -> pd.DataFrame:
    """One row per claim, prediction and control, for claims.csv.

    Columns: claim, title, sentence, source, claim_verdict, claim_reason, figures ("a;b"), prediction, says, decides,
    relation, margin, around, verdict, level, missing, estimate, low95, high95, low, high (at `level`), n, unit,
    scale, seeds, by_seed ("a;b"), detail.
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
        rows += [head | judged_row(judged, run.level) for judged in judged_claim.predictions]
    for control in run.controls:
        head = {"claim": control.prediction.id, "title": f"control: {control.prediction.role}"}
        rows.append(head | judged_row(control, run.level))
    return pd.DataFrame(rows)


def judged_row(judged: Judged, level: float) -> dict[str, object]:
    """A judged prediction as a row of `claims_frame`."""
    prediction, found = judged.prediction, judged.found
    row: dict[str, object] = {
        "prediction": prediction.id,
        "says": prediction.says,
        "decides": prediction.decides,
        **asdict(prediction.rule),
        "verdict": str(judged.verdict),
        "level": level,
    }
    if isinstance(found, Missing):
        return row | {"missing": found.reason}
    by_seed = ";".join(f"{value:.6g}" for value in found.by_seed)
    seeds = {"seeds": len(found.by_seed), "by_seed": by_seed, "detail": found.detail}
    return row | {name: getattr(found, name) for name in SHOWN_FIELDS} | seeds


def _as_shown(found: Effect | Missing) -> Effect | Missing:
    return found if isinstance(found, Missing) else replace(found, low=found.low95, high=found.high95)


def _reasons(judged: Sequence[Judged]) -> str:
    return "; ".join(dict.fromkeys(one.found.reason for one in judged if isinstance(one.found, Missing)))


def _why_inconclusive(deciding: Sequence[Judged]) -> str:
    def with_verdict(verdict: Verdict) -> list[str]:
        return [judged.prediction.id for judged in deciding if judged.verdict == verdict]

    parts = []
    if supported := with_verdict(Verdict.SUPPORTED):
        parts.append(f"{len(supported)} of {len(deciding)} predictions supported, none refuted")
    if unclear := with_verdict(Verdict.INCONCLUSIVE):
        parts.append(f"interval or seeds leave {', '.join(unclear)} open")
    if missing := with_verdict(Verdict.NOT_TESTABLE):
        parts.append(f"no evidence for {', '.join(missing)} ({_reasons(deciding)})")
    return "; ".join(parts)
