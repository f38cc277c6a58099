"""The seven metrics: equal to the published numbers, clear about what cannot be measured."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import cmgan
from cmgan.metrics.composite import SpectralDistances, composite
from cmgan.metrics.speech import METRIC_NAMES, measure_speech, speech_metrics
from tests.speech_like import noisy_copy, speech_like

PUBLISHED = ("pesq", "csig", "cbak", "covl", "ssnr", "stoi")


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    clean = speech_like(rng, 1.5)
    return clean, noisy_copy(rng, clean)


def _real_pair(folder: Path, signal: str, track: str) -> tuple[np.ndarray, np.ndarray]:
    sample = folder / "voicebank_demand_sample"
    clean, _ = soundfile.read(sample / "clean" / f"{track}.wav")
    estimate, _ = soundfile.read(sample / signal / f"{track}.wav")
    shorter = min(len(clean), len(estimate))
    return clean[:shorter], estimate[:shorter]


def test_every_published_number_is_met(shared_folder):
    published = pd.read_csv(shared_folder / "parity" / "composite_metrics.csv")
    measured = pd.DataFrame(
        speech_metrics(*_real_pair(shared_folder, row.signal, row.track)) for row in published.itertuples()
    )
    assert len(published) == 50
    columns = list(PUBLISHED)
    np.testing.assert_allclose(measured[columns], published[columns], rtol=0, atol=1e-6)


def test_the_float_scale_gives_the_numbers_of_the_public_evaluation_script(shared_folder):
    published = pd.read_csv(shared_folder / "parity" / "composite_metrics.csv").iloc[::7]
    columns = ["csig", "cbak", "covl"]
    measured = pd.DataFrame(
        speech_metrics(*_real_pair(shared_folder, row.signal, row.track), wss_scale="float")
        for row in published.itertuples()
    )
    expected = published[[f"{name}_float_scale" for name in columns]]
    np.testing.assert_allclose(measured[columns], expected, rtol=0, atol=1e-6)
    assert (expected.to_numpy() >= published[columns].to_numpy()).all()


def test_the_package_offers_the_seven_metrics_by_name(pair):
    assert cmgan.speech_metrics is speech_metrics
    assert tuple(speech_metrics(*pair)) == (*PUBLISHED, "si_sdr") == METRIC_NAMES


def test_the_dictionary_holds_the_values_of_the_data_class(pair):
    measures = measure_speech(*pair)
    assert measures.values() == speech_metrics(*pair)
    assert measures.reasons == {}


def test_int16_samples_are_measured_as_the_floats_they_stand_for(pair):
    samples = [np.round(signal * 32_767).astype(np.int16) for signal in pair]
    assert speech_metrics(*samples) == speech_metrics(*(signal / 32_768 for signal in samples))


def test_a_perfect_estimate_reaches_the_top_of_every_scale(pair):
    perfect = speech_metrics(pair[0], pair[0])
    assert (perfect["csig"], perfect["cbak"], perfect["covl"], perfect["ssnr"]) == (5, 5, 5, 35)
    assert perfect["stoi"] == pytest.approx(1, abs=1e-9)
    assert perfect["si_sdr"] == math.inf


@settings(max_examples=6, deadline=None)
@given(quieter=st.floats(0.003, 0.01), factor=st.floats(3, 6))
def test_more_noise_is_never_better(quieter, factor):
    rng = np.random.default_rng(2)
    clean = speech_like(rng, 1.0)
    noise = rng.standard_normal(len(clean))
    better, worse = (speech_metrics(clean, clean + level * noise) for level in (quieter, factor * quieter))
    assert all(better[name] > worse[name] for name in METRIC_NAMES if better[name] < 5)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda c, n: (0 * c, n), {"pesq", "csig", "cbak", "covl", "stoi", "si_sdr"}),
        (lambda c, n: (c, 0 * n), {"pesq", "csig", "cbak", "covl", "si_sdr"}),
        (lambda c, n: (c[:500], n[:500]), {"pesq", "csig", "cbak", "covl", "ssnr", "stoi"}),
        (lambda c, n: (c[:3_000], n[:3_000]), {"pesq", "csig", "cbak", "covl", "stoi"}),
    ],
    ids=["silent reference", "silent estimate", "shorter than a frame", "shorter than PESQ needs"],
)
def test_what_cannot_be_measured_is_missing_and_says_why(pair, change, missing):
    measures = measure_speech(*change(*pair))
    assert {name for name, value in measures.values().items() if math.isnan(value)} == missing
    assert set(measures.reasons) == missing
    assert all(measures.reasons.values())


def test_reasons_name_the_cause(pair):
    clean, noisy = pair
    assert set(measure_speech(0 * clean, noisy).reasons.values()) == {"silent_reference"}
    assert set(measure_speech(clean, 0 * noisy).reasons.values()) == {"silent_estimate"}
    assert measure_speech(clean[:500], noisy[:500]).reasons == {
        **dict.fromkeys(("pesq", "csig", "cbak", "covl"), "buffer_too_short"),
        "ssnr": "too_short",
        "stoi": "too_short",
    }


@pytest.mark.parametrize(
    ("clean", "enhanced", "message"),
    [
        (np.zeros(0), np.zeros(0), "clean has shape .*at least one sample"),
        (np.ones((2, 9)), np.ones((2, 9)), "clean has shape .*one utterance"),
        (np.ones(9), np.ones(8), "9 samples, enhanced 8"),
        (np.ones(9), np.full(9, np.nan), "enhanced has 9 samples that are NaN"),
        (np.ones(9, np.int64), np.ones(9), "clean has dtype int64"),
    ],
)
def test_unusable_input_is_an_error_that_names_it(clean, enhanced, message):
    with pytest.raises(ValueError, match=message):
        speech_metrics(clean, enhanced)


def test_another_sample_rate_is_refused_with_the_way_out(pair):
    with pytest.raises(ValueError, match=r"48000 Hz.*resample"):
        speech_metrics(*pair, sample_rate=48_000)


def test_an_unknown_wss_scale_is_refused(pair):
    with pytest.raises(ValueError, match="wss_scale is 'int32'"):
        speech_metrics(*pair, wss_scale="int32")


def test_ratings_stay_between_one_and_five():
    assert vars(composite(1.0, SpectralDistances(9.0, 300.0), -10.0)) == {"csig": 1, "cbak": 1, "covl": 1}
    assert vars(composite(4.64, SpectralDistances(0.0, 0.0), 35.0)) == {"csig": 5, "cbak": 5, "covl": 5}
