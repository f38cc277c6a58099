"""From effects to verdicts, by rules written beforehand: of a prediction, of a claim, of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path

import pandas as pd

from cmgan.statistics import ERROR, holm
from cmgan.study.claims.rules import DETERMINISTIC, Claim, Prediction, Verdict, read_claims
from cmgan.study.effects import Effect, Evidence, Missing
from cmgan.study.run_results import RunResults

NO_COLLAPSE = {
    True: "no branch of this run certainly fell, so that there was no collapse to explain",
    False: "PESQ of the published recipe did not certainly fall in this run: what would cause or cure its collapse "
    "cannot be seen here",
}
SHOWN_FIELDS = ("estimate", "low", "high", "n", "unit", "scale")


@dataclass(frozen=True)
class Judged:
    """A prediction, or a control, with what was found and what follows.

    p: the smaller p-value, of the rule or of its opposite, alone. adjusted: the same by Holm's procedure over all
    primary predictions of the run, where this is one of them.
    """

    prediction: Prediction
    found: Effect | Missing
    verdict: Verdict
    p: float = 1.0
    adjusted: float | None = None

    @property
    def leaning(self) -> Verdict:
        """What the 95 % interval says by itself, not guarded for the number of claims."""
        return judge(self.prediction, self.found).verdict


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its predictions judged, the primary one first; reason says in words why it is not decided."""

    claim: Claim
    predictions: tuple[Judged, ...]
    verdict: Verdict
    reason: str

    @property
    def primary(self) -> Judged:
        """The prediction that decides."""
        return self.predictions[0]


@dataclass(frozen=True)
class JudgedRun:
    """All claims and controls of a run; tested: how many primary predictions Holm's procedure had to guard."""

    claims: tuple[JudgedClaim, ...]
    controls: tuple[Judged, ...]
    tested: int

    @property
    def predictions(self) -> tuple[Judged, ...]:
        """Every prediction of every claim, then the controls."""
        return tuple(judged for claim in self.claims for judged in claim.predictions) + self.controls


def judge(prediction: Prediction, found: Effect | Missing, adjusted: float | None = None) -> Judged:
    """A prediction judged by its 95 % interval, or by its Holm-adjusted p-value where it has one.

    Supported when the interval obeys the rule as a whole, refuted when it breaks it as a whole, else inconclusive. An
    effect without an interval (a single seed) is inconclusive.
    """
    if isinstance(found, Missing):
        return Judged(prediction, found, Verdict.NOT_TESTABLE)
    pro, contra = prediction.rule.p_values(found)
    p = min(pro, contra)
    decided = (p if adjusted is None else adjusted) < ERROR
    side = Verdict.SUPPORTED if pro < contra else Verdict.REFUTED
    return Judged(prediction, found, side if decided else Verdict.INCONCLUSIVE, p, adjusted)


def collapse_seen(controls: Sequence[Judged], in_branches: bool) -> bool:
    """Whether a control of role `collapse` is met, among branches or among trainings from scratch."""
    return any(
        control.verdict == Verdict.SUPPORTED
        for control in controls
        if control.prediction.role == "collapse" and control.prediction.of_branches == in_branches
    )


def judge_claim(
    claim: Claim,
    found: Effect | Missing,
    run: Evidence,
    controls: Sequence[Judged],
    adjusted: float | None,
) -> JudgedClaim:
    """A claim judged on a run.

    found: for its primary prediction; adjusted: that one's p-value by Holm's procedure, if it is in one.
    """
    primary = judge(claim.primary, found, adjusted)
    others = tuple(judge(prediction, prediction.find(run)) for prediction in claim.predictions[1:])
    verdict, reason = primary.verdict, ""
    if isinstance(primary.found, Missing):
        reason = primary.found.reason
    elif claim.about_collapse and not collapse_seen(controls, claim.primary.of_branches):
        verdict, reason = Verdict.NOT_TESTABLE, NO_COLLAPSE[claim.primary.of_branches]
    elif verdict == Verdict.INCONCLUSIVE:
        reason = _why_inconclusive(primary)
    return JudgedClaim(claim, (primary, *others), verdict, reason)


def judge_run(results: RunResults, folders: Sequence[Path] = ()) -> JudgedRun:
    """Judge every claim on a run's files; what is missing makes a claim not testable, never an error.

    folders: where files are looked for, by default the run's own folder (see `Evidence`).
    """
    claims, run = read_claims(), Evidence(results, tuple(folders))
    controls = tuple(judge(control, control.find(run)) for control in claims.controls)
    found = {claim: claim.primary.find(run) for claim in claims.claims}
    adjusted = _adjusted(found, controls)
    judged = tuple(judge_claim(claim, found[claim], run, controls, adjusted.get(claim.id)) for claim in found)
    return JudgedRun(judged, controls, len(adjusted))


def claims_frame(run: JudgedRun) -> pd.DataFrame:
    """One row per claim, prediction and control, for claims.csv.

    Columns: claim, title, sentence, source, claim_verdict, claim_reason, changed, figures ("a;b"), prediction, says,
    primary, relation, margin, around, verdict, p, adjusted_p, missing, estimate, low, high (95 %), n, unit, scale,
    seeds, by_seed ("a;b"), detail.
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
            "changed": claim.changed,
            "figures": ";".join(claim.figures),
        }
        rows += [
            head | judged_row(judged, judged is judged_claim.primary) for judged in judged_claim.predictions
        ]
    for control in run.controls:
        head = {"claim": control.prediction.id, "title": f"control: {control.prediction.role}"}
        rows.append(head | judged_row(control, False))
    return pd.DataFrame(rows)


def judged_row(judged: Judged, primary: bool) -> dict[str, object]:
    """A judged prediction as a row of `claims_frame`."""
    prediction, found = judged.prediction, judged.found
    row: dict[str, object] = {
        "prediction": prediction.id,
        "says": prediction.says,
        "primary": primary,
        **asdict(prediction.rule),
        "verdict": str(judged.verdict),
    }
    if isinstance(found, Missing):
        return row | {"missing": found.reason}
    by_seed = ";".join(f"{value:.6g}" for value in found.by_seed)
    seeds = {"seeds": len(found.by_seed), "by_seed": by_seed, "detail": found.detail}
    p_values = {"p": judged.p, "adjusted_p": judged.adjusted}
    return row | p_values | {name: getattr(found, name) for name in SHOWN_FIELDS} | seeds


def _adjusted(found: Mapping[Claim, Effect | Missing], controls: Sequence[Judged]) -> dict[str, float]:
    """Holm-adjusted p-values, by claim, of the primary predictions tested here that chance could fool."""
    p_values = {}
    for claim, effect in found.items():
        seen = not claim.about_collapse or collapse_seen(controls, claim.primary.of_branches)
        testable = isinstance(effect, Effect) and not isnan(effect.low)
        if testable and seen and claim.primary.function not in DETERMINISTIC:
            p_values[claim.id] = judge(claim.primary, effect).p
    return dict(zip(p_values, holm([*p_values.values()]), strict=True))


def _why_inconclusive(primary: Judged) -> str:
    found = primary.found
    if found.n < 2:
        return f"one of the {found.unit} gives no interval"
    if primary.leaning == Verdict.INCONCLUSIVE:
        return "the 95 % interval leaves it open"
    return (
        f"the 95 % interval by itself says {primary.leaning}, which is not certain enough beside the other claims "
        f"(p = {primary.adjusted:.2g} by Holm's procedure)"
    )
