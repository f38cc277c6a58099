"""The comparison report: one self-contained HTML page, the same as PDF, its tables, from what a run left behind."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from cmgan.study.claims.judging import JudgedRun
from cmgan.study.claims.tables import claims_markdown, claims_table
from cmgan.study.comparison.tables import Comparison
from cmgan.study.paths import repository_root
from cmgan.study.report.pdf import write_pdf
from cmgan.study.report.sections import Section, report_sections
from cmgan.study.report.tables import report_tables, write_latex, write_tables
from cmgan.study.report.words import introduction
from cmgan.study.run_results import RunResults
from data_prep.whole_files import write_table

TEMPLATE = Path(__file__).with_name("page.html.j2")


def write_report(
    results: RunResults, compared: Comparison, judged: JudgedRun, root: Path | None = None
) -> Path:
    """Write claims.csv, the tables, report.pdf and, last of all, RUN/report/index.html, which it returns.

    root: the checkout (default: around the working folder). Raises FileNotFoundError for a figure that was not drawn
    (see `report_sections`).
    """
    folder = results.root / "report"
    tables, claims = report_tables(compared), claims_table(judged)
    write_tables(tables, folder / "tables")
    write_latex(claims, folder / "tables")
    write_table(claims.numbers, folder / "claims.csv")
    (folder / "claims.md").write_text(claims_markdown(judged))
    sections = report_sections(results, compared, judged, tables, root or repository_root())
    title = f"CMGAN training compared: {results.root.name}"
    write_pdf(title, introduction(results), sections, results.root)
    partial = folder / ".index.html.partial"
    partial.write_text(_page(title, introduction(results), sections))
    return partial.replace(folder / "index.html")


def _page(title: str, opening: str, sections: Sequence[Section]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marked": _marked, "broken": _broken_before_interval, "inlined": _inlined}
    page = environment.get_template(TEMPLATE.name)
    return page.render(title=title, introduction=opening, sections=sections)


def _inlined(png: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"


def _marked(text: str) -> Markup:
    """Escaped text with `names` between backticks as code and **words** between stars in bold."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", code))


def _broken_before_interval(text: str) -> Markup:
    """Escaped cell with `[low, high]`, or what follows an arrow, in a line of its own: so wide tables fit."""
    broken = re.sub(r"(?<=\S) (\[.+\])$", r'<br><span class="bounds">\1</span>', str(escape(text)))
    return Markup(broken.replace(" → ", " →<br>"))
