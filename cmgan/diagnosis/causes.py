"""From the signs in a log, and in code, to ranked causes: as data, as Markdown and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from cmgan.diagnosis import findings as signs
from cmgan.diagnosis.findings import Finding, Weight
from cmgan.diagnosis.reading import TrainingLog
from cmgan.recipe import LossWeights

PUBLIC_WEIGHTS = LossWeights()
_STRENGTH = {Weight.STRONG: "measured", Weight.MODERATE: "likely", Weight.WEAK: "possible"}
_HEADINGS = {Weight.NOTE: "Noted", Weight.CLEAR: "Looked for, not there", Weight.UNKNOWN: "Cannot be told"}


@dataclass(frozen=True)
class Diagnosis:
    """What one run's log says: every finding, causes first and heavier ones before lighter."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def causes(self) -> tuple[Finding, ...]:
        """The findings that may explain a fall of PESQ, the likeliest first."""
        return tuple(finding for finding in self.findings if finding.weight.is_cause())

    @property
    def fell(self) -> bool:
        """Whether PESQ certainly fell."""
        return any(one.subject == signs.PESQ and one.weight == Weight.NOTE for one in self.findings)

    @property
    def unexplained_fall(self) -> bool:
        """Whether PESQ fell and nothing found explains it."""
        return self.fell and not self.causes

    @property
    def nothing_found(self) -> bool:
        """Whether there is neither a cause nor a fall that would need one."""
        return not self.causes and not self.fell

    def as_dictionary(self) -> dict:
        """Everything, for JSON; weights by name."""
        return {
            "name": self.name,
            "nothing_found": self.nothing_found,
            "unexplained_fall": self.unexplained_fall,
            "causes": [finding.title for finding in self.causes],
            "findings": [asdict(one) | {"weight": one.weight.name.lower()} for one in self.findings],
        }


def diagnose(
    log: TrainingLog, weights: LossWeights = PUBLIC_WEIGHTS, code: Sequence[Finding] = ()
) -> Diagnosis:
    """All signs of one run, ranked. code: findings of `model_code` in the code that was trained with.

    A cause that log and code both show counts as strong; one in code alone that the log contradicts as a note.
    """
    fall = signs.fall_sign(log)
    fell = fall.weight == Weight.NOTE
    in_log = [
        signs.target_sign(log, weights, fell),
        signs.skip_sign(log),
        signs.overfitting_sign(log, fell),
        signs.label_sign(log),
        signs.order_sign(log),
        fall,
    ]
    by_subject = {sign.subject: sign for sign in in_log if sign is not None}
    in_code = []
    for found in code:
        sign = by_subject.get(found.subject)
        if sign is not None and sign.weight.is_cause() and found.weight.is_cause():
            evidence = f"{sign.evidence}; the code does it: {found.title}"
            place = "; ".join(filter(None, [sign.place, found.place]))
            by_subject[found.subject] = replace(sign, weight=Weight.STRONG, evidence=evidence, place=place)
        elif sign is not None and sign.weight == Weight.CLEAR and found.weight.is_cause():
            evidence = f"{found.evidence}; the log does not show it: {sign.title}"
            in_code.append(replace(found, weight=Weight.NOTE, evidence=evidence))
        else:
            in_code.append(found)
    findings = sorted([*by_subject.values(), *in_code], key=lambda finding: -finding.weight)
    return Diagnosis(log.name, tuple(findings))


def in_words(diagnosis: Diagnosis, titles: Mapping[str, str], verdicts: Mapping[str, str]) -> str:
    """The whole diagnosis of one run (Markdown), the answer first; titles and verdicts: of claims, by id."""
    parts = [f"## {diagnosis.name}", f"**{headline(diagnosis)}**"]
    for rank, cause in enumerate(diagnosis.causes, start=1):
        verdict = f" ({verdicts[cause.claim]} by the report)" if cause.claim in verdicts else ""
        lines = [
            f"{rank}. {cause.title} ({_STRENGTH[cause.weight]})",
            f"   - evidence: {cause.evidence}",
            f"   - change: {cause.change}",
            f"   - rests on claim {cause.claim}: {titles[cause.claim]}{verdict}",
        ]
        if cause.place:
            lines.append(f"   - where: {cause.place}")
        parts.append("\n".join(lines))
    for weight, heading in _HEADINGS.items():
        rows = [_noted(finding) for finding in diagnosis.findings if finding.weight == weight]
        if rows:
            parts.append(f"{heading}:\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def headline(diagnosis: Diagnosis) -> str:
    """The answer in one line."""
    if diagnosis.causes:
        first, *others = diagnosis.causes
        opening = "Likely cause of the fall of PESQ" if diagnosis.fell else "Likely to do harm"
        more = f"; {len(others)} more below" if others else ""
        return f"{opening}: {first.title} ({_STRENGTH[first.weight]}{more})"
    if diagnosis.fell:
        fall = next(finding for finding in diagnosis.findings if finding.subject == signs.PESQ)
        return f"{fall.title}, and the log shows no cause"
    unknown = [finding.subject for finding in diagnosis.findings if finding.weight == Weight.UNKNOWN]
    if len(unknown) == len(diagnosis.findings):
        return "Nothing found, but the log holds too little to tell anything"
    return "Nothing found" + (f" (not to be told: {', '.join(unknown)})" if unknown else "")


def answers(diagnoses: Sequence[Diagnosis]) -> pd.DataFrame:
    """A row per run: run, answer, skipped, steps, skips_at_most (upper 95 % bound), peak_epoch, peak, last."""
    rows = []
    for diagnosis in diagnoses:
        # Findings in code have no numbers.
        numbers = {finding.subject: finding.numbers for finding in diagnosis.findings if finding.numbers}
        skips, fall = (numbers.get(subject, {}) for subject in (signs.SKIPPED_STEPS, signs.PESQ))
        row = {"run": diagnosis.name, "answer": headline(diagnosis)}
        row |= {
            "skipped": skips.get("skipped"),
            "steps": skips.get("steps"),
            "skips_at_most": skips.get("high"),
        }
        rows.append(row | {name: fall.get(name) for name in ("peak_epoch", "peak", "last")})
    return pd.DataFrame(rows)


def verdicts_in(path: Path) -> dict[str, str]:
    """Verdict of each claim id in a run's report/claims.csv; ValueError, naming the file, for another table."""
    try:
        table = pd.read_csv(path)
        judged = table.dropna(subset=["claim_verdict"]).drop_duplicates("claim")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, KeyError) as error:
        raise ValueError(
            f"{path}: not the claims.csv of a report ({error}); give results/RUN/report/claims.csv"
        ) from error
    return dict(zip(judged["claim"], judged["claim_verdict"], strict=True))


def _noted(finding: Finding) -> str:
    claim = f" (claim {finding.claim})" if finding.claim else ""
    change = f"change: {finding.change}" if finding.change and finding.weight == Weight.NOTE else ""
    where = f"where: {finding.place}" if finding.place else ""
    lines = [f"- {finding.subject}: {finding.title}{claim}", finding.evidence, change, where]
    return "\n  - ".join(filter(None, lines))
