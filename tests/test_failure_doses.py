import pandas as pd
import pytest

from cmgan.study.comparison import final_metrics
from cmgan.study.failure_doses import failure_doses, plot_failure_doses
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run


def _final(tmp_path, arms):
    root = simulate_run(tmp_path / "run", arms, (0, 1), epochs=2, utterances=2, test_utterances=12)
    return final_metrics(load_run(root).evaluation)


def test_arms_that_differ_in_injected_failures_alone_form_a_line_for_each_target(tmp_path):
    arms = (
        "skip_56",
        "published",
        "skip_10",
        "mask_56",
        "normalised_skip_56",
        "normalised_target",
        "recommended",
    )
    frame = failure_doses(_final(tmp_path, arms))
    assert frame[["time_target", "rate"]].apply(tuple, axis=1).tolist() == [
        ("published", 0.0),
        ("published", 0.1),
        ("published", 0.56),
        ("normalised", 0.0),
        ("normalised", 0.56),
    ]
    assert frame.groupby("time_target")["mean"].mean()["normalised"] == pytest.approx(2.2, abs=0.1)
    frame.to_csv(tmp_path / "doses.csv", index=False)
    (axis,) = plot_failure_doses(pd.read_csv(tmp_path / "doses.csv")).axes
    assert [len(line.get_xdata()) for line in axis.lines] == [3, 2]


def test_a_run_without_doses_has_nothing_to_draw(tmp_path):
    assert failure_doses(_final(tmp_path, ("published", "normalised_target"))).empty
