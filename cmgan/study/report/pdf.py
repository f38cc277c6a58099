"""The report as a document to print and cite: report.pdf, set by Typst from the same sections as the page."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import typst

from cmgan.study.report.sections import PageFigure, Section
from cmgan.study.report.tables import Table

TEMPLATE = Path(__file__).with_name("document.typ")


def write_pdf(title: str, introduction: str, sections: Sequence[Section], run_root: Path) -> Path:
    """Write RUN/report/report.pdf, with vector figures and fonts of its own, and return it.

    Fonts of the machine are left aside, so that the same run gives the same pages everywhere. Raises
    typst.TypstError for a figure that has no PDF beside its PNG.
    """
    content = {
        "title": title,
        "introduction": introduction,
        "sections": [_as_data(section, run_root) for section in sections],
    }
    pdf = typst.compile(
        TEMPLATE.read_bytes(),
        root=str(run_root),
        sys_inputs={"content": json.dumps(content)},
        ignore_system_fonts=True,
    )
    partial = run_root / "report" / ".report.pdf.partial"
    partial.write_bytes(pdf)
    return partial.replace(partial.with_name("report.pdf"))


def _as_data(section: Section, run_root: Path) -> dict:
    others = dataclasses.replace(section, figures=(), tables=())
    return dataclasses.asdict(others) | {
        "figures": [_figure(figure, run_root) for figure in section.figures],
        "tables": [_table(table) for table in section.tables],
    }


def _figure(figure: PageFigure, run_root: Path) -> dict:
    file = figure.png.with_suffix(".pdf").relative_to(run_root)
    return dataclasses.asdict(figure.words) | {
        "name": figure.name,
        "file": f"/{file}",
        "data": figure.links["CSV"],
    }


def _table(table: Table) -> dict:
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "wide": table.wide,
        "columns": list(table.text.columns),
        "rows": table.text.to_numpy().tolist(),
    }
