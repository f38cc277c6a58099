"""The manifest: what is written comes back, and what is broken is said in one line."""

import dataclasses
import shutil

import numpy as np
import pytest

from data_prep.audio import AudioError, write_audio
from data_prep.manifest import (
    COLUMNS,
    ManifestError,
    Utterance,
    read_manifest,
    read_pair,
    select_split,
    write_manifest,
)


@pytest.fixture
def utterances(tmp_path):
    """Two pairs: one inside the corpus folder, one elsewhere."""
    made = []
    for number, (folder, split) in enumerate([("corpus", "train"), ("elsewhere, with comma", "test")]):
        paths = tmp_path / folder / "clean" / f"{number}.wav", tmp_path / folder / "noisy" / f"{number}.wav"
        for path in paths:
            write_audio(path, np.full(100, 0.25))
        said = (2.5, "hum", "cut, at the end") if number else (None, "hum")
        made.append(Utterance.of_files(f"u{number}", split, f"speaker{number}", paths, 90, *said))
    return made


@pytest.fixture
def manifest(tmp_path, utterances):
    return write_manifest(utterances, tmp_path / "corpus" / "manifest.csv")


def test_what_is_written_comes_back(manifest, utterances):
    assert read_manifest(manifest) == utterances


def test_paths_inside_the_folder_are_relative_and_others_absolute(manifest, tmp_path):
    lines = manifest.read_text().splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    assert "clean/0.wav" in lines[1]
    assert str(tmp_path) not in lines[1]
    assert str(tmp_path / "elsewhere, with comma") in lines[2]


def test_a_corpus_may_be_moved_with_its_manifest(manifest, tmp_path, utterances):
    write_manifest(utterances[:1], manifest)
    shutil.move(tmp_path / "corpus", tmp_path / "moved")
    moved = read_manifest(tmp_path / "moved" / "manifest.csv")
    assert moved[0].clean_path == tmp_path / "moved" / "clean" / "0.wav"


def test_readers_cut_to_the_samples_both_have(manifest):
    clean, noisy = read_pair(read_manifest(manifest)[0])
    assert clean.shape == noisy.shape == (90,)
    assert clean.dtype == np.float32


def test_reader_refuses_audio_that_changed_since(manifest, tmp_path):
    path = tmp_path / "corpus" / "noisy" / "0.wav"
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"noisy/0\.wav: is not what it was when the manifest was written"):
        read_pair(read_manifest(manifest)[0])


def test_reader_refuses_a_file_shorter_than_the_manifest_says(manifest):
    utterance = dataclasses.replace(read_manifest(manifest)[0], samples=101)
    with pytest.raises(AudioError, match=r"0\.wav: 100 samples where the manifest says 101; run 01_data"):
        read_pair(utterance)


def test_no_manifest_says_what_to_run(tmp_path):
    with pytest.raises(
        ManifestError, match=r"manifest\.csv: no manifest there; run 01_data_preparation again"
    ):
        read_manifest(tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text.replace("snr_db", "snr"), "columns missing: snr_db"),
        (lambda text: text.replace("16000", "fast"), "line 2: a value is missing or unreadable"),
        (lambda text: text.replace("16000", "48000"), "expected at least 1 at 16000 Hz"),
        (lambda text: text.replace(",90,", ",0,"), "expected at least 1"),
        (lambda text: text.replace(",train,", ",training,"), "unknown split 'training'"),
        (lambda text: text.replace("u1", "u0"), "'u0' occurs twice"),
        (lambda text: text[:-150], "line 3: the row is cut short"),
        (lambda text: text.splitlines()[0] + "\n", "at least one utterance"),
    ],
)
def test_broken_contents_are_named(manifest, spoil, message):
    manifest.write_text(spoil(manifest.read_text()))
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(manifest)
    assert str(manifest) in str(caught.value)


def test_missing_audio_is_counted_and_named(manifest, tmp_path):
    (tmp_path / "corpus" / "noisy" / "0.wav").unlink()
    with pytest.raises(
        ManifestError, match=r"1 audio files missing, first .*0\.wav; run 01_data_preparation again"
    ):
        read_manifest(manifest)


def test_duplicate_ids_leave_the_old_manifest(manifest, utterances):
    before = manifest.read_bytes()
    with pytest.raises(ManifestError, match="occurs twice"):
        write_manifest([utterances[0], utterances[0]], manifest)
    assert manifest.read_bytes() == before


def test_splits_are_selected_in_order_and_an_empty_one_is_an_error(utterances):
    assert select_split(utterances, "test") == utterances[1:]
    with pytest.raises(ManifestError, match="no validation utterances"):
        select_split(utterances, "validation")
