"""What a sign found in a log or in code says, and what to do about it."""

from dataclasses import dataclass, field
from enum import IntEnum


class Weight(IntEnum):
    """How much a finding counts: CLEAR and UNKNOWN rule nothing in; a NOTE is true but not known to do harm.

    A cause is WEAK when the log only fits it, MODERATE when several things in the log fit it and nothing else known
    does, STRONG when it was measured directly.
    """

    UNKNOWN = 0
    CLEAR = 1
    NOTE = 2
    WEAK = 3
    MODERATE = 4
    STRONG = 5

    def is_cause(self) -> bool:
        """Whether such a finding may explain a fall of PESQ."""
        return self >= Weight.WEAK


@dataclass(frozen=True)
class Finding:
    """One sign: its subject ("skips", "time target", …), what was seen, and what follows from it.

    numbers: the values that the sentence in `evidence` was made from. claim: the id in the claims table that the
    conclusion rests on. change: what to change, empty where nothing has to be. place: file:line of code.
    """

    subject: str
    weight: Weight
    title: str
    evidence: str
    claim: str = ""
    change: str = ""
    place: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
