"""The figure of a prepared corpus."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cmgan.study.corpus.plots import corpus_overview


def _utterances() -> pd.DataFrame:
    seconds = np.repeat([1.5, 2.5], 8)
    return pd.DataFrame({"split": ["train"] * 12 + ["test"] * 4, "seconds": seconds, "snr_db": np.nan})


def test_every_utterance_is_a_dot_beside_the_name_of_its_split():
    axis = corpus_overview(_utterances()).axes[0]
    assert sum(len(dots.get_offsets()) for dots in axis.collections) == 16
    assert [label.get_text() for label in axis.get_yticklabels()] == ["train (n = 12)", "test (n = 4)"]
    plt.close("all")


def test_dots_lie_at_the_same_places_whatever_was_drawn_at_random_before():
    drawn = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002 (the state that a plotting library would draw from)
        drawn.append([dots.get_offsets() for dots in corpus_overview(_utterances()).axes[0].collections])
    plt.close("all")
    assert len(drawn[0]) == 2
    np.testing.assert_array_equal(np.concatenate(drawn[0]), np.concatenate(drawn[1]))
