import numpy as np
import pandas as pd
import pytest

from cmgan.study.training.words import courses_in_words, scores_in_words, steps_in_words


@pytest.fixture
def steps():
    return pd.DataFrame(
        {
            "loss_magnitude": np.linspace(0.4, 0.2, 60),
            "loss_time": 0.1,
            "loss_discriminator": [np.nan] * 6 + [0.05] * 54,
            "discriminator_skipped": [True] * 6 + [False] * 54,
            "pesq_failures": [1] * 6 + [0] * 54,
        }
    )


def test_steps_are_told_by_their_first_and_last_means_and_what_was_skipped(steps):
    text = steps_in_words(steps)
    assert "the magnitude loss went from 0.368 to 0.232" in text
    assert "(means of the first and the last 20)" in text
    assert "PESQ failed for 6 crops, and the discriminator's step was skipped 6 times (10.0 %)" in text


def test_a_loss_that_was_never_logged_is_not_told(steps):
    assert "discriminator loss" not in steps_in_words(steps.assign(loss_discriminator=np.nan))


def test_a_training_of_one_step_is_told():
    one = {"loss_magnitude": [0.4], "loss_time": [0.1], "loss_discriminator": [0.2]}
    text = steps_in_words(pd.DataFrame(one | {"discriminator_skipped": [False], "pesq_failures": [0]}))
    assert text.startswith("In 1 steps, the magnitude loss went from 0.4 to 0.4")


def test_scores_are_compared_utterance_by_utterance_and_failures_counted():
    noisy = pd.DataFrame({"id": ["a", "b", "c", "d"], "pesq": [1.0, 2.0, 3.0, 1.5]})
    enhanced = pd.DataFrame({"id": ["d", "c", "b", "a"], "pesq": [np.nan, 2.5, 2.5, 2.0]})
    text = scores_in_words(noisy, enhanced)
    assert "Mean PESQ goes from 2.00 (noisy) to 2.33, a change of +0.33 [" in text
    assert "over 3 utterances, of which 2 became better" in text
    assert "The lowest PESQ is 2.00 (a). PESQ failed for 1 of 4 utterances." in text


def test_scores_that_all_failed_are_said_to_have_failed():
    noisy = pd.DataFrame({"id": ["a"], "pesq": [1.0]})
    assert "failed for 1 of 1" in scores_in_words(noisy, noisy.assign(pesq=np.nan))


def test_logged_runs_that_fell_are_named_with_their_fall():
    def course(run, *values):
        return pd.DataFrame({"run": run, "epoch": range(len(values)), "quantity": "pesq", "value": values})

    frame = pd.concat([course("fell", 1.0, 2.5, 2.0), course("held", 1.0, 2.0, 1.95)])
    assert courses_in_words(frame).endswith("more than 0.1 below its highest in fell (0.50).")
    assert courses_in_words(course("held", 1.0, 2.0)).endswith("none of them.")
    assert "no fall can be seen" in courses_in_words(frame.assign(quantity="train_loss"))
