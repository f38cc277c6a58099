"""What the verdicts say and what they mean for one's own code, in words put together from the judged run."""

from cmgan.study.arm_styles import arm_label
from cmgan.study.claims.judging import Judged, JudgedClaim, JudgedControl, JudgedRun
from cmgan.study.claims.rules import Prediction
from cmgan.study.claims.verdicts import FAMILY_ERROR, Effect, Missing, Rule, Scale, Verdict
from cmgan.study.comparison.words import bounds, in_words, number
from cmgan.study.margins import MARGIN_PESQ

STYLES: dict[Scale, str] = {
    "pesq": "+.2f",
    "share": ".1%",
    "relative": "+.1%",
    "plain": ".2f",
    "outcome": ".0f",
}
CRITERIA = {"loss": "loss", "pesq": "PESQ"}
TINY = 0.005  # below this, two decimals would show nothing
ROLE_WORDS = {
    "collapse": "The collapse",
    "positive": "Positive control",
    "negative": "Negative control",
    "remainder": "Besides the claims",
}


def effect_in_words(found: Effect | Missing) -> str:
    """Estimate, 95 % interval, n and the range of the seeds; for a missing effect the reason."""
    if isinstance(found, Missing):
        return f"no evidence: {found.reason}"
    text = f"{estimate_in_words(found)}, {sample_in_words(found)}"
    if len(found.by_seed) > 1:
        style = _style_of(found)
        low, high = (number(value, style) for value in (min(found.by_seed), max(found.by_seed)))
        text += f" ({low} to {high})"
    named = found.detail and found.scale != "outcome"
    return f"{text}; {found.detail.replace('_', ' ')}" if named else text


def estimate_in_words(found: Effect) -> str:
    """Estimate with its 95 % interval, or yes or no."""
    if found.scale == "outcome":
        return f"{found.detail}: {'yes' if found.estimate else 'no'}"
    style = _style_of(found)
    return f"{number(found.estimate, style)} {bounds(found.low95, found.high95, style)}"


def sample_in_words(found: Effect) -> str:
    """What the interval speaks for: n, its unit, and the number of seeds where networks were trained."""
    seeds = len(found.by_seed)
    return f"{found.n} {found.unit}" + (f" × {seeds} seed{'s' * (seeds != 1)}" if seeds else "")


def rule_in_words(rule: Rule, scale: Scale = "plain") -> str:
    """The rule with its margin, e.g. "above 0.1 PESQ"."""
    share = scale in ("share", "relative")
    if scale == "outcome":
        return "yes" if rule.relation == "above" else "no"
    unit = " PESQ" if scale == "pesq" else ""
    margin, around = (f"{100 * value:g} %" if share else f"{value:g}" for value in (rule.margin, rule.around))
    if rule.relation == "within":
        return f"within {margin} of {around}{unit}" if rule.around else f"within ±{margin}{unit}"
    return f"{rule.relation} {margin}{unit}"


def contrast(prediction: Prediction, detail: str = "") -> str:
    """What a prediction about the PESQ of trained networks compares, short enough for a figure; empty for others."""
    given = {name: arm_label(str(value)) for name, value in prediction.arguments.items()}
    match prediction.function:
        case "final_difference":
            return f"{given['first']} − {given['second']}"
        case "best_difference":
            return f"best arm ({arm_label(detail)}) − {given['baseline']}"
        case "fall_from_peak":
            return f"fall of {given['arm']} from its peak"
        case "early_stopping_gain":
            criterion = CRITERIA[given["criterion"]]
            return f"{given['arm']}: stopped by {criterion} ({given['patience']} epochs) − not stopped"
    return ""


def verdicts_in_words(run: JudgedRun) -> str:
    """How many claims have which verdict, and which."""
    parts = []
    for verdict in Verdict:
        names = [claim.claim.id for claim in run.claims if claim.verdict == verdict]
        if names:
            parts.append(f"{len(names)} {verdict} ({', '.join(names)})")
    return f"{len(run.claims)} claims: {'; '.join(parts)}."


def rule_of(judged: Judged) -> str:
    """The rule of a judged prediction, with the unit of what was found."""
    scale = judged.found.scale if isinstance(judged.found, Effect) else judged.prediction.scale
    return rule_in_words(judged.prediction.rule, scale)


def rules_in_words(run: JudgedRun) -> list[str]:
    """The rules that hold for all claims."""
    return [
        f"Deciding intervals have a level of {100 * run.level:.2f} %, so that all predictions and controls together "
        f"err in at most {100 * FAMILY_ERROR:g} % of such studies (Bonferroni, whatever this run could test); the "
        "intervals shown have 95 %. Means have the wider of the BCa bootstrap's and Student's bounds, shares exact "
        "ones.",
        "A prediction is **supported** when its whole deciding interval obeys its rule, **refuted** when the whole "
        "interval breaks it, else **inconclusive**. Where networks were trained, two seeds at least are needed and "
        "every seed alone has to say the same.",
        "Intervals are over utterances (steps, crops, log lines), for these trained networks. What other seeds would "
        "give is judged by their agreement alone: with S seeds, an effect that lies exactly at the margin still "
        "passes in up to one of 2^S studies.",
        f"A difference of PESQ matters from {MARGIN_PESQ:g} on. A claim is refuted when one of its deciding "
        "predictions is, supported when all are, not testable when there is evidence for none. Claims about the "
        "collapse are decided only where a control says, by its 95 % interval, that there was one.",
    ]


def controls_in_words(run: JudgedRun) -> list[str]:
    """Whether what must appear did, a sentence a control (Markdown)."""
    return [_control_in_words(control) for control in run.controls if control.control.role != "remainder"]


def to_change(run: JudgedRun) -> list[str]:
    """What to change in one's code, the largest effect on PESQ first, each with its evidence (Markdown)."""
    return [
        f"**{claim.claim.advice[claim.verdict].text}** {_evidence_of(claim)}"
        for claim in sorted(_advised(run, "change"), key=_effect_on_pesq, reverse=True)
    ]


def to_leave(run: JudgedRun) -> list[str]:
    """What not to bother with, with the evidence for each line (Markdown)."""
    return [
        f"**{claim.claim.advice[claim.verdict].text}** {_evidence_of(claim)}"
        for claim in _advised(run, "leave")
    ]


def points_towards(run: JudgedRun) -> list[str]:
    """Changes of claims that are not decided, though 95 % intervals support a prediction and refute none (Markdown).

    Where a claim is about final PESQ, it takes a prediction about that.
    """
    lines = []
    for claim in run.claims:
        advice = claim.claim.advice.get(Verdict.SUPPORTED)
        undecided = claim.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE)
        about_pesq = [judged for judged in claim.deciding if _is_about_pesq(judged)]
        leanings = [judged.leaning for judged in about_pesq or claim.deciding]
        refuted = any(judged.leaning == Verdict.REFUTED for judged in claim.deciding)
        if advice and undecided and Verdict.SUPPORTED in leanings and not refuted:
            evidence = "; ".join(
                f"“{judged.prediction.says}”: {effect_in_words(judged.found)}"
                for judged in claim.deciding
                if judged.leaning == Verdict.SUPPORTED
            )
            lines.append(f"**{advice.text}** ({claim.claim.id}; {evidence}) Not decided: {claim.reason}.")
    return lines


def unknown(run: JudgedRun) -> list[str]:
    """What this run leaves open, what it would take, and what no claim explains (Markdown)."""
    lines = [_control_in_words(control) for control in run.controls if control.control.role == "remainder"]
    for claim in run.claims:
        if claim.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE):
            arms = _arms_to_run(claim)
            needed = f" To run: {in_words(f'`{arm}`' for arm in arms)}." if arms else ""
            lines.append(
                f"{claim.claim.id}, {_lowered(claim.claim.title)}: {claim.verdict}. {_sentence(claim.reason)}{needed}"
            )
    return lines


def _control_in_words(control: JudgedControl) -> str:
    judged = control.judged
    if control.met:
        outcome = "yes"
    elif isinstance(judged.found, Missing):
        outcome = "not known"
    else:
        outcome = "no" if judged.verdict == Verdict.REFUTED else "not certain"
    return (
        f"{ROLE_WORDS[control.control.role]} ({judged.prediction.id}): {judged.prediction.says}? **{outcome}** "
        f"({effect_in_words(judged.found)})"
    )


def _advised(run: JudgedRun, kind: str) -> list[JudgedClaim]:
    return [
        claim
        for claim in run.claims
        if claim.verdict in claim.claim.advice and claim.claim.advice[claim.verdict].kind == kind
    ]


def _effect_on_pesq(claim: JudgedClaim) -> float:
    effects = [judged.found for judged in claim.deciding if _is_about_pesq(judged)]
    return max((abs(effect.estimate) for effect in effects), default=0.0)


def _is_about_pesq(judged: Judged) -> bool:
    return isinstance(judged.found, Effect) and judged.found.scale == "pesq"


def _style_of(found: Effect) -> str:
    style = STYLES[found.scale]
    if max(abs(found.estimate), abs(found.high95)) < TINY:
        return ".1g" if found.estimate else style
    return style


def _evidence_of(claim: JudgedClaim) -> str:
    parts = [
        f"“{judged.prediction.says}” {judged.verdict}: {effect_in_words(judged.found)}"
        for judged in claim.deciding
        if judged.verdict == claim.verdict
    ]
    return f"({claim.claim.id}; {'; '.join(parts)})"


def _arms_to_run(claim: JudgedClaim) -> list[str]:
    arms = [
        arm
        for judged in claim.deciding
        for arm in judged.prediction.arms
        if isinstance(judged.found, Missing) and f"arm {arm} was not run" in judged.found.reason
    ]
    return list(dict.fromkeys(arms))


def _lowered(title: str) -> str:
    return title if title[:2].isupper() else f"{title[0].lower()}{title[1:]}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
