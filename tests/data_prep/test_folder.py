"""Corpora of recordings: the folder, VoiceBank+DEMAND, and the command line over all of them."""

from collections import Counter

import numpy as np
import pytest
import soundfile
from typer import Typer
from typer.testing import CliRunner

from data_prep.__main__ import main
from data_prep.audio import AudioError
from data_prep.folder import check_corpus, prepare_folder
from data_prep.manifest import ManifestError, read_manifest, read_pair, select_split, verify_checksums


def record(path, seconds=0.2, rate=16_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(len(path.name)).uniform(-0.3, 0.3, round(seconds * rate))
    soundfile.write(path, samples, rate, subtype="PCM_16")


@pytest.fixture
def recordings(tmp_path):
    """Three speakers, two recordings each."""
    folder = tmp_path / "recordings"
    for kind in ("clean", "noisy"):
        for name in ("p1_1", "p1_2", "p2_1", "p2_2", "p3_1", "p3_2"):
            record(folder / kind / f"{name}.wav")
    return folder


@pytest.fixture
def output(tmp_path):
    return tmp_path / "prepared"


def command(*arguments):
    app = Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_recordings_are_referenced_and_split_by_speaker(recordings, output):
    manifest = prepare_folder(recordings, output, 0)
    utterances = read_manifest(manifest)
    verify_checksums(utterances)
    assert Counter(item.split for item in utterances) == {"train": 2, "validation": 2, "test": 2}
    assert {item.clean_path.parent for item in utterances} == {recordings / "clean"}
    assert [path.name for path in output.iterdir()] == ["manifest.csv"]
    assert {(item.snr_db, item.noise, item.note) for item in utterances} == {(None, "", "")}


def test_the_same_seed_gives_the_same_manifest_for_any_number_of_workers(recordings, output, tmp_path):
    manifests = [
        prepare_folder(recordings, folder, 5, workers=workers).read_bytes()
        for folder, workers in ((output, 1), (tmp_path / "again", 3))
    ]
    assert manifests[0] == manifests[1]


def test_limits_hold_for_each_split(recordings, output):
    manifest = prepare_folder(recordings, output, 0, train_utterances=1, test_utterances=1)
    counts = Counter(item.split for item in read_manifest(manifest))
    assert counts == {"train": 1, "validation": 2, "test": 1}


def test_small_difference_in_length_is_cut_and_noted(recordings, output):
    record(recordings / "noisy" / "p2_1.wav", seconds=0.15)
    utterance = next(
        item for item in read_manifest(prepare_folder(recordings, output, 0)) if item.id == "p2_1"
    )
    assert utterance.samples == 2_400
    assert utterance.note == "noisy is 800 samples shorter; both are cut to it"
    assert [len(samples) for samples in read_pair(utterance)] == [2_400, 2_400]


def make_long(path):
    record(path, seconds=0.4)


def make_empty(path):
    path.write_bytes(b"")


def make_stereo(path):
    soundfile.write(path, np.zeros((3_200, 2)), 16_000)


def make_truncated(path):
    path.write_bytes(path.read_bytes()[:1_000])


def make_text(path):
    path.write_text("no audio")


def make_other_rate(path):
    record(path, rate=48_000)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (make_long, ("3200", "6400", "do not belong together")),
        (make_empty, ("0 bytes",)),
        (make_stereo, ("2 channels",)),
        (make_truncated, ("truncated",)),
        (make_text, ("not readable as audio",)),
        (make_other_rate, ("48000 Hz", "--resample")),
    ],
)
def test_an_unusable_recording_is_named_and_no_manifest_written(recordings, output, spoil, words):
    prepare_folder(recordings, output, 0)
    spoil(recordings / "noisy" / "p2_2.wav")
    for call in (lambda: prepare_folder(recordings, output, 0), lambda: check_corpus(recordings)):
        with pytest.raises(AudioError) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert all(word in str(caught.value) for word in ("p2_2", *words))
    with pytest.raises(ManifestError, match="no manifest"):
        read_manifest(output / "manifest.csv")


def test_further_unusable_recordings_are_counted(recordings):
    for name in ("p1_1", "p2_2", "p3_1"):
        make_empty(recordings / "clean" / f"{name}.wav")
    with pytest.raises(AudioError, match=r"p1_1\.wav: empty file.*\(2 more recordings cannot be used\)"):
        check_corpus(recordings)


def test_a_usable_corpus_is_counted(recordings):
    assert check_corpus(recordings) == 6


def test_other_sample_rates_are_converted_when_asked_for(recordings, output):
    for kind in ("clean", "noisy"):
        record(recordings / kind / "p1_1.wav", rate=44_100)
    manifest = prepare_folder(recordings, output, 0, resample=True)
    utterances = {item.id: item for item in read_manifest(manifest)}
    assert utterances["p1_1"].clean_path == output / "clean" / "p1_1.wav"
    assert utterances["p1_1"].samples == 3_200
    assert utterances["p1_2"].clean_path == recordings / "clean" / "p1_2.wav"
    assert len(read_pair(utterances["p1_1"])[1]) == 3_200


def test_the_25_real_clips_are_a_corpus_with_one_defect_noted(shared_folder, output):
    utterances = read_manifest(prepare_folder(shared_folder / "voicebank_demand_sample", output, 0))
    assert Counter((item.speaker, item.split) for item in utterances) == {
        ("p232", "train"): 12,
        ("p232", "validation"): 2,
        ("p257", "test"): 11,
    }
    defect = next(item for item in select_split(utterances, "test") if item.id == "p257_143")
    assert defect.note == "noisy is 160 samples shorter; both are cut to it"
    assert [len(samples) for samples in read_pair(defect)] == [40_170, 40_170]


def test_command_line_prepares_recordings_and_shows_the_splits(recordings, output):
    result = command("--corpus", "folder", "--path", recordings, "--output", output, "--train", 1)
    assert result.exit_code == 0
    assert "train: 1 utterances, 1 speakers" in result.output
    assert len(read_manifest(output / "manifest.csv")) == 5


def test_command_line_makes_synthetic_speech(output):
    counts = ("--train", 1, "--validation", 1, "--test", 1)
    assert command("--output", output, *counts).exit_code == 0
    assert len(read_manifest(output / "manifest.csv")) == 3


def test_command_line_says_errors_in_one_line(tmp_path, output):
    result = command("--corpus", "folder", "--path", tmp_path / "nowhere", "--output", output)
    assert result.exit_code == 1
    assert (
        result.stderr.strip()
        == f"error: {tmp_path / 'nowhere'}: no such folder; check the path of the corpus"
    )


def test_command_line_wants_a_path_exactly_where_one_is_read(output, tmp_path):
    assert command("--corpus", "folder", "--output", output).exit_code == 2
    assert command("--path", tmp_path, "--output", output).exit_code == 2
