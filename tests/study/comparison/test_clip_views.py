import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from cmgan.dataset import UtterancePair
from cmgan.forward import Forward
from cmgan.signal import CMGAN_STFT, compressed_spectrum, waveform_of
from cmgan.study.comparison.clip_plot import one_clip
from cmgan.study.comparison.clip_views import (
    GAIN,
    HEARD,
    INCONSISTENCY,
    SHOWN_SECONDS,
    WRITTEN,
    loud_excerpt,
    typical_utterance,
    view_rows,
)

RATE = 16_000


def speech_like(seconds=2.0):
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(round(seconds * RATE)) / RATE
    tones = torch.sin(2 * torch.pi * 220 * time) + 0.5 * torch.sin(2 * torch.pi * 1210 * time)
    return (
        tones * (1.2 + torch.sin(2 * torch.pi * 3 * time))
        + 0.01 * torch.randn(len(time), generator=generator)
    )[None]


def result_of(clean, estimate):
    waveform = waveform_of(estimate, CMGAN_STFT, clean.shape[-1])
    return Forward(clean, clean, compressed_spectrum(clean), estimate, waveform, CMGAN_STFT)


def loudest(rows, view):
    return rows.loc[rows["view"] == view, "value"].max()


def score(rows, view):
    return rows.loc[rows["view"] == view, "value"].item()


def test_the_spectrum_of_a_waveform_is_heard_as_it_was_written():
    clean = speech_like()
    rows = view_rows("clean", result_of(clean, compressed_spectrum(clean)), 0.3)
    written, heard = (rows.loc[rows["view"] == view, "value"].to_numpy() for view in (WRITTEN, HEARD))
    np.testing.assert_allclose(heard, written, atol=0.2)
    assert score(rows, GAIN) == pytest.approx(1, abs=1e-4)


def test_phases_that_cancel_between_frames_are_written_loud_and_heard_weak():
    clean = speech_like()
    estimate = compressed_spectrum(clean).clone()
    estimate[:, :, 1::2] *= -1
    rows = view_rows("published", result_of(clean, estimate), 0.3)
    intact = view_rows("clean", result_of(clean, compressed_spectrum(clean)), 0.3)
    assert loudest(rows, WRITTEN) == pytest.approx(loudest(intact, WRITTEN), abs=0.1)
    assert loudest(rows, HEARD) < loudest(rows, WRITTEN) - 10
    assert score(rows, INCONSISTENCY) > 0.5
    assert abs(score(rows, GAIN)) < 0.1


def test_the_excerpt_holds_the_loudest_part():
    clean = np.zeros(8 * RATE, dtype=np.float32)
    clean[6 * RATE : 6 * RATE + RATE // 2] = 0.5
    excerpt, start = loud_excerpt(UtterancePair("a", clean, clean))
    shown = excerpt.clean[round(start * RATE) :][: round(SHOWN_SECONDS * RATE)]
    assert len(excerpt.clean) == 4 * RATE
    assert np.square(shown).sum() == pytest.approx(np.square(clean).sum())


def test_an_utterance_shorter_than_the_excerpt_is_taken_whole():
    clean = np.ones(RATE, dtype=np.float32)
    excerpt, start = loud_excerpt(UtterancePair("a", clean, clean))
    assert len(excerpt.clean) == RATE
    assert start == 0


def test_the_typical_utterance_has_the_median_difference():
    differences = {"a": 0.9, "b": 0.1, "c": 0.4}
    evaluation = pd.DataFrame(
        [{"id": name, "seed": 0, "arm": "published", "pesq": 2.0} for name in differences]
        + [{"id": name, "seed": 0, "arm": "other", "pesq": 2 + value} for name, value in differences.items()]
        + [{"id": name, "seed": 1, "arm": "other", "pesq": np.nan} for name in differences]
    )
    assert typical_utterance(evaluation, "published", "other", 0) == "c"


def test_the_figure_has_a_column_for_each_arm_and_survives_its_csv(tmp_path):
    clean = speech_like()
    spectrum = compressed_spectrum(clean)
    frame = pd.concat(
        [
            view_rows("clean", result_of(clean, spectrum), 0),
            view_rows("published", result_of(clean, 0.5 * spectrum), 0),
        ]
    ).assign(id="test_00000")
    frame.to_csv(tmp_path / "one_clip.csv", index=False)
    figure = one_clip(pd.read_csv(tmp_path / "one_clip.csv"))
    titles = [axis.get_title() for axis in figure.axes[:2]]
    plt.close(figure)
    assert titles[0].startswith("clean speech")
    assert titles[1].startswith("published")
