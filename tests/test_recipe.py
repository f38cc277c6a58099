"""Recipes that cannot be trained are refused by the name of what is wrong."""

import pytest

from cmgan.recipe import Budget, Recipe


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Recipe(time_target="scaled"), "time_target is 'scaled': use one of published, normalised"),
        (lambda: Recipe(labels="drop"), "labels is 'drop': use one of skip_batch"),
        (lambda: Recipe(injected_failure_rate=1.5), "injected_failure_rate is 1.5: use a share from 0 to 1"),
        (lambda: Recipe(recording_rms=float("inf")), "recording_rms is inf: use a finite number"),
        (lambda: Recipe(batch_size=-1), "batch_size is -1: use at least 0"),
        (
            lambda: Budget(generator_learning_rate=float("nan")),
            "generator_learning_rate is nan: use a finite",
        ),
    ],
)
def test_an_impossible_value_is_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()
