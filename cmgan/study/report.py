"""The comparison report: one self-contained HTML page, its figures and its tables, from what a run left behind."""

import base64
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from cmgan.study import findings
from cmgan.study.arms import describe
from cmgan.study.claim_page import (
    ClaimsPage,
    TitledList,
    advice_lists,
    claims_page,
    drawn_figures,
    unknown_list,
)
from cmgan.study.claim_results import JudgedRun, claims_frame
from cmgan.study.claim_words import claims_markdown
from cmgan.study.comparison import Comparison
from cmgan.study.figure_words import WORDS, FigureWords
from cmgan.study.paths import repository_root
from cmgan.study.provenance import provenance
from cmgan.study.report_figures import figure_frames
from cmgan.study.report_tables import Table, report_tables, write_tables
from cmgan.study.report_words import answer, introduction, limits
from cmgan.study.run_results import RunResults
from cmgan.study.survey_words import evidence_in_words, silence_in_words
from cmgan.study.table_files import write_table

TEMPLATE = Path(__file__).with_name("report_page.html.j2")
PAGE_DOTS_PER_INCH = 140
PNG_DOTS_PER_INCH = 200
# Drawn from networks and recordings, which a run that is only kept for its tables no longer has.
OPTIONAL_FIGURES = ("one_clip",)


@dataclass(frozen=True)
class PageFigure:
    """A figure as it stands in the page: inlined image, its words and the files beside it."""

    name: str
    words: FigureWords
    image: str
    width: int
    height: int
    links: dict[str, str]


@dataclass(frozen=True)
class Section:
    """One entry of the table of contents: claims, sentences, then figures, then tables; rules are folded away."""

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


def write_report(
    results: RunResults, compared: Comparison, judged: JudgedRun, root: Path | None = None
) -> Path:
    """Write claims.csv, the tables and, last of all, RUN/report/index.html, which it returns.

    The figures of `report_figures.draw_figures` must lie in RUN/report/figures; those of the other notebooks are
    taken in where they are. root: the checkout (default: around the working folder).
    Raises FileNotFoundError for a figure that was not drawn.
    """
    folder = results.root / "report"
    tables = report_tables(compared)
    write_tables(tables, folder / "tables")
    write_table(claims_frame(judged), folder / "claims.csv")
    (folder / "claims.md").write_text(claims_markdown(judged))
    names = [*figure_frames(results, compared, judged)]
    names += [name for name in OPTIONAL_FIGURES if _is_drawn(folder, name)]
    figures = [page_figure(folder / "figures" / f"{name}.png", folder) for name in names]
    facts = provenance(results, root or repository_root())
    sections = _sections(results, compared, judged, figures, tables, facts)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marked": _marked, "broken": _broken_before_interval}
    title = f"CMGAN training compared: {results.root.name}"
    page = environment.get_template(TEMPLATE.name).render(
        title=title, introduction=introduction(results), sections=sections
    )
    partial = folder / ".index.html.partial"
    partial.write_text(page)
    return partial.replace(folder / "index.html")


def _sections(
    results: RunResults,
    compared: Comparison,
    judged: JudgedRun,
    figures: Sequence[PageFigure],
    tables: Sequence[Table],
    facts: dict[str, str],
) -> list[Section]:
    def drawn(*names: str) -> list[PageFigure]:
        return [figure for name in names for figure in figures if figure.name == name]

    def chosen(*names: str) -> list[Table]:
        return [table for name in names for table in tables if table.name == name]

    report = results.root / "report"
    claims = claims_page(judged, drawn_figures(results.root))
    sections = [
        Section("claims", "Verdicts on the claims", claims=claims, figures=drawn("claims_forest")),
        Section("change", "What to change in your code", lists=advice_lists(judged)),
        Section("unknown", "What remains unknown", lists=[unknown_list(judged)]),
        Section(
            "answer",
            "In short",
            points=answer(compared),
            text=[findings.RULE],
            figures=drawn("mechanism", "one_clip"),
        ),
        Section(
            "run", "What was run", points=[f"`{arm}`: {describe(arm)}" for arm in results.arms], facts=facts
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
        raise FileNotFoundError(f"{png} is missing: draw the figures first (06_comparison_report)")
    data = png.read_bytes()
    # Width and height stand at the start of every PNG file.
    width, height = (
        round(size * PAGE_DOTS_PER_INCH / PNG_DOTS_PER_INCH) for size in struct.unpack(">II", data[16:24])
    )
    files = [png.with_suffix(f".{suffix}") for suffix in ("csv", "svg", "pdf", "png")]
    links = {file.suffix[1:].upper(): _relative(file, folder) for file in files if file.is_file()}
    return PageFigure(png.stem, WORDS[png.stem], base64.b64encode(data).decode(), width, height, links)


def _is_drawn(folder: Path, name: str) -> bool:
    return (folder / "figures" / f"{name}.png").is_file()


def _figures_of(step: Path, folder: Path) -> list[PageFigure]:
    order = list(WORDS)
    drawn = [png for png in (step / "figures").glob("*.png") if png.stem in order]
    return [page_figure(png, folder) for png in sorted(drawn, key=lambda png: order.index(png.stem))]


def _links(root: Path) -> list[tuple[str, dict[str, str]]]:
    notebooks = [
        (file.stem, {"page": f"../notebooks/{file.stem}.html", "notebook": f"../notebooks/{file.name}"})
        for file in sorted((root / "notebooks").glob("*.ipynb"))
    ]
    patterns = ("data/*.csv", "silence/*.csv", "evidence/*.csv", "evaluation/*.csv", "training/*/*.csv")
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


def _marked(text: str) -> Markup:
    """Escaped text with `names` between backticks as code and **words** between stars in bold."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", code))


def _broken_before_interval(text: str) -> Markup:
    """Escaped cell with `[low, high]`, or what follows an arrow, in a line of its own: so wide tables fit."""
    broken = re.sub(r"(?<=\S) (\[.+\])$", r'<br><span class="bounds">\1</span>', str(escape(text)))
    return Markup(broken.replace(" → ", " →<br>"))
