"""What a paper asks of every figure: widths of its columns, text that can be read there, arms told apart in grey."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.text import Text

from cmgan.study.arms import arm_style
from cmgan.study.figure_files import COLUMN_WIDTH, TEXT_WIDTH, figure_style
from cmgan.study.profile import read_settings
from cmgan.study.report.figures import FIGURES
from cmgan.study.training.plots import OVERLAID_ARMS

mpl.use("agg")

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "notebooks" / "profiles"
DRAWN = [
    file for file in sorted((ROOT / "results" / "reference").glob("*/figures/*.csv")) if file.stem in FIGURES
]
TALLEST = 9.0  # inches of text on a page


@pytest.mark.parametrize("file", DRAWN, ids=lambda file: file.stem)
def test_a_figure_fills_a_column_or_the_page_with_text_of_7_to_9_points(file):
    with figure_style():
        figure = FIGURES[file.stem].plot(pd.read_csv(file))
    width, height = figure.get_size_inches()
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
    plt.close(figure)
    assert width in (COLUMN_WIDTH, TEXT_WIDTH)
    assert height < TALLEST
    assert min(sizes) >= 7
    assert max(sizes) <= 9


@pytest.mark.parametrize("profile", sorted(PROFILES.glob("*.yaml")), ids=lambda profile: profile.stem)
def test_arms_drawn_over_each_other_differ_without_colour(profile):
    arms = read_settings(profile.stem, PROFILES, {})["arms"][:OVERLAID_ARMS]
    looks = {(str(style["linestyle"]), style["marker"]) for style in map(arm_style, arms)}
    assert len(looks) == len(arms)
