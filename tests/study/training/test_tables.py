import numpy as np
import pandas as pd
import pytest

from cmgan.study.training.tables import (
    early_stopping,
    failures_by_reason,
    gradient_norms,
    identical_arms,
    pesq_falls,
    reading_of_epochs,
    since_peak,
    skip_rates,
    spread,
    stops,
)
from tests.simulated_run import PEAK_EPOCH, SKIP_RATE


def test_a_fall_is_found_where_it_was_simulated_and_only_there(simulated):
    falls = pesq_falls(simulated.validation).set_index(["arm", "seed"])
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


def test_a_run_whose_every_score_failed_has_no_fall_and_no_peak(simulated):
    falls = pesq_falls(simulated.validation.assign(pesq=np.nan))
    assert falls[["peak_epoch", "peak", "fall", "low", "high"]].isna().all().all()
    assert (falls["utterances"] == 0).all()
    assert since_peak(simulated.epochs.assign(pesq=np.nan)).empty


def test_what_changed_since_the_peak_is_measured_from_the_epoch_of_the_peak(simulated):
    table = since_peak(simulated.epochs)
    assert set(table["seed"]) == {0, 1}
    row = table.query("arm == 'published' and quantity == 'gain' and seed == 0").iloc[0]
    assert row["change"] == pytest.approx(row["final"] - row["at_peak"])
    assert row["change"] < -0.4


def test_skips_are_counted_near_the_simulated_rate_within_their_interval(simulated):
    row = skip_rates(simulated.steps).set_index("arm").loc["published"]
    assert row["skipped"] == simulated.steps.query("arm == 'published'")["loss_discriminator"].isna().sum()
    assert row["low"] < row["skipped"] / row["steps"] < row["high"]
    assert row["share"] == pytest.approx(SKIP_RATE, abs=0.06)


def test_an_arm_without_discriminator_has_no_skip_rate(simulated):
    steps = simulated.steps.assign(loss_discriminator=np.nan, discriminator_skipped=False)
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


def test_the_share_of_steps_that_clipping_would_bite_is_by_network(simulated):
    table = gradient_norms(simulated.steps, 5.0).set_index(["network", "arm"])
    norms = simulated.steps.query("arm == 'published'")["gradient_norm_discriminator"].dropna()
    assert table.loc[("discriminator", "published"), "share_above"] == pytest.approx((norms > 5).mean())
    assert not table["clipped"].any()


def test_arms_with_equal_curves_are_found_and_others_are_not(simulated):
    epochs = simulated.epochs
    twin = epochs[epochs["arm"] == "published"].assign(arm="masked_labels")
    assert identical_arms(epochs) == []
    assert identical_arms(pd.concat([epochs, twin])) == [("published", "masked_labels")]


def test_means_are_of_the_utterances_that_every_seed_has_a_value_of():
    table = pd.DataFrame({0: [1.0, 2.0, np.nan], 1: [2.0, 4.0, 9.0]})
    found = spread(table)
    assert (found.mean, found.smallest, found.largest) == (2.25, 1.5, 3.0)
    assert (found.utterances, found.missing, found.seeds) == (2, 1, 2)
    assert found.low < 1.5 < 3.0 < found.high


def test_the_reading_tells_a_fall_only_where_the_last_epoch_is_not_the_best():
    epochs = _epochs([0.5, 0.4], [2.0, 1.5], loss_magnitude=[0.2, 0.3], gain=0.3)
    text = reading_of_epochs(epochs)
    assert "peaked in epoch 1 at 2.00 and ended at 1.50" in text
    assert "the total loss fell from 0.500 to 0.400, the magnitude loss rose" in text
    assert "has not fallen" in reading_of_epochs(epochs[:1])


def _epochs(loss, pesq=None, **columns):
    return pd.DataFrame(
        {"epoch": range(1, len(loss) + 1), "loss_total": loss, "pesq": pesq or [1.0] * len(loss)} | columns
    )


@pytest.mark.parametrize(
    ("criterion", "values", "patience", "expected"),
    [
        pytest.param("loss", [3.0, 2.0, 2.5, 2.4, 1.0], 2, (True, 4, 2), id="stops without a lower loss"),
        pytest.param("loss", [3.0, 2.0, 1.0, 0.5], 1, (False, 4, 4), id="goes on while the loss falls"),
        pytest.param("pesq", [1.0, 3.0, 2.0, 2.5, 4.0], 2, (True, 4, 2), id="waits for a higher score"),
        pytest.param("pesq", [1.0, 3.0, 2.0, 2.5], 2, (False, 4, 2), id="ends with the training"),
        pytest.param("loss", [1.0, 0.99995, 0.9999, 0.5], 2, (True, 3, 1), id="a tiny step does not count"),
        pytest.param("loss", [1.0, np.nan, np.nan, 0.5], 2, (True, 3, 1), id="nor does a missing value"),
    ],
)
def test_early_stopping_waits_as_long_as_the_trainer_would(criterion, values, patience, expected):
    flat = [1.0] * len(values)
    epochs = _epochs(values, flat) if criterion == "loss" else _epochs(flat, values)
    assert stops(epochs, criterion, patience) == expected


def test_the_replay_sets_pesq_at_the_stop_and_at_the_best_checkpoint_against_the_end():
    run = _epochs([3.0, 2.0, 2.5, 2.4, 2.3, 1.0], [1.0, 3.0, 2.5, 2.3, 2.2, 2.0], arm="published", seed=0)
    table = early_stopping(run).query("patience == 3").set_index("criterion")
    assert table.loc["loss", ["last_epoch", "best_epoch"]].tolist() == [5, 2]
    assert table.loc["loss", ["pesq_stopped", "pesq_best", "pesq_end"]].tolist() == [2.2, 3.0, 2.0]
    assert table.loc["loss", "gain"] == pytest.approx(0.2)
    assert table["stopped"].tolist() == [True, True]
