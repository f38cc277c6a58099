"""Single signs in training logs: what counts as a fall, a skip, an un-normalised target, a repeated order."""

import numpy as np
import pandas as pd
import pytest

from cmgan.diagnosis.findings import (
    Weight,
    fall_sign,
    floor_levels,
    label_sign,
    order_sign,
    skip_sign,
    target_sign,
)
from cmgan.diagnosis.reading import make_log
from cmgan.recipe import LossWeights
from tests.diagnosis.logs import log_by_epoch, published_log

WEIGHTS_OF_REPRODUCER_B = LossWeights(0.3, 0.7, 1.0, 0.01)


def skips_in(disc_losses):
    return skip_sign(make_log("run", pd.DataFrame({"disc_loss": disc_losses})))


def order_in(epochs):
    """The sign in a run whose epochs have these losses, as logarithms."""
    places = len(epochs[0])
    losses = np.exp(np.concatenate(epochs))
    numbers = np.repeat(range(len(epochs)), places)
    steps = pd.DataFrame({"epoch": numbers, "step": range(len(losses)), "rank": 0, "loss": losses})
    return order_sign(make_log("run", steps))


def test_other_loss_weights_move_the_floor_and_clear_the_run_that_had_them():
    log = published_log("reproducer-B")
    assert target_sign(log, WEIGHTS_OF_REPRODUCER_B, fell=False).weight == Weight.CLEAR
    assert target_sign(log, LossWeights(), fell=False).weight == Weight.UNKNOWN


def test_the_floor_follows_the_weight_of_the_time_loss():
    for weight in (0.0, 0.2, 1.0):
        bound, floor, high = floor_levels(LossWeights(time=weight))
        assert bound <= floor <= high
    assert floor_levels(LossWeights(time=0.0))[0] == pytest.approx(floor_levels(LossWeights(time=0.0))[1])


def test_scatter_between_epochs_is_no_fall(rng):
    scattered = log_by_epoch(epoch=range(20), pesq=2.5 + rng.normal(0, 0.2, 20))
    assert fall_sign(scattered).weight == Weight.CLEAR
    falling = log_by_epoch(epoch=range(20), pesq=np.linspace(2.6, 1.8, 20))
    assert fall_sign(falling).weight == Weight.NOTE


def test_a_fall_in_every_utterance_has_an_interval(rng):
    level = rng.normal(0, 0.3, 12)
    utterances = pd.DataFrame(
        [
            {"epoch": epoch, "id": f"u{index}", "pesq": pesq + level[index] + rng.normal(0, 0.02)}
            for epoch, pesq in enumerate([2.0, 2.6, 2.1])
            for index in range(12)
        ]
    )
    means = utterances.groupby("epoch")["pesq"].mean().reset_index()
    fall = fall_sign(make_log("run", epochs=means, utterances=utterances))
    assert fall.title == "PESQ fell after epoch 1"
    assert fall.numbers["low"] < 0.5 < fall.numbers["high"]


def test_small_losses_are_no_skips_and_zeros_are():
    near = skips_in([4e-6, 3e-6, 1.6e-5] * 10)
    assert (near.numbers["skipped"], near.numbers["nearly_zero"]) == (0, 30)
    assert near.weight == Weight.CLEAR
    half = skips_in([0.0, 0.01] * 30)
    assert half.weight.is_cause()
    assert half.numbers["low"] < 0.5 < half.numbers["high"]


def test_labels_that_never_differ_within_a_batch_are_noted_and_others_are_not():
    spread = {"alike": [0.0, 0.0], "apart": [0.0, 0.1], "unknown": [np.nan] * 2}
    signs = {
        name: label_sign(make_log(name, pd.DataFrame({"label_std": std}))) for name, std in spread.items()
    }
    assert (signs["alike"].weight, signs["alike"].numbers) == (Weight.NOTE, {"steps": 2})
    assert signs["apart"] is signs["unknown"] is None


@pytest.mark.parametrize("repeats", [True, False])
def test_a_repeated_order_is_told_from_a_new_one(repeats, rng):
    content = rng.normal(0, 0.3, 40)
    epochs = [content if repeats else rng.permutation(content) for _ in range(6)]
    finding = order_in([epoch + rng.normal(0, 0.2, 40) for epoch in epochs])
    assert finding.weight == (Weight.NOTE if repeats else Weight.CLEAR)
    assert (finding.numbers["agreement"] > 0.3) == repeats


def test_losses_that_only_fall_within_each_epoch_are_no_repeated_order(rng):
    falling = np.linspace(0.5, -0.5, 60)
    assert order_in([falling + rng.normal(0, 0.2, 60) for _ in range(5)]).weight != Weight.NOTE


def test_published_logs_repeat_one_order_after_the_refactoring_only():
    assert order_sign(published_log("reproducer-A")).weight == Weight.NOTE
    assert order_sign(published_log("reproducer-B")).weight == Weight.CLEAR
