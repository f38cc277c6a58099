"""Which figures of the comparison are drawn again."""

from pathlib import Path

import pandas as pd
import pytest

from cmgan.study.report import figures

KEPT = Path(__file__).parents[3] / "results" / "reference" / "report" / "figures"
NAMES = ("gradient_norms", "failure_doses")


@pytest.fixture
def frames():
    return {name: pd.read_csv(KEPT / f"{name}.csv") for name in NAMES}


@pytest.fixture
def drawn(monkeypatch):
    """Names of the figures that were drawn."""
    names = []

    def noted(plot, frame, folder, name):
        names.append(name)
        return draw(plot, frame, folder, name)

    draw = figures.draw
    monkeypatch.setattr(figures, "draw", noted)
    return names


def test_a_figure_is_shown_and_not_drawn_again_while_nothing_changed(frames, drawn, tmp_path):
    first = figures.draw_figures(frames, tmp_path)
    again = figures.draw_figures(frames, tmp_path)
    assert drawn == list(NAMES)
    assert {name: image.data for name, image in again.items()} == {
        name: image.data for name, image in first.items()
    }


def test_a_figure_is_drawn_again_where_its_numbers_or_a_file_of_it_changed(frames, drawn, tmp_path):
    figures.draw_figures(frames, tmp_path)
    (tmp_path / "gradient_norms.svg").unlink()
    figures.draw_figures(frames, tmp_path)
    frames["failure_doses"] = frames["failure_doses"].iloc[:-1]
    figures.draw_figures(frames, tmp_path)
    assert drawn == [*NAMES, "gradient_norms", "failure_doses"]


def test_a_figure_is_drawn_again_where_its_code_changed_and_the_others_are_not(
    frames, drawn, tmp_path, monkeypatch
):
    figures.draw_figures(frames, tmp_path)
    plot = figures.FIGURES["gradient_norms"].plot
    before = figures.function_code
    monkeypatch.setattr(figures, "function_code", lambda of, root: before(of, root) + "x" * (of is plot))
    figures.draw_figures(frames, tmp_path)
    assert drawn == [*NAMES, "gradient_norms"]


def test_all_figures_are_drawn_again_where_the_code_that_writes_them_changed(
    frames, drawn, tmp_path, monkeypatch
):
    figures.draw_figures(frames, tmp_path)
    before, writes = figures.function_code, figures.draw
    monkeypatch.setattr(figures, "function_code", lambda of, root: before(of, root) + "x" * (of is writes))
    figures.draw_figures(frames, tmp_path)
    assert drawn == [*NAMES, *NAMES]


def test_of_figures_cut_off_while_they_were_drawn_none_counts_as_drawn(frames, drawn, tmp_path, monkeypatch):
    def cut_off(*_):
        raise KeyboardInterrupt

    figures.draw_figures({"gradient_norms": frames["gradient_norms"]}, tmp_path)
    changed = frames["gradient_norms"].iloc[:-1]
    with monkeypatch.context() as context:
        context.setattr(figures, "draw", cut_off)
        with pytest.raises(KeyboardInterrupt):
            figures.draw_figures({"gradient_norms": changed}, tmp_path)
    # Some of its files may be of the one frame and some of the other.
    figures.draw_figures({"gradient_norms": frames["gradient_norms"]}, tmp_path)
    assert drawn == ["gradient_norms", "gradient_norms"]
