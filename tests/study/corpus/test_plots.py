"""The figure of a prepared corpus."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cmgan.study.corpus.plots import corpus_overview
from cmgan.study.figure_files import draw


def _utterances() -> pd.DataFrame:
    seconds = np.repeat([1.5, 2.5], 8)
    return pd.DataFrame({"split": ["train"] * 12 + ["test"] * 4, "seconds": seconds, "snr_db": np.nan})


def test_the_same_corpus_is_drawn_the_same_whatever_was_drawn_at_random_before(tmp_path):
    drawn = []
    for name in ("first", "second"):
        np.random.seed(len(drawn))  # noqa: NPY002 (the state that a plotting library would draw from)
        plt.close(draw(corpus_overview, _utterances(), tmp_path / name, "corpus"))
        drawn.append((tmp_path / name / "corpus.svg").read_bytes())
    assert drawn[0] == drawn[1]


def test_every_utterance_is_a_dot_beside_the_name_of_its_split():
    axis = corpus_overview(_utterances()).axes[0]
    assert sum(len(dots.get_offsets()) for dots in axis.collections) == 16
    assert [label.get_text() for label in axis.get_yticklabels()] == ["train (n = 12)", "test (n = 4)"]
    plt.close("all")
