"""All figures of a run in one folder, in the style of a paper or of slides, from its CSV files alone."""

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text
from PIL import Image

from cmgan.study.figure_files import COLUMN_WIDTH, STYLES, TEXT_WIDTH, figure_style, styled
from cmgan.study.report.figures import FIGURES
from cmgan.study.report.redraw import draw_gallery, gallery, main
from tests.simulated_run import simulate_run

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
BRANCHES = Path(__file__).parents[3] / "results" / "branches"
SLIDES = STYLES["slides"]
DOTS_PER_INCH = 200


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two figures of its report, a figure that two trainings have, and one of an evaluation."""
    root = tmp_path_factory.mktemp("results") / "run"
    for name in ("failure_doses", "discriminator_losses"):
        (root / "report" / "figures").mkdir(parents=True, exist_ok=True)
        shutil.copy(REFERENCE / "report" / "figures" / f"{name}.csv", root / "report" / "figures")
    for training in ("published-0", "published-1"):
        figures = root / "training" / training / "figures"
        figures.mkdir(parents=True)
        shutil.copy(REFERENCE / "training" / "published-0" / "epochs.csv", figures)
    (root / "evaluation" / "figures").mkdir(parents=True)
    scores = pd.DataFrame({"id": ["a", "b"], "metric": "pesq", "noisy": [1.2, 1.4], "enhanced": [2.0, 1.3]})
    scores = pd.concat([scores.assign(metric=metric) for metric in ("pesq", "ssnr", "stoi", "si_sdr")])
    scores.to_csv(root / "evaluation" / "figures" / "published-0.csv", index=False)
    (root / "report" / "figures" / "of_nobody.csv").write_text("a\n1\n")
    return root


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return draw_gallery(run, SLIDES, tmp_path_factory.mktemp("slides"))


def test_every_figure_of_a_run_is_there_in_four_formats_and_on_the_page(page):
    names = ["failure_doses", "discriminator_losses"]
    names += [*(f"training-published-{seed}-epochs" for seed in (0, 1)), "evaluation-published-0"]
    files = {file.name for file in page.parent.iterdir()}
    assert files == {"index.html"} | {
        f"{name}.{kind}" for name in names for kind in ("pdf", "svg", "png", "csv")
    }
    text = page.read_text()
    places = [text.index(f'src="{name}.png"') for name in names]
    assert places == sorted(places)
    assert all(f'href="{name}.csv"' in text for name in names)
    assert "steps skipped" not in text
    assert FIGURES["utterances"].caption in text


def test_the_numbers_beside_a_figure_are_the_runs(run, page):
    drawn = pd.read_csv(page.parent / "failure_doses.csv")
    pd.testing.assert_frame_equal(drawn, pd.read_csv(run / "report" / "figures" / "failure_doses.csv"))


def test_slides_are_wider_than_a_papers_figures(page):
    width, _ = Image.open(page.parent / "failure_doses.png").size
    assert width == pytest.approx(SLIDES.wider * COLUMN_WIDTH * DOTS_PER_INCH, abs=1)


@pytest.mark.parametrize("one", gallery(REFERENCE), ids=lambda one: one.name)
def test_no_text_of_a_slide_is_small_and_no_title_cut_off_or_over_another(one):
    with figure_style(SLIDES):
        figure = styled(one.figure.plot, one.frame, SLIDES)
        figure.draw_without_rendering()
    width, _ = figure.get_size_inches()
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
    titles = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
    plt.close(figure)
    assert width in (SLIDES.wider * COLUMN_WIDTH, SLIDES.wider * TEXT_WIDTH)
    assert min(sizes) >= SLIDES.least
    assert all(title.x0 >= 0 and title.x1 <= width * figure.dpi for title in titles)
    assert not any(one.overlaps(other) for one, other in combinations(titles, 2))


def test_a_style_makes_lines_and_marks_larger_too():
    (one,) = (one for one in gallery(REFERENCE) if one.name == "failure_doses")
    widths = {}
    for name, style in STYLES.items():
        with figure_style(style):
            figure = styled(one.figure.plot, one.frame, style)
        (axis,) = figure.axes
        widths[name] = axis.lines[0].get_linewidth(), axis.lines[0].get_markersize()
        plt.close(figure)
    assert np.allclose(np.divide(widths["slides"], widths["paper"]), SLIDES.enlarged)


def test_branches_have_a_gallery_too():
    assert [(one.name, one.figure) for one in gallery(BRANCHES)] == [("branches", FIGURES["branches"])]


def test_a_run_that_kept_tables_alone_gets_the_figures_of_the_comparison(tmp_path):
    names = [one.name for one in gallery(simulate_run(tmp_path / "run", epochs=3, utterances=3))]
    assert {"mechanism", "final_metrics", "discriminator_losses"} <= set(names)


def test_a_folder_without_a_run_is_named_with_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither figure data nor trainings"):
        gallery(tmp_path)


def test_an_unknown_style_is_named_with_those_there_are(tmp_path):
    with pytest.raises(SystemExit, match="unknown style 'poster': use paper or slides"):
        main(tmp_path, style="poster")
