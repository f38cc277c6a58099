"""Many utterances: a row each, in order, whatever happens to one of them."""

import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from cmgan.metrics import evaluation
from cmgan.metrics.evaluation import evaluate_files, evaluate_waveforms
from cmgan.metrics.speech import SpeechMeasures, speech_metrics
from data_prep.audio import AudioError, write_audio
from tests.speech_like import noisy_copy, speech_like

METRICS = ["pesq", "csig", "cbak", "covl", "ssnr", "stoi", "si_sdr"]
COLUMNS = ["id", *METRICS, "gain", "samples", "pesq_reason", "reasons"]


@pytest.fixture(scope="module")
def waveforms() -> list[tuple[str, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    pairs = []
    for number, seconds in enumerate((1.2, 0.6, 0.9, 0.7)):
        clean = speech_like(rng, seconds)
        pairs.append((f"utterance-{number}", clean, 0.5 * noisy_copy(rng, clean)))
    return pairs


@pytest.mark.parametrize("workers", [0, 2])
def test_a_row_per_utterance_in_order_with_the_numbers_of_speech_metrics(waveforms, workers):
    table = evaluate_waveforms(waveforms, workers)
    assert list(table) == COLUMNS
    assert list(table["id"]) == [name for name, _, _ in waveforms]
    expected = pd.DataFrame(speech_metrics(clean, estimate) for _, clean, estimate in waveforms)
    pd.testing.assert_frame_equal(table[METRICS], expected)
    assert list(table["samples"]) == [len(clean) for _, clean, _ in waveforms]
    np.testing.assert_allclose(table["gain"], 0.5, atol=0.02)
    assert (table[["pesq_reason", "reasons"]] == "").all(axis=None)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_utterance_that_cannot_be_scored_has_a_row_with_reasons(waveforms, workers):
    name, clean, estimate = waveforms[0]
    broken = [
        ("silent", clean, 0 * estimate),
        ("diverged", clean, np.full_like(estimate, np.nan)),
        (name, clean, estimate),
    ]
    table = evaluate_waveforms(broken, workers).set_index("id")
    assert list(table["pesq_reason"]) == ["silent_estimate", "not_finite", ""]
    assert table.loc["diverged", METRICS].isna().all()
    assert table.loc["silent", "reasons"].startswith("pesq:silent_estimate;csig:")
    assert table.loc[name, "pesq"] == speech_metrics(clean, estimate)["pesq"]


def crash_on_the_shortest(clean: np.ndarray, _estimate: np.ndarray) -> SpeechMeasures:
    """A measure whose process ends for short utterances."""
    if len(clean) < 10_000:
        raise MemoryError
    return SpeechMeasures.missing("stand_in")


def test_a_crash_costs_one_row(waveforms, monkeypatch):
    monkeypatch.setattr(evaluation, "MEASURE_FUNCTION", f"{__name__}:crash_on_the_shortest")
    table = evaluate_waveforms(waveforms, workers=1)
    assert list(table["pesq_reason"]) == ["stand_in", "worker_crash", "stand_in", "stand_in"]


@pytest.fixture
def folders(waveforms, tmp_path):
    """clean/ and enhanced/ with one utterance each, in a folder of its own, the enhanced 10 ms shorter."""
    name, clean, estimate = waveforms[0]
    for folder, wave in (("clean", clean), ("enhanced", estimate[:-160])):
        write_audio(tmp_path / folder / "deep" / f"{name}.wav", wave)
    return tmp_path / "clean", tmp_path / "enhanced"


@pytest.mark.parametrize("workers", [0, 1])
def test_files_are_scored_like_their_waveforms_and_cut_to_the_shorter(folders, workers):
    path = "deep/utterance-0.wav"
    clean, enhanced = (soundfile.read(folder / path)[0] for folder in folders)
    expected = evaluate_waveforms([("deep/utterance-0", clean[:-160], enhanced)], 0)
    pd.testing.assert_frame_equal(evaluate_files(*folders, workers), expected)
    single = evaluate_files(*(folder / path for folder in folders), workers)
    pd.testing.assert_frame_equal(single, expected.assign(id="utterance-0"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no clean file of that name"),
        (b"", "a.wav: empty file"),
        (b"not audio at all", "a.wav: not readable"),
        ("short", "a .*a.wav.*apart"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_pair_that_cannot_be_used_has_a_row_with_the_reason_in_its_place(folders, content, reason, workers):
    clean, enhanced = folders
    whole, _ = soundfile.read(enhanced / "deep" / "utterance-0.wav")
    write_audio(enhanced / "a.wav", whole)
    if content == "short":
        write_audio(clean / "a.wav", whole[:4_000])
    elif content is not None:
        (clean / "a.wav").write_bytes(content)
    table = evaluate_files(clean, enhanced, workers)
    assert list(table) == COLUMNS
    assert list(table["id"]) == ["a", "deep/utterance-0"]
    assert re.search(reason, table["reasons"][0])
    assert table.loc[0, "pesq":"samples"].isna().all()
    assert table.loc[1, "pesq":"samples"].notna().all()
    assert table["reasons"][1] == ""


def test_a_table_without_a_scored_file_has_the_same_columns(folders, tmp_path):
    write_audio(tmp_path / "lonely" / "a.wav", np.ones(9))
    table = evaluate_files(folders[0], tmp_path / "lonely", workers=0)
    assert list(table) == COLUMNS
    assert list(table["reasons"]) == ["no clean file of that name"]


def test_two_files_of_one_name_are_refused(folders):
    write_audio(folders[1] / "deep" / "utterance-0.flac", np.ones(9))
    with pytest.raises(AudioError, match="have the same name"):
        evaluate_files(*folders)
