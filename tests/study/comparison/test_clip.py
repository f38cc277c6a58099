import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from cmgan.dataset import UtterancePair
from cmgan.forward import Forward
from cmgan.signal import CMGAN_STFT, compressed_spectrum, waveform_of
from cmgan.study.comparison.clip import (
    GAIN,
    HEARD,
    INCONSISTENCY,
    SHOWN_SECONDS,
    WRITTEN,
    clip_views,
    loud_excerpt,
    one_clip,
    typical_utterance,
    view_rows,
)
from cmgan.study.run_results import RunResults
from tests.speech_like import RATE, speech_like


@pytest.fixture
def clean(rng):
    return torch.from_numpy(speech_like(rng, 2.0)).float()[None]


def result_of(clean, estimate):
    waveform = waveform_of(estimate, CMGAN_STFT, clean.shape[-1])
    return Forward(clean, clean, compressed_spectrum(clean), estimate, waveform, CMGAN_STFT)


def values_of(rows, view):
    return rows.loc[rows["view"] == view, "value"].to_numpy()


def test_the_spectrum_of_a_waveform_is_heard_as_it_was_written(clean):
    rows = view_rows("clean", result_of(clean, compressed_spectrum(clean)), 0.3)
    np.testing.assert_allclose(values_of(rows, HEARD), values_of(rows, WRITTEN), atol=0.2)
    assert values_of(rows, GAIN) == pytest.approx(1, abs=1e-4)


def test_phases_that_cancel_between_frames_are_written_loud_and_heard_weak(clean):
    estimate = compressed_spectrum(clean).clone()
    estimate[:, :, 1::2] *= -1
    rows = view_rows("published", result_of(clean, estimate), 0.3)
    intact = view_rows("clean", result_of(clean, compressed_spectrum(clean)), 0.3)
    written = values_of(rows, WRITTEN).max()
    assert written == pytest.approx(values_of(intact, WRITTEN).max(), abs=0.1)
    assert values_of(rows, HEARD).max() < written - 10
    assert values_of(rows, INCONSISTENCY) > 0.5
    assert np.abs(values_of(rows, GAIN)) < 0.1


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


def results_of(run, arms):
    scores = [{"id": "u2", "seed": 0, "arm": arm, "pesq": 2.0} for arm in arms]
    nothing = pd.DataFrame()
    return RunResults(run, arms, (0,), nothing, nothing, nothing, pd.DataFrame(scores), {})


def test_the_views_are_of_clean_speech_and_of_the_arms_that_left_a_network(run):
    (run / "training" / "recommended-0").rename(run / "training" / "normalised_target-0")
    frame = clip_views(results_of(run, ("published", "batch_mean_fix", "normalised_target")))
    assert frame["arm"].unique().tolist() == ["clean", "published", "normalised_target"]
    assert (frame["id"] == "u2").all()
    perfect = frame[frame["arm"] == "clean"]
    assert values_of(perfect, INCONSISTENCY) == pytest.approx(0, abs=1e-3)
    assert values_of(frame[frame["arm"] == "published"], INCONSISTENCY) > 0.01


def test_one_network_has_nothing_to_be_compared_with(run):
    assert clip_views(results_of(run, ("published", "normalised_target"))).empty


def test_the_figure_has_a_column_for_each_arm_and_survives_its_csv(clean, tmp_path):
    spectrum = compressed_spectrum(clean)
    rows = [
        view_rows(arm, result_of(clean, level * spectrum), 0)
        for arm, level in {"clean": 1.0, "published": 0.5}.items()
    ]
    pd.concat(rows).assign(id="test_00000").to_csv(tmp_path / "one_clip.csv", index=False)
    figure = one_clip(pd.read_csv(tmp_path / "one_clip.csv"))
    plt.close(figure)
    titles = [axis.get_title().splitlines()[0] for axis in figure.axes[:2]]
    assert titles == ["clean speech", "published"]
