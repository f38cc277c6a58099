"""Figures and report sentences of the experiments without training: drawn and told from their CSV alone."""

from io import StringIO

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cmgan.study.published.composite_inflation import inflation_in_words
from cmgan.study.published.logs import losses_with_results, read_results, read_training_logs
from cmgan.study.published.rank_skip import STEPS, RankRecord, rank_table, ranks_in_words
from cmgan.study.report.figures import FIGURES
from cmgan.study.report.words import evidence_in_words, silence_in_words
from cmgan.study.silence import label_policies, validation_noise, words
from cmgan.study.silence.survey import batch_failures, failure_shares
from data_prep.whole_files import write_table

mpl.use("agg")

RNG = np.random.default_rng(0)
ACTIVE = RNG.uniform(0, 500, 60)
CROPS = pd.DataFrame(
    {
        "crop_seconds": np.repeat([0.5, 1.0], 30),
        "active_ms": ACTIVE,
        "pesq": np.where(ACTIVE < 50, np.nan, 2.0),
        "pesq_reason": np.where(ACTIVE < 50, "no_utterances", ""),
    }
)
DOSES = pd.DataFrame(
    [
        {"side": side, "dose_ms": dose, "pesq": np.nan if dose < 100 else 1.5, "pesq_reason": "x"}
        for side in ("reference", "estimate", "both")
        for dose in (0, 50, 500)
    ]
    * 2
)
SAMPLES = label_policies.label_samples(RNG.uniform(1, 4, 40), [1, 2, 4], [0.1, 0.56], seed=0)
CROP_SCORES = pd.DataFrame(
    {
        "utterance": np.repeat(np.arange(12), 3),
        "repeat": np.tile(np.arange(3), 12),
        "pesq": RNG.normal(2, 0.3, 36),
        "whole_pesq": 2.0,
    }
)
REDUCTIONS = pd.DataFrame(
    {
        "scenario": ["every_rank_steps"] * 4 + ["one_rank_skips"] * 4,
        "rank": [0, 0, 1, 1] * 2,
        "number": [1, 2] * 4,
        "network": "discriminator",
        "step": [1, 2, 1, 2, 1, 2, 1, 3],
        "other_step": [1, 2, 1, 2, 1, 3, 1, 2],
    }
)
INFLATION = pd.DataFrame(
    {
        "id": ["a", "b"] * 4,
        "metric": np.repeat(["csig", "cbak", "covl", "wss"], 2),
        "int16_scale": 3.0,
        "float_scale": 3.1,
        "inflation": [0.1, 0.2, 0.1, np.nan, 0.05, 0.1, -9.0, -8.0],
    }
)
FRAMES = {
    "failure_by_length": failure_shares(CROPS, ["crop_seconds"]),
    "failure_by_batch": batch_failures(CROPS, [1, 4], 0),
    "failure_by_dose": failure_shares(DOSES, ["side", "dose_ms"]),
    "score_by_activity": CROPS,
    "label_scatter": label_policies.shown_samples(SAMPLES),
    "validation_noise": validation_noise.visible_drops(CROP_SCORES, 6, seed=0),
    "losses_by_run": losses_with_results(read_training_logs(), read_results()),
    "results_by_version": read_results(),
    "rank_skip": REDUCTIONS,
    "composite_inflation": INFLATION,
}


@pytest.fixture
def drawn():
    """Draws a figure by its name."""
    yield lambda name, frame: FIGURES[name].plot(frame)
    plt.close("all")


def content(figure: Figure) -> str:
    """Every word, dot, line and bar of a figure."""
    shown = [
        (
            [axis.get_xlabel(), axis.get_ylabel(), axis.get_title(), *axis.get_legend_handles_labels()[1]],
            [label.get_text() for label in (*axis.get_xticklabels(), *axis.get_yticklabels())],
            [line.get_xydata().tolist() for line in axis.lines],
            [dots.get_offsets().tolist() for dots in axis.collections],
            [bar.get_bbox().bounds for bar in axis.patches],
        )
        for axis in figure.axes
    ]
    return repr(shown)


@pytest.mark.parametrize("name", FRAMES)
def test_a_figure_is_the_same_from_its_csv_and_its_axes_say_what_they_show(drawn, name):
    figure = drawn(name, FRAMES[name])
    assert content(drawn(name, pd.read_csv(StringIO(FRAMES[name].to_csv(index=False))))) == content(figure)
    # The lowest row has the words.
    assert all(axis.get_xlabel() for axis in figure.axes[-2:])


def test_a_loss_of_zero_is_marked_on_the_logarithmic_axis(drawn):
    frame = pd.DataFrame({"run": ["a", "a"], "disc_loss": [0.0, 0.01], "final_pesq": [np.nan] * 2})
    axis = drawn("losses_by_run", frame).axes[0]
    shown = sorted(float(x) for dots in axis.collections for x, _ in dots.get_offsets() if x > 0)
    assert len(shown) == 2
    assert shown[0] < 0.01


def test_reductions_that_met_another_step_are_crosses(drawn):
    crosses = [
        sum(len(dots.get_offsets()) for dots in axis.collections if "another" in dots.get_label())
        for axis in drawn("rank_skip", REDUCTIONS).axes
    ]
    assert crosses == [0, 2]


def test_every_sample_of_a_policy_is_drawn_once(drawn):
    figure = drawn("label_scatter", FRAMES["label_scatter"])
    assert {sum(len(dots.get_offsets()) for dots in axis.collections) for axis in figure.axes} == {40}


def test_report_tells_the_experiments_from_their_files(tmp_path):
    silence, evidence = tmp_path / "silence", tmp_path / "evidence"
    assert silence_in_words(tmp_path) == evidence_in_words(tmp_path) == []
    effects = write_table(label_policies.label_effects(SAMPLES, seed=0), silence / "label_policies.csv")
    write_table(CROP_SCORES, silence / "validation_noise.csv")
    drops = write_table(FRAMES["validation_noise"], silence / "figures" / "validation_noise.csv")
    assert silence_in_words(tmp_path) == [
        words.labels_in_words(effects),
        words.noise_in_words(CROP_SCORES, drops),
    ]
    record = RankRecord(STEPS, [], "same", ended=True)
    outcome = write_table(rank_table({"every_rank_steps": [record, record]}), evidence / "rank_skip.csv")
    inflation = write_table(INFLATION, evidence / "composite_inflation.csv")
    assert evidence_in_words(tmp_path) == [ranks_in_words(outcome), inflation_in_words(inflation)]
