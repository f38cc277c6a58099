"""A diagnosis as Markdown: the answer first, then what it rests on."""

from collections.abc import Mapping
from types import MappingProxyType

from cmgan.diagnosis.causes import Diagnosis
from cmgan.diagnosis.claim_verdicts import claim_in_words
from cmgan.diagnosis.finding import Finding, Weight

NOTHING_FOUND = "nothing found"
NO_VERDICTS: Mapping[str, str] = MappingProxyType({})
_STRENGTH = {Weight.STRONG: "measured", Weight.MODERATE: "likely", Weight.WEAK: "possible"}
_HEADINGS = {Weight.NOTE: "Noted", Weight.CLEAR: "Looked for, not there", Weight.UNKNOWN: "Cannot be told"}


def in_words(diagnosis: Diagnosis, verdicts: Mapping[str, str] = NO_VERDICTS) -> str:
    """The whole diagnosis of one run (Markdown); verdicts: of claims, by their id, to be told with each cause."""
    parts = [f"## {diagnosis.name}", f"**{headline(diagnosis)}**"]
    for rank, cause in enumerate(diagnosis.causes, start=1):
        parts.append(_cause(rank, cause, verdicts))
    for weight, heading in _HEADINGS.items():
        rows = [_noted(finding) for finding in diagnosis.findings if finding.weight == weight]
        if rows:
            parts.append(f"{heading}:\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def headline(diagnosis: Diagnosis) -> str:
    """The answer in one line."""
    fell = diagnosis.fall is not None and diagnosis.fall.certain
    if diagnosis.causes:
        first = diagnosis.causes[0]
        others = len(diagnosis.causes) - 1
        more = f"; {others} more below" if others else ""
        opening = "Likely cause of the fall of PESQ" if fell else "Likely to do harm"
        return f"{opening}: {first.title} ({_STRENGTH[first.weight]}{more})"
    if diagnosis.unexplained_fall:
        return f"PESQ fell after epoch {diagnosis.fall.peak_epoch}, and the log shows no cause"
    unknown = [finding.subject for finding in diagnosis.findings if finding.weight == Weight.UNKNOWN]
    if len(unknown) == len(diagnosis.findings):
        return f"{NOTHING_FOUND.capitalize()}, but the log holds too little to tell anything"
    return NOTHING_FOUND.capitalize() + (f" (not to be told: {', '.join(unknown)})" if unknown else "")


def _cause(rank: int, cause: Finding, verdicts: Mapping[str, str]) -> str:
    lines = [
        f"{rank}. {cause.title} ({_STRENGTH[cause.weight]})",
        f"   - evidence: {cause.evidence}",
        f"   - change: {cause.change}",
        f"   - rests on {claim_in_words(cause.claim, verdicts)}",
    ]
    if cause.place:
        lines.append(f"   - where: {cause.place}")
    return "\n".join(lines)


def _noted(finding: Finding) -> str:
    claim = f" (claim {finding.claim})" if finding.claim else ""
    text = f"- {finding.subject}: {finding.title}{claim}"
    for label, value in (("", finding.evidence), ("change: ", finding.change), ("where: ", finding.place)):
        if value and not (label == "change: " and finding.weight != Weight.NOTE):
            text += f"\n  - {label}{value}"
    return text
