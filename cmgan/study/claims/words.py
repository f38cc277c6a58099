"""What the verdicts say and what they mean for one's own code, as sentences and tables put together from them."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from cmgan.statistics import ENDPOINT_EPOCHS, ERROR, MARGIN_PESQ, t_power
from cmgan.study.claims.rules import Verdict
from cmgan.study.claims.verdicts import Judged, JudgedClaim, JudgedRun, claims_frame
from cmgan.study.effects import Effect, Missing, Scale
from cmgan.study.tables import Table
from cmgan.study.wording import bounds, counted, in_words, markdown_table, number

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
POWER_EFFECTS = (0.0, 0.1, 0.3, 0.5)  # true differences of PESQ
POWER_SEEDS = (3, 6, 12)
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
    interval = "" if found.low == found.high else f" {bounds(found.low, found.high, style)}"
    return f"{number(found.estimate, style)}{interval}"


def sample_in_words(found: Effect) -> str:
    """What the interval speaks for: n and its unit, e.g. "6 seeds"."""
    return counted(found.n, found.unit.removesuffix("s"))


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


def untested_in_words(run: JudgedRun) -> str:
    """The claims that this run cannot test, together by their reason; "" where there are none."""
    reasons: dict[str, list[str]] = {}
    for claim in run.claims:
        if claim.verdict == Verdict.NOT_TESTABLE:
            reasons.setdefault(claim.reason, []).append(claim.claim.id)
    parts = [f"{in_words(ids)} ({reason})" for reason, ids in reasons.items()]
    return f"Not testable in this run: {'; '.join(parts)}." if parts else ""


def rules_in_words(run: JudgedRun) -> list[str]:
    """The rules that hold for all claims."""
    return [
        "The first prediction of a claim, the primary one, decides it; the others are shown beside it. A "
        "prediction is **supported** when its whole 95 % interval obeys its rule, **refuted** when the whole "
        "interval breaks it, else **inconclusive**.",
        "Primary predictions that chance could fool are guarded together: Holm's procedure keeps the share of "
        f"studies with a false verdict at {100 * ERROR:g} % over all of them (here {run.tested}). What holds no "
        "chance, minima of the objective on given clips and processes in or out of step, is not in it.",
        "Where networks are trained the seed is the replicate: arms or branches are paired by seed, and intervals "
        "are Student's t over seeds. A training from scratch is judged by the mean of its last "
        f"{ENDPOINT_EPOCHS} validations, a branch as its plan says. Shares have exact intervals.",
        f"A difference of PESQ matters from {MARGIN_PESQ:g} on. A claim about the collapse is decided only where a "
        "control says, by its 95 % interval, that there was one: in branches for claims that branches decide, from "
        "scratch for the others.",
    ]


def power_table(run: JudgedRun) -> Table | None:
    """How often "above the margin" is supported or refuted for true differences of PESQ, by number of seeds.

    With the standard deviation between seeds of this run's own differences (median over predictions), by a 95 %
    interval alone; None where nothing was trained with two seeds.
    """
    scatters = [
        float(np.std(one.found.by_seed, ddof=1))
        for one in run.predictions
        if isinstance(one.found, Effect) and one.found.scale == "pesq" and len(one.found.by_seed) > 1
    ]
    if not scatters or not np.median(scatters):
        return None
    scatter = float(np.median(scatters))
    data = power(POWER_EFFECTS, POWER_SEEDS, MARGIN_PESQ, scatter).rename(
        columns={"effect": "true difference"}
    )
    cells = data.assign(
        cell=[f"{100 * row.supported:.0f} % / {100 * row.refuted:.0f} %" for row in data.itertuples()]
    )
    text = cells.pivot(index="true difference", columns="seeds", values="cell")
    text.columns = [f"{seeds} seeds" for seeds in text.columns]
    return Table(
        "power",
        "What so many seeds can tell",
        f"Shares of studies in which “more than {MARGIN_PESQ:g} PESQ” is supported / refuted, when differences "
        f"scatter between seeds with this run's median standard deviation, {scatter:.2f} PESQ (noncentral t, 95 % "
        f"interval). Support at true differences up to {MARGIN_PESQ:g} is an error.",
        data,
        text.reset_index().astype({"true difference": str}),
    )


def power(effects: Sequence[float], seeds: Sequence[int], margin: float, deviation: float) -> pd.DataFrame:
    """How often a difference is found above and below the margin: effect, seeds, supported, refuted.

    effects: true differences; deviation: standard deviation between seeds.
    """
    rows = [
        (
            effect,
            count,
            t_power(effect, margin, deviation, count),
            t_power(-effect, -margin, deviation, count),
        )
        for effect, count in product(effects, seeds)
    ]
    return pd.DataFrame(rows, columns=["effect", "seeds", "supported", "refuted"])


def controls_in_words(run: JudgedRun) -> list[str]:
    """Whether what must appear did, a sentence a control (Markdown)."""
    return [_control_in_words(control) for control in run.controls if control.prediction.role != "remainder"]


def to_change(run: JudgedRun) -> list[str]:
    """What to change in one's code, the largest effect on PESQ first, each with its evidence (Markdown)."""

    def effect_on_pesq(claim: JudgedClaim) -> float:
        found = claim.primary.found
        return abs(found.estimate) if isinstance(found, Effect) and found.scale == "pesq" else 0.0

    return _advice_of(sorted(run.claims, key=effect_on_pesq, reverse=True), "change")


def to_leave(run: JudgedRun, evidence: bool = True) -> list[str]:
    """What not to bother with, with the evidence for each line or only its claim (Markdown)."""
    return _advice_of(run.claims, "leave", evidence)


def points_towards(run: JudgedRun) -> list[str]:
    """Changes of claims that are not decided, though their own 95 % interval supports them (Markdown)."""
    lines = []
    for claim in run.claims:
        advice = claim.claim.advice.get(Verdict.SUPPORTED)
        if advice and claim.verdict in UNDECIDED and claim.primary.leaning == Verdict.SUPPORTED:
            lines.append(
                f"**{advice.text}** ({claim.claim.id}; {_in_evidence(claim)}) Not decided: {claim.reason}."
            )
    return lines


def unknown(run: JudgedRun) -> list[str]:
    """What this run leaves open, what it would take, and what no claim explains (Markdown)."""
    lines = [_control_in_words(control) for control in run.controls if control.prediction.role == "remainder"]
    lines += filter(None, [untested_in_words(run)])
    for claim in run.claims:
        if claim.verdict == Verdict.INCONCLUSIVE:
            title, reason = claim.claim.title, claim.reason
            # An abbreviation keeps its capitals.
            title = title if title[:2].isupper() else f"{title[0].lower()}{title[1:]}"
            lines.append(f"{claim.claim.id}, {title}: {claim.verdict}. {reason[0].upper()}{reason[1:]}.")
    return lines


def claims_text(run: JudgedRun) -> pd.DataFrame:
    """The table of claims as text: claim, title, verdict, effect (of its primary prediction), why."""
    rows = []
    for claim in run.claims:
        primary = claim.primary
        is_found = isinstance(primary.found, Effect)
        effect = f"{primary.prediction.says}: {effect_in_words(primary.found)}" if is_found else ""
        rows.append((claim.claim.id, claim.claim.title, str(claim.verdict), effect, claim.reason))
    return pd.DataFrame(rows, columns=["claim", "title", "verdict", "effect", "why not decided"])


def predictions_text(run: JudgedRun) -> pd.DataFrame:
    """Every prediction and control as text: prediction, what it says, its rule, what was found, its verdict."""
    primaries = {claim.claim.primary.id for claim in run.claims}
    rows = [
        {
            "prediction": one.prediction.id,
            "if it holds": one.prediction.says + (" (decides)" if one.prediction.id in primaries else ""),
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
        (f"{claim} {title}", verdict, effect or why)
        for claim, title, verdict, effect, why in claims_text(run).itertuples(index=False)
    ]
    return markdown_table(["claim", "verdict", "on what"], rows)


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
        for claim, found in ((claim, claim.primary.found) for claim in run.claims)
    ]
    return Table(
        "claims",
        "Verdicts on the claims",
        "Effect of each claim's primary prediction with its 95 % interval over n; verdicts are guarded together by "
        "Holm's procedure.",
        claims_frame(run),
        pd.DataFrame(rows),
    )


def _style_of(found: Effect) -> str:
    if found.estimate and max(abs(found.estimate), abs(found.high)) < TINY:
        return ".1g"
    return STYLES[found.scale]


def _control_in_words(control: Judged) -> str:
    prediction = control.prediction
    return (
        f"{ROLE_WORDS[prediction.role]} ({prediction.id}): {prediction.says}? **{APPEARED[control.verdict]}** "
        f"({effect_in_words(control.found)})"
    )


def _advice_of(claims: Sequence[JudgedClaim], kind: str, evidence: bool = True) -> list[str]:
    given = [(claim, claim.claim.advice.get(claim.verdict)) for claim in claims]
    return [
        f"**{advice.text}** ({claim.claim.id}; {_in_evidence(claim)})"
        if evidence
        else f"{advice.text} ({claim.claim.id})"
        for claim, advice in given
        if advice and advice.kind == kind
    ]


def _in_evidence(claim: JudgedClaim) -> str:
    primary = claim.primary
    return f"“{primary.prediction.says}” {primary.leaning}: {effect_in_words(primary.found)}"
