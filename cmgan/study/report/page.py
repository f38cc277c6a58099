"""The report: one self-contained HTML page, which page.html.j2 lays out, and the same page set as PDF."""

import base64
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
import typst
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from cmgan.statistics import MARGIN_PESQ
from cmgan.study.arms import describe
from cmgan.study.branches.summary import branches_answer
from cmgan.study.claims import words as claims
from cmgan.study.claims.rules import Verdict
from cmgan.study.claims.verdicts import JudgedClaim, JudgedRun
from cmgan.study.comparison.evaluation import Comparison
from cmgan.study.comparison.tables import comparison_tables
from cmgan.study.comparison.words import RULE
from cmgan.study.effects import Effect
from cmgan.study.figure_files import PNG_DOTS_PER_INCH
from cmgan.study.objective import words as objective_words
from cmgan.study.paths import repository_root
from cmgan.study.report import answer, words
from cmgan.study.report.figures import FIGURES, RunFigure
from cmgan.study.report.listen import players, players_in_words
from cmgan.study.run_results import RunResults
from cmgan.study.tables import Table, latex, write_tables
from data_prep.whole_files import whole_file, write_table, write_text

TEMPLATES = Path(__file__).parent
PAGE_DOTS_PER_INCH = 140
MARKDOWN = MarkdownIt("commonmark", {"html": False})
# A word for the style sheet: verdicts differ in a mark and in words too, not in colour alone.
MARKS = {
    str(Verdict.SUPPORTED): ("supported", "✓"),
    str(Verdict.REFUTED): ("refuted", "✗"),
    str(Verdict.INCONCLUSIVE): ("inconclusive", "?"),
    str(Verdict.NOT_TESTABLE): ("untestable", "–"),
}
STEPS = ("objective", "branches", "silence", "evidence")  # whose figures the page shows beside its own
LINKED_TABLES = (
    "data/*.csv",
    "objective/*.csv",
    "branches/*.csv",
    "silence/*.csv",
    "evidence/*.csv",
    "evaluation/*.csv",
    "training/*/*.csv",
)


@dataclass(frozen=True)
class PageFigure:
    """A drawn figure: the step of the run that drew it, its words, and its size on the page in pixels.

    files: path from the report by format.
    """

    step: str
    words: RunFigure
    png: Path
    width: int
    height: int
    files: Mapping[str, str]


def write_report(
    results: RunResults, compared: Comparison, judged: JudgedRun, figures: Collection[str]
) -> Path:
    """Write claims.csv, the tables, report.pdf and, last of all, RUN/report/index.html, which it returns.

    figures: names of the comparison's figures that were drawn in RUN/report/figures; those of other notebooks are
    taken in where they are. Raises FileNotFoundError for a figure that is missing.
    """
    folder, tables = results.root / "report", comparison_tables(compared)
    verdicts = claims.claims_table(judged)
    if power := claims.power_table(judged):
        tables["power"] = power
    write_tables(tables.values(), folder / "tables")
    write_text(latex(verdicts), folder / "tables" / "claims.tex")
    write_table(verdicts.numbers, folder / "claims.csv")
    write_text(claims.claims_markdown(judged), folder / "claims.md")
    page = _html(results, compared, judged, tables, _page_figures(results.root, figures))
    with whole_file(folder / "report.pdf") as partial:
        partial.write_bytes(_pdf(page, results.root))
    write_text(page, folder / "index.html")
    return folder / "index.html"


def _html(
    results: RunResults,
    compared: Comparison,
    judged: JudgedRun,
    tables: Mapping[str, Table],
    figures: Mapping[str, PageFigure],
) -> str:
    """The page: page.html.j2 lays out what the run has, and calls what says it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters["marked"] = lambda text: Markup(MARKDOWN.renderInline(text))
    environment.filters["base64"] = lambda file: base64.b64encode(file.read_bytes()).decode()
    return environment.get_template("page.html.j2").render(
        root=results.root,
        checkout=repository_root(),
        results=results,
        compared=compared,
        judged=judged,
        tables=tables,
        figures=figures,
        heard=players(results),
        claims_rows=_claims_rows(judged, figures),
        predictions=_predictions(judged),
        links=_links(results.root),
        margin=MARGIN_PESQ,
        rule=RULE,
        marks=MARKS,
        # What says something.
        answer=answer,
        claims=claims,
        objective=objective_words,
        branches_answer=branches_answer,
        words=words,
        describe=describe,
        players_in_words=players_in_words,
    )


def _pdf(page: str, run_root: Path) -> bytes:
    """The page set by Typst, with the vector figures that it links.

    Fonts of the machine are left aside, so that the same run gives the same pages everywhere. Raises
    typst.TypstError for a figure that has no PDF beside its PNG.
    """
    _doctype, _, html = page.partition("\n")
    return typst.compile(
        (TEMPLATES / "document.typ").read_bytes(),
        root=str(run_root),
        sys_inputs={"page": html},
        ignore_system_fonts=True,
    )


def _page_figures(root: Path, drawn: Collection[str]) -> dict[str, PageFigure]:
    """What the page can show, in the order of `FIGURES`: figures `drawn` and those of other notebooks."""
    files = [root / "report" / "figures" / f"{name}.png" for name in drawn]
    files += [png for step in STEPS for png in root.glob(f"{step}/figures/*.png")]
    pages = {png.stem: _page_figure(png, root) for png in files if png.stem in FIGURES}
    return {name: pages[name] for name in FIGURES if name in pages}


def _page_figure(png: Path, root: Path) -> PageFigure:
    with Image.open(png) as image:
        width, height = (round(size * PAGE_DOTS_PER_INCH / PNG_DOTS_PER_INCH) for size in image.size)
    files = [png.with_suffix(f".{suffix}") for suffix in ("csv", "svg", "pdf", "png")]
    paths = {
        file.suffix[1:].upper(): os.path.relpath(file, root / "report") for file in files if file.is_file()
    }
    return PageFigure(png.parts[-3], FIGURES[png.stem], png, width, height, paths)


def _claims_rows(run: JudgedRun, drawn: Collection[str]) -> list[tuple[str, str, str]]:
    """Claim, verdict, effect and evidence of every claim that the run can test; drawn: figures on the page."""
    return [
        (f"*{claim.claim.id}* **{claim.claim.title}**", str(claim.verdict), _evidence(claim, drawn))
        for claim in run.claims
        if claim.verdict != Verdict.NOT_TESTABLE
    ]


def _evidence(judged: JudgedClaim, drawn: Collection[str]) -> str:
    """A claim's effect, its reason for no verdict, and links, in lines."""
    primary, claim = judged.primary, judged.claim
    links = [f"[{FIGURES[name].title}](#figure-{name})" for name in claim.figures if name in drawn]
    effect = isinstance(primary.found, Effect)
    lines = [
        f"**{_measured(primary.found)}**" if effect else "",
        f"{primary.prediction.id}: {primary.prediction.says}" if effect else "",
        f"Not decided: {judged.reason}" if judged.reason else "",
        "".join([f"[all predictions](#rules-{claim.id})", *links]),
    ]
    return "\n".join(filter(None, lines))


def _measured(found: Effect) -> str:
    """An effect in words, with what it is measured in behind its estimate."""
    estimate = claims.estimate_in_words(found)
    unit = " PESQ" if found.scale == "pesq" else ""
    return claims.effect_in_words(found).replace(estimate, f"{estimate}{unit}", 1)


def _predictions(run: JudgedRun) -> dict[str, pd.DataFrame]:
    """The predictions as text by their claim."""
    every = claims.predictions_text(run).set_index("prediction", drop=False)
    return {
        claim.claim.id: every.loc[[one.prediction.id for one in claim.predictions]] for claim in run.claims
    }


def _links(root: Path) -> list[str]:
    notebooks = [
        f"{file.stem}: [page](<../notebooks/{file.stem}.html>)[notebook](<../notebooks/{file.name}>)"
        for file in sorted((root / "notebooks").glob("*.ipynb"))
    ]
    tables = [str(file.relative_to(root)) for pattern in LINKED_TABLES for file in sorted(root.glob(pattern))]
    return [*notebooks, *(f"{file}: [CSV](<../{file}>)" for file in tables)]
