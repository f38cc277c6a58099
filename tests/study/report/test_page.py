import re
import shutil
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cmgan.study.claims.rules import read_claims
from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.report.figures import FIGURES, draw_figures, figure_frames
from cmgan.study.report.page import write_report
from cmgan.study.report.redraw import redraw_run
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run

ARMS = ("published", "normalised_target", "skip_56", "published_batch_1")
# A simulated run has tables, but neither networks nor recordings: no `one_clip`.
DRAWN = (
    "claims_forest",
    "mechanism",
    "validation_pesq",
    "final_metrics",
    "differences",
    "failure_doses",
    "batch_sizes",
    "discriminator_losses",
    "label_spread",
    "gradient_norms",
)


def reported(root):
    """The run's report, with its figures."""
    results = load_run(root)
    compared, judged = compare(results), judge_run(results)
    figures = draw_figures(figure_frames(results, compared, judged), root / "report" / "figures")
    return write_report(results, compared, judged, figures)


class Page(HTMLParser):
    """What a page shows and refers to."""

    def __init__(self, text):
        super().__init__()
        self.images, self.targets, self.ids, self.tags = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(values)
        self.targets += [values[name] for name in ("src", "href") if name in values]
        self.ids |= {values["id"]} if "id" in values else set()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = simulate_run(
        tmp_path_factory.mktemp("results") / "run", ARMS, (0, 1, 2), epochs=8, test_utterances=8
    )
    (root / "notebooks").mkdir()
    (root / "notebooks" / "06_published_logs.ipynb").write_text("{}")
    reported(root)
    return root


@pytest.fixture(scope="module")
def text(run):
    return (run / "report" / "index.html").read_text()


def test_the_answer_names_the_arm_that_was_made_to_collapse_and_not_the_other(text):
    answer = text[text.index('id="answer"') : text.index('id="run"')]
    (fell,) = re.findall(r"<li>(PESQ on the validation utterances fell .*?)</li>", answer)
    assert "published" in fell
    assert "normalised_target" not in fell
    (held,) = re.findall(r"<li>(PESQ did not fall .*?)</li>", answer)
    assert "normalised_target" in held


def test_the_first_section_shows_the_lines_to_change_and_why(text):
    first = text[text.index('id="objective"') : text.index('id="claims"')]
    assert "Change this" in first
    assert "Why: C12 is supported in this run" in first
    assert "noisy, clean = noisy * gain, clean * gain" in first
    assert "Not worth your time" in first


def test_a_section_without_anything_to_show_is_neither_there_nor_in_the_contents(text):
    page = Page(text)
    assert {"training", "#training"} <= {*page.ids, *page.targets}
    assert not {"evidence", "#evidence", "minima", "#minima"} & {*page.ids, *page.targets}


def test_every_image_has_alternative_text(text):
    images = Page(text).images
    assert len(images) == len(DRAWN)
    assert all(len(image["alt"]) > 30 for image in images)


def test_the_page_needs_nothing_from_elsewhere(text):
    page = Page(text)
    assert not {"script", "iframe", "object"} & set(page.tags)
    assert not [target for target in page.targets if re.match(r"(\w+:)?//", target)]
    assert "url(" not in text
    assert "@import" not in text


def test_every_link_leads_somewhere(run, text):
    page = Page(text)
    for target in page.targets:
        if target.startswith("#"):
            assert target[1:] in page.ids
        elif not target.startswith("data:") and not target.endswith("06_published_logs.html"):
            assert (run / "report" / target).is_file(), target


def test_every_figure_is_there_in_four_formats(run):
    for name in DRAWN:
        for suffix in ("csv", "png", "svg", "pdf"):
            assert (run / "report" / "figures" / f"{name}.{suffix}").stat().st_size > 0


def test_the_command_commit_versions_and_time_are_stated(text):
    assert "make study PROFILE=laptop" in text
    assert re.search(r"torch \d+\.\d+", text)
    assert "of training" in text


def test_tables_are_written_as_numbers_and_as_latex(run):
    tables = run / "report" / "tables"
    assert set(pd.read_csv(tables / "pesq_falls.csv")["arm"]) == set(ARMS)
    files = list(tables.glob("*.csv"))
    assert len(files) > 5
    for file in files:
        assert r"\toprule" in file.with_suffix(".tex").read_text(encoding="ascii")


def test_the_claims_stand_in_latex_with_verdict_interval_and_n(run):
    latex = (run / "report" / "tables" / "claims.tex").read_text(encoding="ascii")
    (row,) = re.findall(r"^ *C12 & (.*) \\\\$", latex, re.MULTILINE)
    title, verdict, effect, sample = row.split(" & ")
    assert verdict in ("supported", "refuted", "inconclusive")
    assert re.match(r"\+\d\.\d\d \[.+, .+\]", effect)
    assert sample == "3 seeds"
    assert "time target" in title


def test_the_document_holds_every_figure_with_alternative_text_for_readers(run, text):
    document = (run / "report" / "report.pdf").read_bytes()
    assert document.startswith(b"%PDF")
    assert document.count(b"/Alt") == len(Page(text).images)


def test_names_from_outside_are_escaped(run):
    results = load_run(run)
    steps = results.steps.assign(failure_reasons="<script>alert(1)</script>:1")
    changed = results.__class__(**vars(results) | {"steps": steps})
    page = write_report(results, compare(changed), judge_run(changed), DRAWN)
    assert "<script>" not in page.read_text()
    assert (run / "report" / "report.pdf").stat().st_size > 0


def test_a_report_without_its_figures_is_refused_and_leaves_no_page(tmp_path):
    results = load_run(simulate_run(tmp_path / "run", ("published",), (0,), 2, 2, 2))
    with pytest.raises(FileNotFoundError, match=r"mechanism\.png"):
        write_report(results, compare(results), judge_run(results), ["mechanism"])
    assert not (tmp_path / "run" / "report" / "index.html").exists()


def test_figures_are_drawn_again_from_their_csv_alone(run, tmp_path):
    names = ("differences", "label_spread")
    folder = tmp_path / "report" / "figures"
    folder.mkdir(parents=True)
    for name in names:
        shutil.copy(run / "report" / "figures" / f"{name}.csv", folder)
    assert [file.stem for file in redraw_run(tmp_path)] == list(names)
    for name in names:
        drawn = run / "report" / "figures" / name
        assert (folder / f"{name}.csv").read_bytes() == drawn.with_suffix(".csv").read_bytes()
        assert np.array_equal(plt.imread(folder / f"{name}.png"), plt.imread(drawn.with_suffix(".png")))


def test_redrawing_a_run_without_figures_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="make study"):
        redraw_run(tmp_path)


def test_every_figure_that_a_claim_names_has_words_for_the_page():
    named = {name for claim in read_claims().claims for name in claim.figures}
    assert named
    assert all(FIGURES[name].title and FIGURES[name].alternative for name in named)


def test_a_run_of_one_arm_has_a_report_too(tmp_path):
    root = simulate_run(tmp_path / "run", ("recommended",), (0,), epochs=3, test_utterances=4)
    assert reported(root).exists()
