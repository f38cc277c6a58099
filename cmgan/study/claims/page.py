"""The claims as they stand in the report: the table that opens it, the lists drawn from it, and every rule."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmgan.study.claims.judging import Judged, JudgedClaim, JudgedRun
from cmgan.study.claims.verdicts import Effect, Verdict
from cmgan.study.claims.words import (
    controls_in_words,
    effect_in_words,
    points_towards,
    rule_of,
    rules_in_words,
    to_change,
    to_leave,
    unknown,
    verdicts_in_words,
)
from cmgan.study.report.figure_words import WORDS

# A word for style sheets: verdicts differ in a mark and in words too, not in colour alone.
MARKS = {
    Verdict.SUPPORTED: ("supported", "✓"),
    Verdict.REFUTED: ("refuted", "✗"),
    Verdict.INCONCLUSIVE: ("inconclusive", "?"),
    Verdict.NOT_TESTABLE: ("untestable", "–"),
}


@dataclass(frozen=True)
class PredictionRow:
    """A prediction with its rule, effect and verdict as text."""

    id: str
    says: str
    rule: str
    effect: str
    verdict: str
    decides: bool


@dataclass(frozen=True)
class ClaimRow:
    """A claim as a row of the table; links: label and target of its evidence."""

    id: str
    title: str
    sentence: str
    source: str
    note: str
    verdict: str
    kind: str
    mark: str
    says: str
    effect: str
    reason: str
    links: Sequence[tuple[str, str]]
    predictions: Sequence[PredictionRow]


@dataclass(frozen=True)
class TitledList:
    """Sentences under a title; ordered ones are numbered. With `none` in their place when there are none."""

    title: str
    items: Sequence[str]
    none: str
    ordered: bool = False


@dataclass(frozen=True)
class ClaimsPage:
    """The table with what stands around it."""

    summary: str
    rows: Sequence[ClaimRow]
    controls: Sequence[str]
    rules: Sequence[str]


def claims_page(run: JudgedRun, figures: Collection[str]) -> ClaimsPage:
    """The table of a judged run; figures: names of the figures that the page shows."""
    return ClaimsPage(
        verdicts_in_words(run),
        [_row(claim, figures) for claim in run.claims],
        controls_in_words(run),
        rules_in_words(run),
    )


def advice_lists(run: JudgedRun) -> list[TitledList]:
    """What to change, what points that way, and what to leave alone."""
    return [
        TitledList("Change", to_change(run), "This run supports no change.", ordered=True),
        TitledList(
            "Points this way at 95 %, not decided at the level of all predictions together",
            points_towards(run),
            "Nothing.",
        ),
        TitledList("Leave alone, or do not count on", to_leave(run), "Nothing was refuted."),
    ]


def unknown_list(run: JudgedRun) -> TitledList:
    """What the run leaves open."""
    return TitledList("", unknown(run), "Every claim was decided.")


def drawn_figures(run_root: Path) -> set[str]:
    """Names of the figures that lie in the run's folders and that the report shows."""
    folders = [run_root / step / "figures" for step in ("report", "silence", "evidence")]
    return {file.stem for folder in folders for file in folder.glob("*.png")} & set(WORDS)


def _row(claim: JudgedClaim, figures: Collection[str]) -> ClaimRow:
    leading = claim.leading
    kind, mark = MARKS[claim.verdict]
    links = [(WORDS[name].title, f"#figure-{name}") for name in claim.claim.figures if name in figures]
    return ClaimRow(
        claim.claim.id,
        claim.claim.title,
        claim.claim.sentence,
        claim.claim.source,
        claim.claim.note,
        str(claim.verdict),
        kind,
        mark,
        f"{leading.prediction.id}: {leading.prediction.says}",
        effect_in_words(leading.found) if isinstance(leading.found, Effect) else "",
        claim.reason,
        links,
        [_prediction_row(judged) for judged in claim.predictions],
    )


def _prediction_row(judged: Judged) -> PredictionRow:
    prediction = judged.prediction
    return PredictionRow(
        prediction.id,
        prediction.says,
        rule_of(judged),
        effect_in_words(judged.found),
        str(judged.verdict),
        prediction.decides,
    )
