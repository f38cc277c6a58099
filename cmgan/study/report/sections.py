"""What the report says, section by section, whatever it is set as: a page or a document."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cmgan.study.arms import describe
from cmgan.study.claims.judging import JudgedRun
from cmgan.study.claims.page import (
    ClaimsPage,
    TitledList,
    advice_lists,
    claims_page,
    drawn_figures,
    unknown_list,
)
from cmgan.study.comparison import words as findings
from cmgan.study.comparison.tables import Comparison
from cmgan.study.objective.words import objective_answer, objective_in_words
from cmgan.study.report.figure_words import WORDS, FigureWords
from cmgan.study.report.figures import figure_frames
from cmgan.study.report.provenance import provenance
from cmgan.study.report.survey_words import evidence_in_words, silence_in_words
from cmgan.study.report.tables import Table
from cmgan.study.report.words import answer, limits
from cmgan.study.run_results import RunResults

PAGE_DOTS_PER_INCH = 140
PNG_DOTS_PER_INCH = 200
# Drawn from networks and recordings, which a run that is only kept for its tables no longer has.
OPTIONAL_FIGURES = ("one_clip",)


@dataclass(frozen=True)
class PageFigure:
    """A drawn figure: its files, its words, and its width and height on a page in pixels.

    links: format and path, from the report's folder, of each file.
    """

    png: Path
    words: FigureWords
    width: int
    height: int
    links: dict[str, str]

    @property
    def name(self) -> str:
        """The figure's name in `WORDS` and of its files."""
        return self.png.stem


@dataclass(frozen=True)
class Section:
    """One entry of the table of contents. Every field but `id` and `title` is shown where it is not empty."""

    id: str
    title: str
    text: Sequence[str] = ()
    points: Sequence[str] = ()
    figures: Sequence[PageFigure] = ()
    tables: Sequence[Table] = ()
    facts: dict[str, str] = field(default_factory=dict)
    links: Sequence[tuple[str, dict[str, str]]] = ()
    claims: ClaimsPage | None = None
    lists: Sequence[TitledList] = ()
    rules: ClaimsPage | None = None


def report_sections(
    results: RunResults, compared: Comparison, judged: JudgedRun, tables: Sequence[Table], root: Path
) -> list[Section]:
    """Every section of the report that has something to show; root: the checkout.

    The figures of `report_figures.draw_figures` must lie in RUN/report/figures; those of the other notebooks are
    taken in where they are. Raises FileNotFoundError for a figure that was not drawn.
    """
    report = results.root / "report"
    names = [*figure_frames(results, compared, judged)]
    names += [name for name in OPTIONAL_FIGURES if (report / "figures" / f"{name}.png").is_file()]
    figures = [page_figure(report / "figures" / f"{name}.png", report) for name in names]

    def drawn(*names: str) -> list[PageFigure]:
        return [figure for name in names for figure in figures if figure.name == name]

    def chosen(*names: str) -> list[Table]:
        return [table for name in names for table in tables if table.name == name]

    claims = claims_page(judged, drawn_figures(results.root))
    minima = _figures_of(results.root / "objective", report)
    sections = [
        Section(
            "objective",
            "What the loss asks for",
            points=[line for line in (objective_answer(results.root),) if line],
            figures=minima[:2],
        ),
        Section("claims", "Verdicts on the claims", claims=claims, figures=drawn("claims_forest")),
        Section("change", "What to change in your code", lists=advice_lists(judged)),
        Section("unknown", "What remains unknown", lists=[unknown_list(judged)]),
        Section(
            "minima",
            "The objective's minima: doses, other objectives, discriminators, networks",
            points=objective_in_words(results.root),
            figures=minima[2:],
        ),
        Section(
            "answer",
            "In short",
            points=answer(compared),
            text=[findings.RULE],
            figures=drawn("mechanism", "one_clip"),
        ),
        Section(
            "run",
            "What was run",
            points=[f"`{arm}`: {describe(arm)}" for arm in results.arms],
            facts=provenance(results, root),
        ),
        Section(
            "training",
            "Over training",
            figures=drawn("validation_pesq"),
            tables=chosen("pesq_falls", "since_peak", "early_stopping"),
        ),
        Section(
            "scores",
            "Final scores",
            figures=drawn("final_metrics", "differences", "failure_doses", "batch_sizes"),
            tables=chosen("final_metrics", f"differences_from_{compared.baseline}", "differences_from_noisy"),
        ),
        Section(
            "discriminator",
            "What the discriminator learned from",
            figures=drawn("discriminator_losses", "label_spread", "gradient_norms"),
            tables=chosen("skipped_steps", "failure_reasons"),
        ),
        Section(
            "silence",
            "Silence and PESQ failure",
            points=silence_in_words(results.root),
            figures=_figures_of(results.root / "silence", report),
        ),
        Section(
            "evidence",
            "Published training logs",
            points=evidence_in_words(results.root),
            figures=_figures_of(results.root / "evidence", report),
        ),
        Section("rules", "Decision rules and every prediction", rules=claims),
        Section("limits", "What this run cannot say", points=limits(results)),
        Section("files", "Notebooks and data", links=_links(results.root)),
    ]
    return [
        section
        for section in sections
        if section.points
        or section.figures
        or section.tables
        or section.links
        or section.claims
        or section.lists
        or section.rules
    ]


def page_figure(png: Path, folder: Path) -> PageFigure:
    """The figure drawn as `png`, ready for a page in `folder`. Raises FileNotFoundError when it was not drawn."""
    if not png.is_file():
        raise FileNotFoundError(f"{png} is missing: draw the figures first (07_comparison_report)")
    data = png.read_bytes()
    # Width and height stand at the start of every PNG file.
    width, height = (
        round(size * PAGE_DOTS_PER_INCH / PNG_DOTS_PER_INCH) for size in struct.unpack(">II", data[16:24])
    )
    files = [png.with_suffix(f".{suffix}") for suffix in ("csv", "svg", "pdf", "png")]
    links = {file.suffix[1:].upper(): _relative(file, folder) for file in files if file.is_file()}
    return PageFigure(png, WORDS[png.stem], width, height, links)


def _figures_of(step: Path, folder: Path) -> list[PageFigure]:
    order = list(WORDS)
    drawn = [png for png in (step / "figures").glob("*.png") if png.stem in order]
    return [page_figure(png, folder) for png in sorted(drawn, key=lambda png: order.index(png.stem))]


def _links(root: Path) -> list[tuple[str, dict[str, str]]]:
    notebooks = [
        (file.stem, {"page": f"../notebooks/{file.stem}.html", "notebook": f"../notebooks/{file.name}"})
        for file in sorted((root / "notebooks").glob("*.ipynb"))
    ]
    patterns = (
        "data/*.csv",
        "objective/*.csv",
        "silence/*.csv",
        "evidence/*.csv",
        "evaluation/*.csv",
        "training/*/*.csv",
    )
    tables = [
        (str(file.relative_to(root)), {"CSV": f"../{file.relative_to(root)}"})
        for pattern in patterns
        for file in sorted(root.glob(pattern))
    ]
    return [*notebooks, *tables]


def _relative(file: Path, folder: Path) -> str:
    return (
        str(file.relative_to(folder))
        if file.is_relative_to(folder)
        else f"../{file.relative_to(folder.parent)}"
    )
