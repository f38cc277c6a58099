"""A diagnosis as Markdown: the answer first, then what it rests on."""

from cmgan.study.diagnosis.causes import Diagnosis
from cmgan.study.diagnosis.finding import Finding, Weight

NOTHING_FOUND = "nothing found"
_STRENGTH = {Weight.STRONG: "measured", Weight.MODERATE: "likely", Weight.WEAK: "possible"}
_HEADINGS = {Weight.NOTE: "Noted", Weight.CLEAR: "Looked for, not there", Weight.UNKNOWN: "Cannot be told"}


def in_words(diagnosis: Diagnosis) -> str:
    """The whole diagnosis of one run (Markdown)."""
    parts = [f"## {diagnosis.name}", f"**{headline(diagnosis)}**"]
    for rank, cause in enumerate(diagnosis.causes, start=1):
        parts.append(_cause(rank, cause))
    for weight, heading in _HEADINGS.items():
        rows = [_noted(finding) for finding in diagnosis.findings if finding.weight == weight]
        if rows:
            parts.append(f"{heading}:\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def headline(diagnosis: Diagnosis) -> str:
    """The answer in one line."""
    if diagnosis.causes:
        first = diagnosis.causes[0]
        others = len(diagnosis.causes) - 1
        more = f" (and {others} more)" if others else ""
        return f"{_STRENGTH[first.weight].capitalize()} cause: {first.title}{more}"
    if diagnosis.unexplained_fall:
        return f"PESQ fell after epoch {diagnosis.fall.peak_epoch}, and the log shows no cause"
    unknown = [finding.subject for finding in diagnosis.findings if finding.weight == Weight.UNKNOWN]
    if len(unknown) == len(diagnosis.findings):
        return f"{NOTHING_FOUND.capitalize()}, but the log holds too little to tell anything"
    return NOTHING_FOUND.capitalize() + (f" (not to be told: {', '.join(unknown)})" if unknown else "")


def _cause(rank: int, cause: Finding) -> str:
    lines = [
        f"{rank}. {cause.title} ({_STRENGTH[cause.weight]}; rests on claim {cause.claim})",
        f"   - evidence: {cause.evidence}",
        f"   - change: {cause.change}",
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
