"""Recordings in a folder: pairs and speakers found, splits, and what is refused before a manifest is written."""

from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_prep.audio import AudioError
from data_prep.folder import (
    CorpusError,
    Recording,
    assign_splits,
    check_corpus,
    find_recordings,
    limit_splits,
    prepare_folder,
)
from data_prep.manifest import ManifestError, read_manifest, read_pair, select_split


def make_tree(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def make_pairs(folder, *names, clean="clean", noisy="noisy"):
    return make_tree(folder, *(f"{kind}/{name}" for kind in (clean, noisy) for name in names))


def recordings_of(**counts):
    return [
        Recording(f"{speaker}_{number}", None, None, "", speaker)
        for speaker, count in counts.items()
        for number in range(count)
    ]


def splits_by_speaker(recordings):
    return {item.speaker: item.split for item in recordings}


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere: no such folder"):
        find_recordings(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["speech/a.wav", "clean/a.wav"])
def test_a_folder_without_clean_beside_noisy_says_how_to_name_them(tmp_path, file):
    make_tree(tmp_path, file)
    with pytest.raises(CorpusError, match="no clean/ and noisy/ beside each other; put the recordings"):
        find_recordings(tmp_path)


def test_unpaired_files_are_counted_and_the_first_listed(tmp_path):
    make_pairs(tmp_path, "p1_1.wav")
    make_tree(tmp_path, *(f"clean/p1_{number}.wav" for number in range(2, 6)), "noisy/p9_9.wav")
    with pytest.raises(CorpusError) as caught:
        find_recordings(tmp_path)
    message = str(caught.value)
    assert "5 files without a counterpart" in message
    assert "clean/p1_2.wav, clean/p1_3.wav, clean/p1_4.wav and 2 more" in message


def test_pairs_are_found_below_subfolders_and_across_formats(tmp_path):
    make_tree(tmp_path, "clean/x/a.flac", "noisy/x/a.wav", "clean/b.wav", "noisy/b.WAV", "clean/.hidden.wav")
    found = find_recordings(tmp_path)
    assert [item.id for item in found] == ["b", "x-a"]
    assert found[1].noisy_path == tmp_path / "noisy" / "x" / "a.wav"


def test_folders_nested_by_unpacking_are_looked_through(tmp_path):
    make_pairs(tmp_path, "p1_1.wav", clean="clean_testset/clean_testset", noisy="noisy_testset/noisy_testset")
    assert [item.split for item in find_recordings(tmp_path)] == ["test"]


@pytest.mark.parametrize(
    "layout",
    [
        [
            ("clean_trainset_28spk_wav", "noisy_trainset_28spk_wav"),
            ("clean_testset_wav", "noisy_testset_wav"),
        ],
        [("train/clean", "train/noisy"), ("test/clean", "test/noisy")],
        [("clean/train", "noisy/train"), ("clean/test", "noisy/test")],
    ],
)
def test_splits_that_folders_show_are_kept(tmp_path, layout):
    for number, (clean, noisy) in enumerate(layout):
        make_pairs(tmp_path, *(f"p{number}00_{i}.wav" for i in range(4)), clean=clean, noisy=noisy)
    found = find_recordings(tmp_path)
    assert Counter((item.speaker, item.split) for item in found) == {
        ("p000", "train"): 4,
        ("p100", "test"): 4,
    }
    assert len({item.id for item in found}) == 8


def test_the_same_name_in_two_splits_gives_two_ids(tmp_path):
    for split in ("train", "test"):
        make_pairs(tmp_path, "1.wav", clean=f"{split}/clean", noisy=f"{split}/noisy")
    assert [item.id for item in find_recordings(tmp_path)] == ["test-clean-1", "train-clean-1"]


@pytest.mark.parametrize(
    ("names", "speakers"),
    [
        (["p232_001.wav", "p257_001.wav"], ["p232", "p257"]),
        (["anna-01.wav", "ben_02.wav"], ["anna", "ben"]),
        (["anna/take_1.wav", "ben/take_2.wav"], ["anna", "ben"]),
        (["s0024_000.wav", "s0024_001.wav", "p0024_002.wav"], ["p0024", "s0024", "s0024"]),
        (["first.wav", "second.wav"], ["unknown", "unknown"]),
    ],
)
def test_speakers_come_from_names_or_folders(tmp_path, names, speakers):
    make_pairs(tmp_path, *names)
    assert [item.speaker for item in find_recordings(tmp_path)] == speakers


def test_folders_called_clean_are_no_speakers(tmp_path):
    for split, name in (("train", "s0024_000.wav"), ("train", "anna-3.wav"), ("test", "s0031_000.wav")):
        make_pairs(tmp_path, name, clean=f"{split}/clean", noisy=f"{split}/noisy")
    assert {item.speaker for item in find_recordings(tmp_path)} == {"s0024", "anna", "s0031"}


def test_a_speaker_pattern_decides_before_names_and_folders(tmp_path):
    make_pairs(tmp_path, "a/p100_x7.wav", "b/p100_x8.wav")
    assert [item.speaker for item in find_recordings(tmp_path, r"_(x\d)$")] == ["x7", "x8"]
    assert [item.speaker for item in find_recordings(tmp_path, "^([^/]+)/")] == ["a", "b"]


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(x", "not a regular expression"),
        ("p.*", "give it one group"),
        ("x(7)", r"b/p100_x8\.wav: .*finds no speaker in 'b/p100_x8' \(1 of 2 recordings\)"),
    ],
)
def test_a_speaker_pattern_that_cannot_be_used_is_named(tmp_path, pattern, fault):
    make_pairs(tmp_path, "a/p100_x7.wav", "b/p100_x8.wav")
    with pytest.raises(CorpusError, match=fault):
        find_recordings(tmp_path, pattern)


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 20), min_size=3), st.integers(0, 2**32))
def test_three_speakers_or_more_are_never_shared_between_splits(counts, seed):
    recordings = recordings_of(**counts)
    assigned = assign_splits(recordings, seed)
    assert {item.split for item in assigned} == {"train", "validation", "test"}
    assert len({(item.speaker, item.split) for item in assigned}) == len(counts)
    assert assign_splits(recordings, seed) == assigned


def test_of_many_speakers_about_15_percent_test_and_validate():
    assigned = assign_splits(recordings_of(**{f"s{number}": 10 for number in range(20)}), 0)
    assert Counter(item.split for item in assigned) == {"train": 140, "validation": 30, "test": 30}


def test_a_large_speaker_trains_where_small_ones_can_test():
    assert splits_by_speaker(assign_splits(recordings_of(a=100, b=5, c=5), 0))["a"] == "train"
    for seed in range(5):
        expected = {"a": "test", "b": "validation", "c": "train"}
        assert splits_by_speaker(assign_splits(recordings_of(a=10, b=20, c=30), seed)) == expected


def test_of_two_speakers_the_larger_trains_and_gives_up_some_for_validation():
    assigned = assign_splits(recordings_of(b=14, a=11), 0)
    assert Counter((item.speaker, item.split) for item in assigned) == {
        ("b", "train"): 12,
        ("b", "validation"): 2,
        ("a", "test"): 11,
    }
    assert {item.note for item in assigned if item.split == "validation"} == {
        "validation shares its speaker with train"
    }


def test_one_speaker_is_split_by_recording_with_a_note():
    assigned = assign_splits(recordings_of(a=20), 0)
    assert Counter(item.split for item in assigned) == {"train": 14, "validation": 3, "test": 3}
    assert all(bool(item.note) == (item.split != "train") for item in assigned)


def test_too_few_recordings_are_refused(tmp_path):
    make_pairs(tmp_path, "p100_1.wav", "p100_2.wav")
    with pytest.raises(CorpusError, match="1 recordings left to take validation recordings from"):
        assign_splits(find_recordings(tmp_path), 0)


def test_folders_that_show_only_one_split_are_refused(tmp_path):
    make_pairs(tmp_path, "p1_1.wav", clean="clean_testset_wav", noisy="noisy_testset_wav")
    with pytest.raises(CorpusError, match="show only test recordings; add train and test"):
        assign_splits(find_recordings(tmp_path), 0)


def test_a_recording_outside_the_splits_that_others_show_is_refused(tmp_path):
    make_pairs(tmp_path, "train/a.wav", "test/b.wav", "c.wav")
    with pytest.raises(CorpusError, match=r"c\.wav: not in a train, validation or test folder"):
        assign_splits(find_recordings(tmp_path), 0)


def test_a_larger_limit_keeps_what_a_smaller_one_kept():
    recordings = [Recording(str(number), None, None, "train", "a") for number in range(30)]
    small, large = (limit_splits(recordings, {"train": limit}, 7) for limit in (5, 12))
    assert set(small) < set(large)
    assert len(large) == 12
    assert large == sorted(large, key=lambda item: int(item.id))
    assert limit_splits(recordings, {"train": None}, 7) == limit_splits(recordings, {}, 7) == recordings


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


def test_recordings_are_referenced_and_split_by_speaker(recordings, output):
    utterances = read_manifest(prepare_folder(recordings, output, 0, {}))
    assert Counter(item.split for item in utterances) == {"train": 2, "validation": 2, "test": 2}
    assert {item.clean_path.parent for item in utterances} == {recordings / "clean"}
    assert [path.name for path in output.iterdir()] == ["manifest.csv"]
    assert {(item.snr_db, item.noise, item.note) for item in utterances} == {(None, "", "")}


def test_the_same_seed_gives_the_same_manifest_for_any_number_of_workers(recordings, output, tmp_path):
    manifests = [
        prepare_folder(recordings, folder, 5, {}, workers=workers).read_bytes()
        for folder, workers in ((output, 1), (tmp_path / "again", 3))
    ]
    assert manifests[0] == manifests[1]


def test_small_difference_in_length_is_cut_and_noted(recordings, output):
    record(recordings / "noisy" / "p2_1.wav", seconds=0.15)
    utterance = next(
        item for item in read_manifest(prepare_folder(recordings, output, 0, {})) if item.id == "p2_1"
    )
    assert utterance.samples == 2_400
    assert utterance.note == "noisy is 800 samples shorter; both are cut to it"
    assert [len(samples) for samples in read_pair(utterance)] == [2_400, 2_400]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: record(path, seconds=0.4), ("3200", "6400", "do not belong together")),
        (lambda path: path.write_bytes(b""), ("0 bytes",)),
        (lambda path: record(path, rate=48_000), ("48000 Hz", "--resample")),
    ],
    ids=["long", "empty", "other rate"],
)
def test_an_unusable_recording_is_named_and_no_manifest_written(recordings, output, spoil, words):
    prepare_folder(recordings, output, 0, {})
    check_corpus(recordings)
    spoil(recordings / "noisy" / "p2_2.wav")
    for call in (lambda: prepare_folder(recordings, output, 0, {}), lambda: check_corpus(recordings)):
        with pytest.raises(AudioError) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert all(word in str(caught.value) for word in ("p2_2", *words))
    with pytest.raises(ManifestError, match="no manifest"):
        read_manifest(output / "manifest.csv")


def test_further_unusable_recordings_are_counted(recordings):
    for name in ("p1_1", "p2_2", "p3_1"):
        (recordings / "clean" / f"{name}.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"p1_1\.wav: empty file.*\(2 more recordings cannot be used\)"):
        check_corpus(recordings)


def test_other_sample_rates_are_converted_when_asked_for(recordings, output):
    for kind in ("clean", "noisy"):
        record(recordings / kind / "p1_1.wav", rate=44_100)
    manifest = prepare_folder(recordings, output, 0, {}, resample=True)
    utterances = {item.id: item for item in read_manifest(manifest)}
    assert utterances["p1_1"].clean_path == output / "clean" / "p1_1.wav"
    assert utterances["p1_1"].samples == 3_200
    assert utterances["p1_2"].clean_path == recordings / "clean" / "p1_2.wav"
    assert len(read_pair(utterances["p1_1"])[1]) == 3_200


def test_the_25_real_clips_are_a_corpus_with_one_defect_noted(shared_folder, output):
    utterances = read_manifest(prepare_folder(shared_folder / "voicebank_demand_sample", output, 0, {}))
    assert Counter((item.speaker, item.split) for item in utterances) == {
        ("p232", "train"): 12,
        ("p232", "validation"): 2,
        ("p257", "test"): 11,
    }
    defect = next(item for item in select_split(utterances, "test") if item.id == "p257_143")
    assert defect.note == "noisy is 160 samples shorter; both are cut to it"
    assert [len(samples) for samples in read_pair(defect)] == [40_170, 40_170]
