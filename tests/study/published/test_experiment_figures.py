"""Figures and report sentences of the experiments without training: drawn and told from their CSV alone."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cmgan.study.figure_files import draw, redraw
from cmgan.study.published.composite_inflation import inflation_in_words
from cmgan.study.published.rank_experiment import rank_table, ranks_in_words
from cmgan.study.published.rank_skip import STEPS, RankRecord
from cmgan.study.report.redraw import PLOTS
from cmgan.study.report.survey_words import evidence_in_words, silence_in_words
from cmgan.study.silence import label_policies, validation_noise
from data_prep.whole_files import write_table

mpl.use("agg")


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


@pytest.fixture(scope="module")
def folder(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    for name, frame in frames.items():
        draw(PLOTS[name], frame, folder, name)
    yield folder
    plt.close("all")


def test_every_figure_is_redrawn_the_same_from_its_csv(folder, frames):
    before = {name: (folder / f"{name}.png").read_bytes() for name in frames}
    assert redraw(folder, {name: PLOTS[name] for name in frames}) == sorted(frames)
    assert {name: (folder / f"{name}.png").read_bytes() for name in frames} == before


def test_axes_say_what_they_show(frames):
    for name, frame in frames.items():
        figure = PLOTS[name](frame)
        assert all(axis.get_xlabel() for axis in figure.axes[-3:]), name
        assert figure.axes[0].get_ylabel(), name
    plt.close("all")


def test_every_sample_of_a_policy_is_drawn_once(samples):
    figure = PLOTS["label_scatter"](label_policies.shown_samples(samples))
    for axis in figure.axes:
        assert sum(len(dots.get_offsets()) for dots in axis.collections) == 40
    plt.close("all")


def test_report_tells_the_experiments_from_their_files(tmp_path, frames, samples, crop_scores):
    silence, evidence = tmp_path / "silence", tmp_path / "evidence"
    assert silence_in_words(tmp_path) == evidence_in_words(tmp_path) == []
    effects = write_table(label_policies.label_effects(samples, seed=0), silence / "label_policies.csv")
    write_table(crop_scores, silence / "validation_noise.csv")
    drops = write_table(frames["validation_noise"], silence / "figures" / "validation_noise.csv")
    assert silence_in_words(tmp_path) == [
        label_policies.labels_in_words(effects),
        validation_noise.noise_in_words(crop_scores, drops),
    ]
    record = RankRecord(STEPS, [], "same", ended=True)
    outcome = write_table(rank_table({"every_rank_steps": [record, record]}), evidence / "rank_skip.csv")
    inflation = write_table(frames["composite_inflation"], evidence / "composite_inflation.csv")
    assert evidence_in_words(tmp_path) == [ranks_in_words(outcome), inflation_in_words(inflation)]
