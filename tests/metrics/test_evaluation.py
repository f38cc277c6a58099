"""Many utterances: a row each, in order, whatever happens to one of them."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from cmgan.metrics import evaluation
from cmgan.metrics.evaluation import evaluate_pairs, evaluate_waveforms
from cmgan.metrics.speech import METRIC_NAMES, speech_metrics
from data_prep.audio import AudioError, write_audio
from tests.speech_like import noisy_copy, speech_like

COLUMNS = ["id", *METRIC_NAMES, "gain", "samples", "pesq_reason", "reasons"]


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
    pd.testing.assert_frame_equal(table[list(METRIC_NAMES)], expected)
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
    assert table.loc["diverged", list(METRIC_NAMES)].isna().all()
    assert table.loc["silent", "reasons"].startswith("pesq:silent_estimate;csig:")
    assert table.loc[name, "pesq"] == speech_metrics(clean, estimate)["pesq"]


def crash_on_the_shortest(clean: np.ndarray, _estimate: np.ndarray) -> evaluation.SpeechMeasures:
    """A measure whose process ends for short utterances."""
    if len(clean) < 10_000:
        raise MemoryError
    return evaluation.SpeechMeasures.missing("stand_in")


def test_a_crash_costs_one_row(waveforms, monkeypatch):
    monkeypatch.setattr(evaluation, "MEASURE_FUNCTION", f"{__name__}:crash_on_the_shortest")
    table = evaluate_waveforms(waveforms, workers=1)
    assert list(table["pesq_reason"]) == ["stand_in", "worker_crash", "stand_in", "stand_in"]


def test_progress_counts_every_utterance(waveforms):
    seen = []
    evaluate_waveforms(waveforms, workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_files_are_scored_like_their_waveforms_and_cut_to_the_shorter(waveforms, tmp_path):
    pairs = []
    for name, clean, estimate in waveforms[:2]:
        write_audio(tmp_path / f"{name}-clean.wav", clean)
        write_audio(tmp_path / f"{name}.wav", estimate[:-160])
        pairs.append((name, tmp_path / f"{name}-clean.wav", tmp_path / f"{name}.wav"))
    table = evaluate_pairs(pairs, workers=1)
    read = [(name, *(soundfile.read(path)[0] for path in paths)) for name, *paths in pairs]
    expected = evaluate_waveforms([(name, clean[:-160], estimate) for name, clean, estimate in read], 0)
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "b.wav: no such file"),
        (b"", "b.wav: empty file"),
        (b"not audio at all", "b.wav: not readable"),
        ("short", "b.wav.*apart"),
    ],
)
def test_an_unusable_file_is_named_before_anything_is_scored(
    waveforms, tmp_path, monkeypatch, content, message
):
    _, _, estimate = waveforms[0]
    for name in ("a", "b", "clean"):
        write_audio(tmp_path / f"{name}.wav", estimate)
    if content == "short":
        write_audio(tmp_path / "b.wav", estimate[:4_000])
    elif content is None:
        (tmp_path / "b.wav").unlink()
    else:
        (tmp_path / "b.wav").write_bytes(content)
    scored = []
    monkeypatch.setattr(evaluation, "measure_estimate", lambda *pair: scored.append(pair))
    pairs = [(name, tmp_path / "clean.wav", tmp_path / f"{name}.wav") for name in ("a", "b")]
    with pytest.raises(AudioError, match=message):
        evaluate_pairs(pairs, workers=0)
    assert scored == []


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "nothing to evaluate"),
        ([("x", np.ones(9), np.ones(9))] * 2, "id given twice: x"),
        ([("x", np.ones(9), np.ones(8))], "x: reference has shape"),
        ([("x", np.full(9, np.nan), np.ones(9))], "x: the reference has samples that are NaN"),
    ],
)
def test_unusable_pairs_are_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        evaluate_waveforms(pairs, workers=0)
