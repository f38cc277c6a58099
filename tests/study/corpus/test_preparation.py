import numpy as np
import pandas as pd
import pytest
import soxr
from scipy.signal import resample_poly

from cmgan.dataset import UtterancePair
from cmgan.metrics.pesq import pesq_score
from cmgan.metrics.snr import segmental_snr
from cmgan.study.corpus.preparation import check_published_scores


@pytest.fixture
def recordings(real_pairs):
    return [*real_pairs.values()][1::6]


def _scored(pairs):
    rows = []
    for pair in pairs:
        samples = min(len(pair.clean), len(pair.noisy))
        clean, noisy = pair.clean[:samples], pair.noisy[:samples]
        rows.append((pair.id, pesq_score(clean, noisy).value, segmental_snr(clean, noisy)))
    return pd.DataFrame(rows, columns=["id", "pesq", "ssnr"])


def _changed(pairs, clean=None, noisy=None):
    def made(waveform, change):
        return (change(waveform) if change else waveform).astype(np.float32)

    changed = [UtterancePair(pair.id, made(pair.clean, clean), made(pair.noisy, noisy)) for pair in pairs]
    return _scored(changed), changed


def _through_48k(waveform, quality="VHQ"):
    return soxr.resample(soxr.resample(waveform, 16_000, 48_000, "VHQ"), 48_000, 16_000, quality)


def _polyphase(waveform):
    return resample_poly(soxr.resample(waveform, 16_000, 48_000), 1, 3)


def _through_8k(waveform):
    return soxr.resample(soxr.resample(waveform, 16_000, 8_000), 8_000, 16_000)


def _clipped(waveform):
    return np.clip(waveform, *(sign * 0.2 * np.abs(waveform).max() for sign in (-1, 1)))


def _clipped_at_48k(waveform):
    return soxr.resample(_clipped(soxr.resample(waveform, 16_000, 48_000)), 48_000, 16_000)


def _late(waveform):
    return np.r_[np.zeros(40), waveform[:-40]]


@pytest.mark.parametrize("change", [None, _through_48k, _polyphase], ids=["as is", "soxr", "polyphase"])
def test_published_recordings_fit_whatever_good_resampler_made_them(recordings, change):
    assert "4 of 4 noisy test recordings score as published" in check_published_scores(
        *_changed(recordings, change, change)
    )


@pytest.mark.parametrize(
    ("clean", "noisy", "cause"),
    [
        pytest.param(None, _late, r"shifted against clean \(late\)", id="noisy late"),
        pytest.param(_late, None, r"shifted against clean \(early\)", id="clean late"),
        pytest.param(None, _clipped, "clipped", id="noisy clipped"),
        pytest.param(_clipped, _clipped, "clipped", id="both clipped"),
        pytest.param(None, _clipped_at_48k, "clipped", id="clipped before resampling"),
        pytest.param(None, lambda waveform: 0.5 * waveform, "level of noisy", id="level"),
        pytest.param(_through_8k, _through_8k, "resampled by other means", id="narrow band"),
        pytest.param(None, lambda waveform: waveform[::-1], "other recordings", id="reversed"),
    ],
)
def test_what_was_done_to_the_recordings_is_named(recordings, clean, noisy, cause):
    with pytest.raises(ValueError, match=f"score other than published .*likely cause: .*{cause}"):
        check_published_scores(*_changed(recordings, clean, noisy))


def test_swapped_recordings_are_named(recordings):
    swapped = [UtterancePair(pair.id, pair.noisy, pair.clean) for pair in recordings]
    with pytest.raises(ValueError, match="clean and noisy are swapped"):
        check_published_scores(_scored(swapped), swapped)


def test_recordings_of_other_names_are_not_compared():
    scores = pd.DataFrame({"id": ["alice_1"], "pesq": [2.0], "ssnr": [1.0]})
    with pytest.raises(ValueError, match="is this VoiceBank"):
        check_published_scores(scores, [])
