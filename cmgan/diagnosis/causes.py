"""From the signs in a log, and in code, to causes in the order of their weight."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from cmgan.diagnosis.falls import Fall, fall_sign, find_fall, overfitting_sign
from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.order import order_sign
from cmgan.diagnosis.skips import label_sign, skip_sign
from cmgan.diagnosis.target import target_sign
from cmgan.diagnosis.training_log import TrainingLog
from cmgan.recipe import LossWeights

PUBLIC_WEIGHTS = LossWeights()


@dataclass(frozen=True)
class Diagnosis:
    """What one run's log says: every finding, causes first and heavier ones before lighter."""

    name: str
    fall: Fall | None
    findings: tuple[Finding, ...]

    @property
    def causes(self) -> tuple[Finding, ...]:
        """The findings that may explain a fall of PESQ, the likeliest first."""
        return tuple(finding for finding in self.findings if finding.weight.is_cause())

    @property
    def unexplained_fall(self) -> bool:
        """Whether PESQ fell and nothing found explains it."""
        return self.fall is not None and self.fall.certain and not self.causes

    @property
    def nothing_found(self) -> bool:
        """Whether there is neither a cause nor a fall that would need one."""
        return not self.causes and not self.unexplained_fall

    def as_dictionary(self) -> dict:
        """Everything, for JSON; weights by name, numbers that are not known as None."""
        return {
            "name": self.name,
            "nothing_found": self.nothing_found,
            "unexplained_fall": self.unexplained_fall,
            "causes": [finding.title for finding in self.causes],
            "findings": [_plain(finding) for finding in self.findings],
        }


def diagnose(
    log: TrainingLog, weights: LossWeights = PUBLIC_WEIGHTS, code: Sequence[Finding] = ()
) -> Diagnosis:
    """All signs of one run, ranked. code: findings of `model_code` in the code that was trained with.

    A cause that log and code both show counts as strong; one in code alone that the log contradicts as a note.
    """
    fall = find_fall(log)
    fell = fall is not None and fall.certain
    signs = [
        target_sign(log, weights, fell),
        skip_sign(log),
        overfitting_sign(log, fall),
        label_sign(log),
        order_sign(log),
        fall_sign(log, fall),
    ]
    findings = _with_code([sign for sign in signs if sign is not None], code)
    return Diagnosis(log.name, fall, tuple(sorted(findings, key=lambda finding: -finding.weight)))


def _with_code(signs: list[Finding], code: Sequence[Finding]) -> list[Finding]:
    by_subject = {sign.subject: sign for sign in signs}
    merged = list(signs)
    for found in code:
        sign = by_subject.get(found.subject)
        if sign is not None and sign.weight.is_cause() and found.weight.is_cause():
            merged[merged.index(sign)] = by_subject[found.subject] = replace(
                sign,
                weight=Weight.STRONG,
                evidence=f"{sign.evidence}; the code does it: {found.title}",
                place="; ".join(filter(None, [sign.place, found.place])),
            )
        elif sign is not None and sign.weight == Weight.CLEAR and found.weight.is_cause():
            merged.append(
                replace(
                    found,
                    weight=Weight.NOTE,
                    evidence=f"{found.evidence}; the log does not show it: {sign.title}",
                )
            )
        else:
            merged.append(found)
    return merged


def _plain(finding: Finding) -> dict:
    numbers = {name: value if value == value else None for name, value in finding.numbers.items()}
    return asdict(finding) | {"weight": finding.weight.name.lower(), "numbers": numbers}
