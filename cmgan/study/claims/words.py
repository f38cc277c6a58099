"""What the verdicts say and what they mean for one's own code, as sentences and tables put together from them."""

from collections.abc import Sequence

import pandas as pd

from cmgan.statistics import MARGIN_PESQ
from cmgan.study.claims.effects import Effect, Missing, Scale
from cmgan.study.claims.rules import FAMILY_ERROR, Verdict
from cmgan.study.claims.verdicts import Judged, JudgedClaim, JudgedRun, claims_frame
from cmgan.study.comparison.words import bounds, in_words, number
from cmgan.study.report.tables import Table

STYLES: dict[Scale, str] = {
    "pesq": "+.2f",
    "share": ".1%",
    "relative": "+.1%",
    "plain": ".2f",
    "outcome": ".0f",
}
TINY = 0.005  # below this, two decimals would show nothing
ROLE_WORDS = {
    "collapse": "The collapse",
    "positive": "Positive control",
    "negative": "Negative control",
    "remainder": "Besides the claims",
}
# Whether what a control says did appear.
APPEARED = {
    Verdict.SUPPORTED: "yes",
    Verdict.REFUTED: "no",
    Verdict.INCONCLUSIVE: "not certain",
    Verdict.NOT_TESTABLE: "not known",
}
UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE)


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


def rule_of(judged: Judged) -> str:
    """The rule of a judged prediction with its margin, in the unit of what was found, e.g. "above 0.1 PESQ"."""
    rule, found = judged.prediction.rule, judged.found
    scale = found.scale if isinstance(found, Effect) else judged.prediction.scale
    if scale == "outcome":
        return "yes" if rule.relation == "above" else "no"
    share, unit = scale in ("share", "relative"), " PESQ" if scale == "pesq" else ""
    margin, around = (f"{100 * value:g} %" if share else f"{value:g}" for value in (rule.margin, rule.around))
    if rule.relation == "within":
        return f"within {margin} of {around}{unit}" if rule.around else f"within ±{margin}{unit}"
    return f"{rule.relation} {margin}{unit}"


def verdicts_in_words(run: JudgedRun) -> str:
    """How many claims have which verdict, and which."""
    by_verdict = {
        verdict: [one.claim.id for one in run.claims if one.verdict == verdict] for verdict in Verdict
    }
    parts = [f"{len(ids)} {verdict} ({', '.join(ids)})" for verdict, ids in by_verdict.items() if ids]
    return f"{len(run.claims)} claims: {'; '.join(parts)}."


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
    return [_control_in_words(control) for control in run.controls if control.prediction.role != "remainder"]


def to_change(run: JudgedRun) -> list[str]:
    """What to change in one's code, the largest effect on PESQ first, each with its evidence (Markdown)."""

    def effect_on_pesq(claim: JudgedClaim) -> float:
        return max((abs(judged.found.estimate) for judged in _about_pesq(claim.deciding)), default=0.0)

    return _advice_of(sorted(run.claims, key=effect_on_pesq, reverse=True), "change")


def to_leave(run: JudgedRun) -> list[str]:
    """What not to bother with, with the evidence for each line (Markdown)."""
    return _advice_of(run.claims, "leave")


def points_towards(run: JudgedRun) -> list[str]:
    """Changes of claims that are not decided, though 95 % intervals support a prediction and refute none (Markdown).

    Where a claim is about final PESQ, it takes a prediction about that.
    """
    lines = []
    for claim in run.claims:
        advice = claim.claim.advice.get(Verdict.SUPPORTED)
        leanings = [judged.leaning for judged in claim.deciding]
        telling = [judged.leaning for judged in _about_pesq(claim.deciding) or claim.deciding]
        clear = Verdict.SUPPORTED in telling and Verdict.REFUTED not in leanings
        if advice and claim.verdict in UNDECIDED and clear:
            evidence = "; ".join(
                f"“{judged.prediction.says}”: {effect_in_words(judged.found)}"
                for judged, leaning in zip(claim.deciding, leanings, strict=True)
                if leaning == Verdict.SUPPORTED
            )
            lines.append(f"**{advice.text}** ({claim.claim.id}; {evidence}) Not decided: {claim.reason}.")
    return lines


def unknown(run: JudgedRun) -> list[str]:
    """What this run leaves open, what it would take, and what no claim explains (Markdown)."""
    lines = [_control_in_words(control) for control in run.controls if control.prediction.role == "remainder"]
    for claim in run.claims:
        if claim.verdict in UNDECIDED:
            title, reason = claim.claim.title, claim.reason
            # An abbreviation keeps its capitals.
            title = title if title[:2].isupper() else f"{title[0].lower()}{title[1:]}"
            arms = dict.fromkeys(
                f"`{arm}`"
                for judged in claim.deciding
                for arm in judged.prediction.arms
                if isinstance(judged.found, Missing) and f"arm {arm} was not run" in judged.found.reason
            )
            needed = f" To run: {in_words(arms)}." if arms else ""
            lines.append(
                f"{claim.claim.id}, {title}: {claim.verdict}. {reason[0].upper()}{reason[1:]}.{needed}"
            )
    return lines


def claims_text(run: JudgedRun) -> pd.DataFrame:
    """The table of claims as text: claim, title, verdict, effect (of the prediction that stands for it), why."""
    rows = []
    for claim in run.claims:
        leading = claim.leading
        is_found = isinstance(leading.found, Effect)
        effect = f"{leading.prediction.says}: {effect_in_words(leading.found)}" if is_found else ""
        rows.append((claim.claim.id, claim.claim.title, str(claim.verdict), effect, claim.reason))
    return pd.DataFrame(rows, columns=["claim", "title", "verdict", "effect", "why not decided"])


def predictions_text(run: JudgedRun) -> pd.DataFrame:
    """Every prediction and control as text: prediction, what it says, its rule, what was found, its verdict."""
    rows = [
        {
            "prediction": one.prediction.id,
            "if it holds": one.prediction.says + ("" if one.prediction.decides else " (decides nothing)"),
            "rule": rule_of(one),
            "found": effect_in_words(one.found),
            "verdict": str(one.verdict),
        }
        for one in run.predictions
    ]
    return pd.DataFrame(rows)


def claims_markdown(run: JudgedRun) -> str:
    """The table of claims in Markdown, for a README: claim, verdict, and the effect or why there is no verdict."""
    rows = [
        f"| {claim} {title} | {verdict} | {effect or why} |\n"
        for claim, title, verdict, effect, why in claims_text(run).itertuples(index=False)
    ]
    return "".join(["| claim | verdict | on what |\n", "|---|---|---|\n", *rows])


def claims_table(run: JudgedRun) -> Table:
    """Verdict, effect and n of every claim, for a paper."""
    rows = [
        {
            "": claim.claim.id,
            "claim": claim.claim.title,
            "verdict": str(claim.verdict),
            "effect, 95 % interval": estimate_in_words(found) if isinstance(found, Effect) else "–",
            "n": sample_in_words(found) if isinstance(found, Effect) else "–",
        }
        for claim, found in ((claim, claim.leading.found) for claim in run.claims)
    ]
    return Table(
        "claims",
        "Verdicts on the claims",
        "Effect of the prediction that stands for each claim with its 95 % interval over n; verdicts are decided by "
        f"intervals of {100 * run.level:.2f} % and need every seed to agree.",
        claims_frame(run),
        pd.DataFrame(rows),
    )


def _style_of(found: Effect) -> str:
    if found.estimate and max(abs(found.estimate), abs(found.high95)) < TINY:
        return ".1g"
    return STYLES[found.scale]


def _control_in_words(control: Judged) -> str:
    prediction = control.prediction
    return (
        f"{ROLE_WORDS[prediction.role]} ({prediction.id}): {prediction.says}? **{APPEARED[control.verdict]}** "
        f"({effect_in_words(control.found)})"
    )


def _advice_of(claims: Sequence[JudgedClaim], kind: str) -> list[str]:
    lines = []
    for claim in claims:
        advice = claim.claim.advice.get(claim.verdict)
        if advice and advice.kind == kind:
            evidence = "; ".join(
                f"“{judged.prediction.says}” {judged.verdict}: {effect_in_words(judged.found)}"
                for judged in claim.deciding
                if judged.verdict == claim.verdict
            )
            lines.append(f"**{advice.text}** ({claim.claim.id}; {evidence})")
    return lines


def _about_pesq(deciding: Sequence[Judged]) -> list[Judged]:
    return [one for one in deciding if isinstance(one.found, Effect) and one.found.scale == "pesq"]
