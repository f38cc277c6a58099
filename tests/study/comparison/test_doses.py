import pandas as pd
import pytest

from cmgan.study.comparison.doses import batch_sizes, failure_doses, plot_batch_sizes, plot_failure_doses
from cmgan.study.comparison.tables import final_metrics
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
    assert frame[["family", "dose"]].apply(tuple, axis=1).tolist() == [
        ("published", 0.0),
        ("published", 0.1),
        ("published", 0.56),
        ("normalised_target", 0.0),
        ("normalised_target", 0.56),
    ]
    assert frame.groupby("family")["mean"].mean()["normalised_target"] == pytest.approx(2.2, abs=0.1)
    frame.to_csv(tmp_path / "doses.csv", index=False)
    (axis,) = plot_failure_doses(pd.read_csv(tmp_path / "doses.csv")).axes
    assert [len(line.get_xdata()) for line in axis.lines] == [3, 2]
    bottom, top = axis.get_ylim()
    assert bottom < frame["low"].min() < frame["high"].max() < top
    assert axis.get_xlim()[1] > 56


def test_a_run_without_doses_has_nothing_to_draw(tmp_path):
    assert failure_doses(_final(tmp_path, ("published", "normalised_target"))).empty


def test_arms_that_differ_in_batch_size_alone_form_a_line_that_takes_in_the_run_s_own_size(tmp_path):
    arms = (
        "published",
        "published_batch_1",
        "published_batch_2",
        "published_batch_4",
        "skip_56",
        "batch_mean_labels",
    )
    frame = batch_sizes(_final(tmp_path, arms), batch_size=2)
    assert frame[["family", "dose", "arm"]].apply(tuple, axis=1).tolist() == [
        ("published", 1, "published_batch_1"),
        ("published", 2, "published"),
        ("published", 4, "published_batch_4"),
    ]
    frame.to_csv(tmp_path / "sizes.csv", index=False)
    (axis,) = plot_batch_sizes(pd.read_csv(tmp_path / "sizes.csv")).axes
    assert [list(line.get_xdata()) for line in axis.lines] == [[1, 2, 4]]
