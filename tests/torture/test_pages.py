"""Pages with names that are programs to a browser, opened in one: none of them runs."""

import dataclasses
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.figure_files import STYLES
from cmgan.study.pipeline.run_notebook import run_notebook
from cmgan.study.report.page import write_report
from cmgan.study.report.redraw import draw_gallery
from cmgan.study.run_results import load_run
from data_prep.whole_files import write_table
from tests.simulated_run import simulate_run

RAN = "document.documentElement.setAttribute('ran', '1')"
NAMES = (
    f"<script>{RAN}</script>",
    f'<img src=x onerror="{RAN}">',
    f'" onerror="{RAN}" x="',
    f"' onmouseover={RAN} autofocus onfocus={RAN} '",
    f"`<svg onload={RAN}>``",
    f"two\n\n<script>{RAN}</script>\nlines",
    f"</td></style></title><script>{RAN}</script>",
    "$(touch PWNED)",
    "{{ 7 * 7 }}",
)
# Says that everything was loaded, images that fail too.
LOADED = (
    "<script>addEventListener('load', () => document.documentElement.setAttribute('loaded', '1'))</script>"
)


def _ran(page, folder):
    """Whether anything in the page ran in Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("there is no Chromium here")
    watched = page.with_name("watched.html")
    watched.write_text(page.read_text().replace("<head>", f"<head>{LOADED}", 1))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    nowhere = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'browser'}"]
    opened = subprocess.run(
        [browser, *options, *nowhere, watched.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    root = opened.stdout[opened.stdout.index("<html") :].partition(">")[0]
    assert 'loaded="1"' in root, "the page was not loaded"
    return 'ran="1"' in root


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_page_that_runs_them_is_noticed(tmp_path, name):
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><html><head></head><body>{name}</body></html>")
    assert _ran(page, tmp_path)


def _renamed(frame, column):
    """The same table with its values of a column, one after the other, made hostile."""
    values = {
        value: f"{NAMES[place % len(NAMES)]}{value}" for place, value in enumerate(frame[column].unique())
    }
    return frame.assign(**{column: frame[column].map(values)})


def test_a_report_on_hostile_names_runs_nothing(tmp_path, seen):
    root = simulate_run(tmp_path / NAMES[2].replace("/", ""), epochs=6, test_utterances=8)
    for file in (
        root / "data" / "manifest.csv",
        *root.glob("evaluation/*.csv"),
        *root.glob("training/*/validation.csv"),
    ):
        frame = pd.read_csv(file)
        for column in {"id", "speaker", "noise", "note"} & set(frame):
            frame = _renamed(frame, column)
        write_table(frame, file)
    results = load_run(root)
    reasons = results.steps.assign(failure_reasons=f"{NAMES[0]}:1,{NAMES[1]}:2")
    results = dataclasses.replace(results, steps=reasons)
    page = write_report(results, compare(results), judge_run(results), ())
    assert "&lt;script&gt;document" in page.read_text()
    assert not _ran(page, tmp_path)
    gallery = draw_gallery(root, STYLES["paper"], tmp_path / "gallery")
    assert not _ran(gallery, tmp_path)
    seen(
        "a report on recordings, speakers, noises and a run that are named like programs",
        "nothing ran in Chromium",
    )


CELL = """import pandas as pd
from cmgan.study.notebook_text import numbered, said, shown_table
names = {names!r}
display(said(names), numbered(names), shown_table(pd.DataFrame(dict(name=names))), pd.DataFrame(dict(name=names)))
print(*names)"""


def test_an_executed_notebook_on_hostile_names_runs_nothing(tmp_path, seen):
    cell = nbformat.v4.new_code_cell(CELL.format(names=list(NAMES)))
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "01_names.ipynb")
    executed = tmp_path / "executed" / "01_names.ipynb"
    run_notebook(tmp_path / "01_names.ipynb", executed, {}, sys.stdout)
    page = executed.with_suffix(".html")
    assert page.read_text().count("touch PWNED") >= 6
    assert not _ran(page, tmp_path)
    seen(
        "sentences, tables and output of a notebook that hold such names", "its page ran nothing in Chromium"
    )
