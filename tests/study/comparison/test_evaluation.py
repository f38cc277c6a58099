import numpy as np
import pandas as pd
import pytest

from cmgan.study.comparison.evaluation import compare, differences, doses, final_metrics, improvements
from cmgan.study.comparison.plots import plot_batch_sizes, plot_failure_doses
from cmgan.study.run_results import NOISY, load_run
from tests.simulated_run import COLLAPSE, simulate_run


def test_the_difference_that_was_simulated_lies_in_the_interval(simulated):
    row = differences(simulated.evaluation, "published").set_index("metric").loc["pesq"]
    assert row["low"] < COLLAPSE < row["high"]
    assert row["utterances"] == 16
    assert row["seeds"] == 2


def test_an_arm_is_not_compared_with_itself_nor_noisy_with_noisy(simulated):
    assert set(differences(simulated.evaluation, "published")["arm"]) == {"normalised_target"}
    assert set(differences(simulated.evaluation, NOISY)["arm"]) == {"published", "normalised_target"}


def test_a_missing_score_drops_the_utterance_and_is_counted(simulated):
    evaluation = simulated.evaluation.copy()
    one = (evaluation["arm"] == "published") & (evaluation["seed"] == 0) & (evaluation["id"] == "t003")
    evaluation.loc[one, "pesq"] = np.nan
    row = final_metrics(evaluation).set_index(["arm", "metric"]).loc[("published", "pesq")]
    assert (row["utterances"], row["missing"]) == (15, 1)


def test_noisy_files_have_no_seeds_and_an_interval_over_utterances(simulated):
    noisy = final_metrics(simulated.evaluation).query("arm == 'noisy'")
    assert (noisy["low"] < noisy["high"]).all()
    assert (noisy["seeds"] == 0).all()


def test_the_baseline_is_the_first_arm_where_published_was_not_run(tmp_path):
    run = simulate_run(tmp_path / "run", ("recommended", "normalised_target"), (0,), 3, 3, 4)
    compared = compare(load_run(run, ["recommended", "normalised_target"], [0]))
    assert compared.baseline == "recommended"
    assert compared.differences["low"].isna().all()


def test_an_utterance_is_set_beside_itself_whatever_the_order_and_missing_scores_stay_missing():
    scores = pd.DataFrame({"id": ["a", "b"], "pesq": [1.5, np.nan], "ssnr": 0.0, "stoi": 0.5, "si_sdr": 1.0})
    enhanced = scores.assign(pesq=[2.5, 3.0])[::-1]
    pesq = improvements(scores, enhanced).query("metric == 'pesq'").set_index("id")
    assert pesq.loc["a", ["noisy", "enhanced"]].tolist() == [1.5, 2.5]
    assert np.isnan(pesq.loc["b", "noisy"])
    assert pesq.loc["b", "enhanced"] == 3.0


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
    frame = doses(_final(tmp_path, arms), "injected_failure_rate", 0)
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
    assert doses(_final(tmp_path, ("published", "normalised_target")), "injected_failure_rate", 0).empty


def test_arms_that_differ_in_batch_size_alone_form_a_line_that_takes_in_the_run_s_own_size(tmp_path):
    arms = (
        "published",
        "published_batch_1",
        "published_batch_2",
        "published_batch_4",
        "skip_56",
        "batch_mean_labels",
    )
    frame = doses(_final(tmp_path, arms), "batch_size", 2)
    assert frame[["family", "dose", "arm"]].apply(tuple, axis=1).tolist() == [
        ("published", 1, "published_batch_1"),
        ("published", 2, "published"),
        ("published", 4, "published_batch_4"),
    ]
    frame.to_csv(tmp_path / "sizes.csv", index=False)
    (axis,) = plot_batch_sizes(pd.read_csv(tmp_path / "sizes.csv")).axes
    assert [list(line.get_xdata()) for line in axis.lines] == [[1, 2, 4]]
