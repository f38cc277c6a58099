import numpy as np
import pandas as pd
import pytest

from cmgan.study.comparison.tables import compare, differences, final_metrics
from cmgan.study.run_results import NOISY, load_run
from cmgan.study.training.tables import (
    failures_by_reason,
    gradient_norms,
    identical_arms,
    pesq_falls,
    since_peak,
    skip_rates,
)
from tests.simulated_run import COLLAPSE, PEAK_EPOCH, SKIP_RATE, simulate_run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return load_run(simulate_run(tmp_path_factory.mktemp("results") / "run"))


def test_the_difference_that_was_simulated_lies_in_the_interval(results):
    row = differences(results.evaluation, "published").set_index("metric").loc["pesq"]
    assert row["low"] < COLLAPSE < row["high"]
    assert row["utterances"] == 16
    assert row["seeds"] == 2


def test_pairing_makes_differences_far_more_certain_than_means(results):
    means = final_metrics(results.evaluation).set_index(["arm", "metric"]).loc[("published", "pesq")]
    paired = differences(results.evaluation, "published").set_index("metric").loc["pesq"]
    assert paired["high"] - paired["low"] < 0.5 * (means["high"] - means["low"])


def test_an_arm_is_not_compared_with_itself_nor_noisy_with_noisy(results):
    assert set(differences(results.evaluation, "published")["arm"]) == {"normalised_target"}
    assert set(differences(results.evaluation, NOISY)["arm"]) == {"published", "normalised_target"}


def test_a_missing_score_drops_the_utterance_and_is_counted(results):
    evaluation = results.evaluation.copy()
    one = (evaluation["arm"] == "published") & (evaluation["seed"] == 0) & (evaluation["id"] == "t003")
    evaluation.loc[one, "pesq"] = np.nan
    row = final_metrics(evaluation).set_index(["arm", "metric"]).loc[("published", "pesq")]
    assert (row["utterances"], row["missing"]) == (15, 1)


def test_the_noisy_baseline_has_no_interval_over_seeds(results):
    noisy = final_metrics(results.evaluation).query("arm == 'noisy'")
    assert noisy["seed_low"].isna().all()
    assert (noisy["seeds"] == 0).all()


def test_a_fall_is_found_where_it_was_simulated_and_only_there(results):
    falls = pesq_falls(results.validation).set_index(["arm", "seed"])
    for seed in (0, 1):
        fallen = falls.loc[("published", seed)]
        assert abs(fallen["peak_epoch"] - PEAK_EPOCH) <= 1
        assert fallen["low"] > 0.3
        assert falls.loc[("normalised_target", seed), "high"] < 0.1


def test_noise_alone_does_not_fall_on_average(rng):
    pesq = rng.normal(2.0, 0.3, (40, 12, 10))
    frames = [
        pd.DataFrame(
            {"arm": "published", "seed": seed, "epoch": epoch, "id": range(10), "pesq": pesq[seed, epoch]}
        )
        for seed in range(40)
        for epoch in range(12)
    ]
    falls = pesq_falls(pd.concat(frames))
    # The plain peak − end of the means is biased; the cross-fitted fall is not.
    assert (falls["peak"] - falls["final"]).mean() > 0.1
    assert abs(falls["fall"].mean()) < 0.05


def test_a_run_whose_every_score_failed_has_no_fall_and_no_peak(results):
    falls = pesq_falls(results.validation.assign(pesq=np.nan))
    assert falls[["peak_epoch", "peak", "fall", "low", "high"]].isna().all().all()
    assert (falls["utterances"] == 0).all()
    assert since_peak(results.epochs.assign(pesq=np.nan)).empty


def test_what_changed_since_the_peak_is_measured_from_the_epoch_of_the_peak(results):
    table = since_peak(results.epochs)
    assert set(table["seed"]) == {0, 1}
    row = table.query("arm == 'published' and quantity == 'gain' and seed == 0").iloc[0]
    assert row["change"] == pytest.approx(row["final"] - row["at_peak"])
    assert row["change"] < -0.4


def test_skips_are_counted_near_the_simulated_rate_within_their_interval(results):
    row = skip_rates(results.steps).set_index("arm").loc["published"]
    assert row["skipped"] == results.steps.query("arm == 'published'")["loss_discriminator"].isna().sum()
    assert row["low"] < row["skipped"] / row["steps"] < row["high"]
    assert row["share"] == pytest.approx(SKIP_RATE, abs=0.06)


def test_an_arm_without_discriminator_has_no_skip_rate(results):
    steps = results.steps.assign(loss_discriminator=np.nan, discriminator_skipped=False)
    assert skip_rates(steps)["share"].isna().all()


def test_failures_are_counted_by_reason_and_injected_ones_apart():
    steps = pd.DataFrame(
        {
            "arm": "skip_10",
            "failure_reasons": ["silent:2;crashed: why:1", np.nan, "silent:1", ""],
            "failure_injected": [False, True, True, False],
        }
    )
    table = failures_by_reason(steps).set_index("reason")["failures"]
    assert table.to_dict() == {"silent": 3, "crashed: why": 1, "injected": 2}


def test_the_share_of_steps_that_clipping_would_bite_is_by_network(results):
    table = gradient_norms(results.steps, 5.0).set_index(["network", "arm"])
    norms = results.steps.query("arm == 'published'")["gradient_norm_discriminator"].dropna()
    assert table.loc[("discriminator", "published"), "share_above"] == pytest.approx((norms > 5).mean())
    assert not table["clipped"].any()


def test_arms_with_equal_curves_are_found_and_others_are_not(results):
    epochs = results.epochs
    twin = epochs[epochs["arm"] == "published"].assign(arm="masked_labels")
    assert identical_arms(epochs) == []
    assert identical_arms(pd.concat([epochs, twin])) == [("published", "masked_labels")]


def test_the_baseline_is_the_first_arm_where_published_was_not_run(tmp_path):
    run = simulate_run(tmp_path / "run", ("recommended", "normalised_target"), (0,), 3, 3, 4)
    compared = compare(load_run(run, ["recommended", "normalised_target"], [0]))
    assert compared.baseline == "recommended"
    assert compared.differences["seed_low"].isna().all()
