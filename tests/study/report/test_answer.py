"""The two sentences and the picture of the report's first screen say what the run's tables hold."""

import pandas as pd
import pytest

from cmgan.study.comparison.evaluation import compare
from cmgan.study.objective.minima import DESCENT
from cmgan.study.report.answer import LOSS_ALONE, answer_figure, answer_frame, answer_in_two, picture_in_words
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run whose branches fall under the published target."""
    return simulate_run(tmp_path_factory.mktemp("results") / "run", seeds=(0, 1, 2), epochs=3)


def minima(root, published, normalised=4.6, settled=True):
    """minima.csv of two clips whose published descent goes from 1.5 over 3.2 to `published`."""
    (root / "objective").mkdir(exist_ok=True)
    rows = [
        {
            "setting": setting,
            "clip": clip,
            "pesq": end,
            "pesq_peak": max(3.2, end),
            "gain": 0.4,
            "settled": settled,
        }
        for setting, end in (("published", published), ("normalised", normalised))
        for clip in ("a", "b")
    ]
    table = pd.DataFrame(rows).assign(part=DESCENT, start="noisy", pesq_start=1.5)
    table.to_csv(root / "objective" / "minima.csv", index=False)


def said(root):
    return answer_in_two(root, compare(load_run(root)))


def test_a_loss_whose_minimum_is_worse_than_the_repaired_ones_asks_for_worse_speech(root):
    minima(root, published=2.1)
    loss, networks = said(root)
    assert "from 1.50 up to 3.20 and down again to 2.10, at 0.40 of the clean level" in loss
    assert loss.endswith("PESQ ends at 4.60 (mean of 2 clips).")
    assert "trained with the repaired loss end 0.6" in networks
    assert "PESQ lower when they go on with the published one instead (95 % interval" in networks
    assert "PESQ higher when they go on with the repaired one (95 % interval" in networks
    assert networks.endswith("; so in 3 of 3 seeds).")


def test_a_loss_whose_minimum_is_as_good_is_not_accused(root):
    minima(root, published=4.55)
    assert "does not ask for worse speech" in said(root)[0]


def test_a_way_without_a_fall_is_not_told_as_one_and_unsettled_descents_are_named(root):
    minima(root, published=3.2, settled=False)
    assert "takes PESQ from 1.50 to 3.20, at" in said(root)[0]
    assert "(mean of 2 clips, not settled)" in said(root)[0]


def test_a_run_without_branches_is_answered_from_its_arms(tmp_path):
    root = simulate_run(tmp_path / "run", seeds=(0, 1), epochs=3)
    (root / "branches" / "endpoints.csv").unlink()
    (networks,) = said(root)
    assert networks.startswith("Networks trained from scratch with the repaired loss end 0.6")
    assert "PESQ higher than those trained with the published one (95 % interval" in networks
    assert networks.endswith("; 2 seeds).")


def test_the_picture_has_a_panel_for_the_loss_and_for_each_trunk_with_its_ends_in_words(root):
    way = {"setting": "published", "clip": "a", "start": "noisy", "iteration": [0, 1, 2]}
    pd.DataFrame(way | {"loss_total": [0.3, 0.2, 0.1], "pesq": [1.5, 3.2, 2.1]}).to_csv(
        root / "objective" / "descents.csv", index=False
    )
    steps = [("trunk", -4, 1.5), ("trunk", 0, 2.0), ("published", 4, 1.6), ("normalised_target", 4, 2.2)]
    curves = pd.DataFrame(steps, columns=["arm", "step", "pesq"]).assign(trunk="normalised_target", seed=0)
    curves.to_csv(root / "branches" / "curves.csv", index=False)
    frame = answer_frame(root)
    assert list(frame["panel"].unique()) == [LOSS_ALONE, "normalised_target"]
    alone, trunk = picture_in_words(frame)
    assert "the published loss at 2.10 (highest 3.20)" in alone
    assert "the published loss at 1.60" in trunk
    assert "the repaired loss at 2.20" in trunk
    first, second = answer_figure(frame).axes
    # A branch is drawn from its trunk's last point on.
    assert [2.0, 2.2] in [list(line.get_ydata()) for line in second.lines]
    assert first.xaxis_inverted()
