"""Figures and report sentences of the experiments without training: drawn and told from their CSV alone."""

from io import StringIO

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cmgan.study.published.composite_inflation import inflation_in_words
from cmgan.study.published.rank_skip import STEPS, RankRecord, rank_table, ranks_in_words
from cmgan.study.report import figures
from cmgan.study.report.words import evidence_in_words, silence_in_words
from cmgan.study.silence import label_policies, validation_noise, words
from data_prep.whole_files import write_table

mpl.use("agg")

FIGURES = ("label_scatter", "validation_noise", "rank_skip", "composite_inflation")


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    scores = np.random.default_rng(0).uniform(1, 4, 40)
    return label_policies.label_samples(scores, [1, 2, 4], [0.1, 0.56], seed=0)


@pytest.fixture(scope="module")
def crop_scores() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "utterance": np.repeat(np.arange(12), 3),
            "repeat": np.tile(np.arange(3), 12),
            "pesq": rng.normal(2, 0.3, 36),
            "whole_pesq": 2.0,
        }
    )


@pytest.fixture(scope="module")
def frames(samples, crop_scores) -> dict[str, pd.DataFrame]:
    reductions = pd.DataFrame(
        {
            "scenario": ["every_rank_steps"] * 4 + ["one_rank_skips"] * 4,
            "rank": [0, 0, 1, 1] * 2,
            "number": [1, 2] * 4,
            "network": "discriminator",
            "step": [1, 2, 1, 2, 1, 2, 1, 3],
            "other_step": [1, 2, 1, 2, 1, 3, 1, 2],
        }
    )
    inflation = pd.DataFrame(
        {
            "id": ["a", "b"] * 4,
            "metric": np.repeat(["csig", "cbak", "covl", "wss"], 2),
            "int16_scale": 3.0,
            "float_scale": 3.1,
            "inflation": [0.1, 0.2, 0.1, np.nan, 0.05, 0.1, -9.0, -8.0],
        }
    )
    return {
        "label_scatter": label_policies.shown_samples(samples),
        "validation_noise": validation_noise.visible_drops(crop_scores, 6, seed=0),
        "rank_skip": reductions,
        "composite_inflation": inflation,
    }


def content(figure: Figure) -> str:
    """Every label, dot and line of a figure."""
    shown = [
        [axis.get_xlabel(), axis.get_ylabel(), axis.get_title()]
        + [dots.get_offsets().tolist() for dots in axis.collections]
        + [line.get_xydata().tolist() for line in axis.lines]
        for axis in figure.axes
    ]
    plt.close(figure)
    return repr(shown)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_from_its_csv(frames, name):
    again = pd.read_csv(StringIO(frames[name].to_csv(index=False)))
    assert content(figures.FIGURES[name].plot(again)) == content(figures.FIGURES[name].plot(frames[name]))


@pytest.mark.parametrize("name", FIGURES)
def test_axes_say_what_they_show(frames, name):
    figure = figures.FIGURES[name].plot(frames[name])
    assert all(axis.get_xlabel() for axis in figure.axes[-3:])
    assert figure.axes[0].get_ylabel()
    plt.close(figure)


def test_reductions_that_met_another_step_are_crosses(frames):
    figure = figures.FIGURES["rank_skip"].plot(frames["rank_skip"])
    crosses = [
        sum(len(dots.get_offsets()) for dots in axis.collections if "another" in dots.get_label())
        for axis in figure.axes
    ]
    plt.close(figure)
    assert crosses == [0, 2]


def test_every_sample_of_a_policy_is_drawn_once(samples):
    figure = figures.FIGURES["label_scatter"].plot(label_policies.shown_samples(samples))
    drawn = [sum(len(dots.get_offsets()) for dots in axis.collections) for axis in figure.axes]
    plt.close(figure)
    assert set(drawn) == {40}


def test_report_tells_the_experiments_from_their_files(tmp_path, frames, samples, crop_scores):
    silence, evidence = tmp_path / "silence", tmp_path / "evidence"
    assert silence_in_words(tmp_path) == evidence_in_words(tmp_path) == []
    effects = write_table(label_policies.label_effects(samples, seed=0), silence / "label_policies.csv")
    write_table(crop_scores, silence / "validation_noise.csv")
    drops = write_table(frames["validation_noise"], silence / "figures" / "validation_noise.csv")
    assert silence_in_words(tmp_path) == [
        words.labels_in_words(effects),
        words.noise_in_words(crop_scores, drops),
    ]
    record = RankRecord(STEPS, [], "same", ended=True)
    outcome = write_table(rank_table({"every_rank_steps": [record, record]}), evidence / "rank_skip.csv")
    inflation = write_table(frames["composite_inflation"], evidence / "composite_inflation.csv")
    assert evidence_in_words(tmp_path) == [ranks_in_words(outcome), inflation_in_words(inflation)]
