"""What is said of a figure is computed from what it draws."""

import pandas as pd
import pytest

from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.comparison.words import falls_in_words
from cmgan.study.report.figure_words import SENTENCES, early_stopping_in_words, figure_in_words
from cmgan.study.report.figures import FIGURES, PLOTS, figure_frames
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Frames of the figures and tables of a run whose published arm falls."""
    results = load_run(simulate_run(tmp_path_factory.mktemp("results") / "run", seeds=(0, 1, 2)))
    compared = compare(results)
    return figure_frames(results, compared, judge_run(results)), compared


def _told(name, frame):
    return " ".join(SENTENCES[name](pd.DataFrame(frame)))


def test_every_figure_of_the_comparison_has_words(run):
    frames, _ = run
    # The notebook says of this one what no frame of a figure holds.
    told = set(frames) - {"validation_pesq"}
    assert "final_metrics" in told
    assert told <= set(SENTENCES)
    assert all(line.endswith(".") for name in told for line in figure_in_words(name, frames))


def test_every_figure_has_what_draws_it_and_words_for_the_page():
    assert set(FIGURES) == set(PLOTS)
    assert all(figure.title and figure.caption and figure.alternative for figure in FIGURES.values())


def test_a_figure_that_a_run_cannot_draw_says_what_it_needs():
    assert figure_in_words("differences", {}) == ["Not drawn: this run lacks two arms."]
    assert figure_in_words("mechanism", {}) == ["Not drawn: this run lacks its numbers."]


def test_the_arm_that_falls_is_told_from_the_one_that_holds(run):
    _, compared = run
    fallen, held = falls_in_words(compared.pesq_falls)
    assert "fell" in fallen
    assert "`published`" in fallen
    assert "did not fall" in held
    assert "`normalised_target`" in held


def test_a_loss_that_is_not_lower_for_the_better_arm_is_named():
    frame = {"arm": ["good", "bad"], "seed": 0, "epoch": 3, "pesq": [2.5, 1.5], "gain": [1.0, 0.3]}
    losses = {
        "loss_magnitude": [0.1, 0.2],
        "loss_time_published": [0.4, 0.1],
        "loss_time_normalised": [0.1, 0.5],
    }
    text = _told("mechanism", frame | {"inconsistency": [0.1, 0.8]} | losses)
    assert "`good` PESQ 2.50, gain 1.00, inconsistency 0.10; `bad` PESQ 1.50" in text
    assert "Not lower for `good`: time loss (published target)." in text
    agreeing = frame | {"inconsistency": [0.1, 0.8]} | losses | {"loss_time_published": [0.1, 0.4]}
    assert "All losses that are drawn are lower for `good` than for `bad`." in _told("mechanism", agreeing)


def test_effects_count_as_apart_or_inside_by_their_whole_interval():
    frame = pd.DataFrame({"prediction": ["C1a", "C2a", "C3a"], "contrast": "a − b"})
    frame = frame.assign(estimate=[0.5, 0.0, 0.2], low=[0.3, -0.05, -0.1], high=[0.7, 0.05, 0.5])
    text = _told("claims_forest", frame)
    assert "Of 3 effects on PESQ, 1 lie" in text
    assert "C1a (a − b: +0.50 [+0.30, +0.70])" in text
    assert text.endswith("1 lie within it, 1 do neither.")


def test_arms_are_set_against_the_noisy_speech():
    rows = [("noisy", "pesq", 2.0), ("good", "pesq", 2.5), ("bad", "pesq", 1.5), ("good", "gain", 0.9)]
    frame = pd.DataFrame([*rows, ("bad", "gain", 0.2)], columns=["arm", "metric", "mean"])
    text = _told("final_metrics", frame)
    assert "1 of 2 arms end with a mean PESQ above the noisy speech's 2.00" in text
    assert "`good` is highest with 2.50 at a gain of 0.90, `bad` lowest with 1.50 at 0.20" in text


def test_doses_are_told_line_by_line_in_their_order():
    frame = {"family": "published", "dose": [0.56, 0.0], "mean": [1.6, 1.5]}
    assert _told("failure_doses", frame) == (
        "With the un-normalised target, final PESQ is 1.50 at 0 % failing batches and 1.60 at 56 % failing batches."
    )
    sizes = {"family": "published", "dose": [1, 4], "mean": [1.5, 1.4]}
    assert "1.50 at 1 crop a batch and 1.40 at 4 crops a batch" in _told("batch_sizes", sizes)


def test_discriminators_are_counted_in_the_band_called_healthy():
    frame = {"arm": ["a", "b", "c"], "n": [10, 10, 0], "median": [0.1, 0.01, float("nan")]}
    assert "in 1 of 2 arms that have a discriminator; medians go from 0.01 to 0.1" in _told(
        "discriminator_losses", frame
    )


def test_clipping_is_told_by_how_often_its_limit_is_exceeded():
    frame = {
        "network": ["generator", "generator", "discriminator"],
        "limit": 5.0,
        "share_above": [0.0, 0.01, 0.5],
    }
    text = _told("gradient_norms", frame)
    assert (
        "0.0 % to 1.0 % of the generator's and 50.0 % of the discriminator's steps exceed the limit of 5"
        in text
    )


def test_early_stopping_is_told_for_both_criteria(run):
    _, compared = run
    by_loss, by_pesq = early_stopping_in_words(compared.early_stopping)
    assert "total loss would have stopped" in by_loss
    assert "PESQ would have stopped" in by_pesq
