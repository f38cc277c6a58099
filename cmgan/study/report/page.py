"""The report, section by section: one self-contained HTML page, and the same page set as PDF."""

import base64
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
import typst
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from cmgan.study.arms import describe
from cmgan.study.branches.summary import branches_answer
from cmgan.study.claims.effects import Effect
from cmgan.study.claims.rules import Verdict
from cmgan.study.claims.verdicts import JudgedClaim, JudgedRun
from cmgan.study.claims.words import (
    claims_markdown,
    claims_table,
    controls_in_words,
    effect_in_words,
    estimate_in_words,
    points_towards,
    power_table,
    predictions_text,
    rules_in_words,
    to_change,
    to_leave,
    unknown,
    untested_in_words,
    verdicts_in_words,
)
from cmgan.study.comparison.evaluation import Comparison
from cmgan.study.comparison.words import RULE
from cmgan.study.objective.words import objective_answer, objective_in_words
from cmgan.study.paths import repository_root
from cmgan.study.report.answer import Change, answer_in_two, lines_to_change
from cmgan.study.report.figures import FIGURES, RunFigure
from cmgan.study.report.listen import Player, players, players_in_words
from cmgan.study.report.tables import Table, latex, report_tables, write_tables
from cmgan.study.report.words import (
    TERMS,
    answer,
    evidence_in_words,
    introduction,
    limits,
    provenance,
    silence_in_words,
)
from cmgan.study.run_results import RunResults
from data_prep.whole_files import whole_file, write_table, write_text

TEMPLATES = Path(__file__).parent
PAGE_DOTS_PER_INCH, PNG_DOTS_PER_INCH = 140, 200
MARKDOWN = MarkdownIt("commonmark", {"html": False})
# A word for the style sheet: verdicts differ in a mark and in words too, not in colour alone.
MARKS = {
    str(Verdict.SUPPORTED): ("supported", "✓"),
    str(Verdict.REFUTED): ("refuted", "✗"),
    str(Verdict.INCONCLUSIVE): ("inconclusive", "?"),
    str(Verdict.NOT_TESTABLE): ("untestable", "–"),
}
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
class Lines:
    """Sentences (Markdown) under a title, numbered if ordered, opened by the title's click if folded.

    `none` stands in their place when there are none.
    """

    lines: Sequence[str]
    title: str = ""
    none: str = ""
    ordered: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Players:
    """Sound beside its words."""

    players: Sequence[Player]


@dataclass(frozen=True)
class PageFigure:
    """A drawn figure with its words and its size on the page in pixels; files: path from the report by format."""

    name: str
    words: RunFigure
    png: Path
    width: int
    height: int
    files: Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """One entry of the table of contents, with its paragraphs, lists, tables and figures."""

    id: str
    title: str
    blocks: Sequence[str | Lines | Change | Players | Table | PageFigure]


def write_report(
    results: RunResults, compared: Comparison, judged: JudgedRun, figures: Collection[str]
) -> Path:
    """Write claims.csv, the tables, report.pdf and, last of all, RUN/report/index.html, which it returns.

    figures: names of the comparison's figures that were drawn in RUN/report/figures; those of other notebooks are
    taken in where they are. Raises FileNotFoundError for a figure that is missing.
    """
    folder, tables, claims = results.root / "report", report_tables(compared), claims_table(judged)
    write_tables([*tables.values(), *filter(None, [power_table(judged)])], folder / "tables")
    write_text(latex(claims), folder / "tables" / "claims.tex")
    write_table(claims.numbers, folder / "claims.csv")
    write_text(claims_markdown(judged), folder / "claims.md")
    page = _html(
        title=f"CMGAN under test: {results.root.name}",
        introduction=introduction(results),
        sections=_sections(results, compared, judged, tables, figures),
    )
    with whole_file(folder / "report.pdf") as partial:
        partial.write_bytes(_pdf(page, results.root))
    write_text(page, folder / "index.html")
    return folder / "index.html"


def _html(title: str, introduction: str, sections: Sequence[Section]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = lambda text: Markup(MARKDOWN.renderInline(text))
    environment.filters["base64"] = lambda file: base64.b64encode(file.read_bytes()).decode()
    page = environment.get_template("page.html.j2")
    return page.render(title=title, introduction=introduction, sections=sections, marks=MARKS)


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


def _sections(
    results: RunResults,
    compared: Comparison,
    judged: JudgedRun,
    tables: Mapping[str, Table],
    drawn: Collection[str],
) -> list[Section]:
    """Every section of the report that has something to show."""
    root = results.root
    files = [root / "report" / "figures" / f"{name}.png" for name in drawn]
    files += [
        png
        for step in ("objective", "branches", "silence", "evidence")
        for png in root.glob(f"{step}/figures/*.png")
    ]
    pages = {png.stem: _page_figure(png, root / "report") for png in files if png.stem in FIGURES}

    def shown(*names: str) -> list[PageFigure]:
        return [pages[name] for name in names if name in pages]

    def of_step(step: str) -> list[PageFigure]:
        return [pages[name] for name in FIGURES if name in pages and pages[name].png.parts[-3] == step]

    heard = players(results)

    def chosen(*names: str) -> list[Table]:
        return [tables[name] for name in names if name in tables]

    sections = [
        Section(
            "objective",
            "What is wrong, and what to change",
            [
                *_points(answer_in_two(root, compared)),
                *shown("answer", "mechanism")[:1],
                *_repair(judged),
            ],
        ),
        Section("words", "Words used here", [Lines(TERMS)]),
        Section(
            "seen",
            "How it is seen: without a network, and in networks",
            [
                *_points(filter(None, [objective_answer(root), branches_answer(root)])),
                *shown("objective_descent", "branches", "objective_clip"),
            ],
        ),
        Section("listen", "Listen", [*players_in_words(heard), *([Players(heard)] if heard else [])]),
        Section(
            "claims", "Verdicts on the claims", [*_claims_blocks(judged, pages), *shown("claims_forest")]
        ),
        Section("change", "What to change, what to leave, and on what evidence", _advice(judged)),
        Section("unknown", "What remains unknown", [Lines(unknown(judged), none="Every claim was decided.")]),
        Section(
            "minima",
            "The objective's minima: doses, other objectives, discriminators, networks",
            [*_folded(objective_in_words(root)), *of_step("objective")[2:]],
        ),
        Section(
            "answer",
            "Trainings from scratch in short",
            [
                Lines(answer(compared)),
                RULE,
                *(shown("mechanism") if "answer" in pages else []),
                *shown("one_clip"),
            ],
        ),
        Section(
            "run",
            "What was run",
            [
                Lines(provenance(results, repository_root())),
                Lines([f"`{arm}`: {describe(arm)}" for arm in results.arms]),
            ],
        ),
        Section(
            "training",
            "Over training",
            [*shown("validation_pesq"), *chosen("pesq_falls", "since_peak", "early_stopping")],
        ),
        Section(
            "scores",
            "Final scores",
            [
                *shown("final_metrics", "differences", "failure_doses", "batch_sizes"),
                *chosen("final_metrics", f"differences_from_{compared.baseline}", "differences_from_noisy"),
            ],
        ),
        Section(
            "discriminator",
            "What the discriminator learned from",
            [
                *shown("discriminator_losses", "label_spread", "gradient_norms"),
                *chosen("skipped_steps", "failure_reasons"),
            ],
        ),
        Section(
            "silence",
            "Silence and PESQ failure",
            [*_points(silence_in_words(root)), *of_step("silence")],
        ),
        Section(
            "evidence", "Published training logs", [*_points(evidence_in_words(root)), *of_step("evidence")]
        ),
        Section("rules", "Decision rules and every prediction", _rules(judged)),
        Section("limits", "What this run cannot say", [Lines(limits(results))]),
        Section("files", "Notebooks and data", _points(_links(root))),
    ]
    return [section for section in sections if section.blocks]


def _points(lines: Iterable[str]) -> list[Lines]:
    lines = [*lines]
    return [Lines(lines)] if any(lines) else []


def _folded(lines: Sequence[str]) -> list[Lines]:
    return [Lines(lines, "In numbers", folded=True)] if lines else []


def _repair(run: JudgedRun) -> list[Change | Lines]:
    """What to change, then what to leave."""
    change = lines_to_change(run)
    waste = Lines(to_leave(run, evidence=False), "Not worth your time", "Nothing was refuted.")
    return [change, waste] if change else [waste]


def _page_figure(png: Path, folder: Path) -> PageFigure:
    with Image.open(png) as image:
        width, height = (round(size * PAGE_DOTS_PER_INCH / PNG_DOTS_PER_INCH) for size in image.size)
    files = [png.with_suffix(f".{suffix}") for suffix in ("csv", "svg", "pdf", "png")]
    paths = {file.suffix[1:].upper(): os.path.relpath(file, folder) for file in files if file.is_file()}
    return PageFigure(png.stem, FIGURES[png.stem], png, width, height, paths)


def _claims_blocks(run: JudgedRun, drawn: Collection[str]) -> list[str | Lines | Table]:
    """The claims with their verdicts, and the controls; drawn: figures that the page shows."""
    rows = [
        [
            f"*{claim.claim.id}* **{claim.claim.title}**",
            str(claim.verdict),
            _evidence(claim, drawn),
        ]
        for claim in run.claims
        if claim.verdict != Verdict.NOT_TESTABLE
    ]
    text = pd.DataFrame(rows, columns=["Claim", "Verdict", "Effect and evidence"])
    return [
        f"{verdicts_in_words(run)} Intervals in square brackets have 95 %; n follows, and where networks were "
        "trained, which counts seeds, the range of the seeds.",
        Table("claims", "Claims and verdicts", "", None, text, "claims"),
        "[CSV of every prediction](claims.csv)[LaTeX](tables/claims.tex)[Markdown](claims.md)",
        *_points([untested_in_words(run)]),
        Lines(controls_in_words(run), "Controls: did what must appear in this run appear?"),
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
    estimate = estimate_in_words(found)
    unit = " PESQ" if found.scale == "pesq" else ""
    return effect_in_words(found).replace(estimate, f"{estimate}{unit}", 1)


def _advice(run: JudgedRun) -> list[Lines]:
    return [
        Lines(to_change(run), "Change", "This run supports no change.", ordered=True),
        Lines(
            points_towards(run),
            "Points this way at 95 %, not decided at the level of all predictions together",
            "Nothing.",
        ),
        Lines(to_leave(run), "Leave alone, or do not count on", "Nothing was refuted."),
    ]


def _rules(run: JudgedRun) -> list[str | Lines | Table]:
    predictions = predictions_text(run)
    tables = [
        Table(
            f"rules-{claim.claim.id}",
            f"{claim.claim.id} {claim.claim.title}: {claim.verdict}",
            f"“{claim.claim.sentence}” ({claim.claim.source}) {claim.claim.note}"
            + (f" Rule changed: {claim.claim.changed}" if claim.claim.changed else ""),
            None,
            predictions[predictions["prediction"].isin([one.prediction.id for one in claim.predictions])],
            "predictions",
        )
        for claim in run.claims
    ]
    opening = (
        "Written down in `cmgan/study/claims/claims.yaml`; where a rule was changed after data had been seen, its "
        "claim says so."
    )
    return [opening, Lines(rules_in_words(run)), *filter(None, [power_table(run)]), *tables]


def _links(root: Path) -> list[str]:
    notebooks = [
        f"{file.stem}: [page](<../notebooks/{file.stem}.html>)[notebook](<../notebooks/{file.name}>)"
        for file in sorted((root / "notebooks").glob("*.ipynb"))
    ]
    tables = [str(file.relative_to(root)) for pattern in LINKED_TABLES for file in sorted(root.glob(pattern))]
    return [*notebooks, *(f"{file}: [CSV](<../{file}>)" for file in tables)]
