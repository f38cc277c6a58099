"""Reading and writing audio: what is refused, in which words, and what comes back unchanged."""

import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.audio import (
    AudioError,
    audio_files,
    files_by_name,
    read_audio,
    read_together,
    resample,
    write_audio,
)


def tone(seconds=0.5, rate=16_000, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def one_line_error(call, *words):
    with pytest.raises(AudioError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda _: None, "no such file"),
        (lambda path: path.touch(), "0 bytes"),
        (lambda path: path.write_text("these are no samples"), "not readable as audio"),
        (lambda path: soundfile.write(path, np.zeros(0), 16_000), "no samples"),
        (
            lambda path: soundfile.write(path, np.zeros((80, 2)), 16_000),
            "2 channels, expected 1; mix it down",
        ),
        (
            lambda path: soundfile.write(path, [0.1, np.nan, np.inf], 16_000, subtype="FLOAT"),
            "2 samples are NaN",
        ),
    ],
    ids=["missing", "empty", "text", "no samples", "stereo", "not finite"],
)
def test_an_unusable_file_is_named_with_its_fault(tmp_path, make, fault):
    path = tmp_path / "a.wav"
    make(path)
    one_line_error(lambda: read_audio(path), str(path), fault)


@pytest.mark.parametrize(
    ("suffix", "kept"), [("wav", 20), ("wav", 44), ("wav", 45), ("wav", 5_000), ("flac", 20_000)]
)
def test_a_truncated_file_is_detected_wherever_it_is_cut(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 40_000), 16_000)
    path.write_bytes(path.read_bytes()[:kept])
    one_line_error(lambda: read_audio(path), str(path), "truncated", "again")


def test_up_to_a_tenth_of_a_second_may_be_cut_off(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, tone())
    path.write_bytes(path.read_bytes()[:-320])
    assert len(read_audio(path)) == 8_000 - 160
    path.write_bytes(path.read_bytes()[:-4_000])
    one_line_error(lambda: read_audio(path), "truncated, 4320 of 16000 bytes")


def test_length_unknown_to_a_streaming_writer_is_no_truncation(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, tone())
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert len(read_audio(path)) == 8_000


def test_other_sample_rate_is_refused_unless_converted(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate=48_000), 48_000)
    one_line_error(lambda: read_audio(path), str(path), "48000 Hz", "--resample")
    converted = read_audio(path, resample_to_16k=True)
    assert len(converted) == 8_000
    np.testing.assert_allclose(converted[500:-500], tone()[500:-500], atol=1e-3)


@pytest.mark.parametrize(
    ("samples", "fault"),
    [(3 * tone(), "peak 1.5"), (np.array([0.1, np.nan]), "peak nan"), (np.zeros(0), "(0,)")],
    ids=["clipping", "not finite", "nothing"],
)
def test_samples_that_a_file_cannot_hold_are_not_written(tmp_path, samples, fault):
    one_line_error(lambda: write_audio(tmp_path / "a.wav", samples), "a.wav", fault)
    assert list(tmp_path.iterdir()) == []


@given(arrays(np.int16, st.integers(1, 200), elements=st.integers(-32_768, 32_767)))
def test_16_bit_samples_survive_writing_and_reading(tmp_path_factory, quantised):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    write_audio(path, quantised / 32_768)
    np.testing.assert_array_equal(read_audio(path) * 32_768, quantised)


def test_the_same_samples_give_the_same_bytes(tmp_path):
    write_audio(tmp_path / "a.wav", tone())
    write_audio(tmp_path / "b.wav", tone())
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_resampling_removes_what_the_new_rate_cannot_hold():
    above = tone(rate=48_000, hertz=10_000)
    assert np.abs(resample(above, 48_000, 16_000)[200:-200]).max() < 1e-4


@pytest.mark.parametrize(
    ("lengths", "note"),
    [
        ((5_000, 4_840), "noisy is 160 samples shorter; both are cut to it"),
        ((3_400, 5_000), "clean is 1600 samples shorter; both are cut to it"),
        ((10, 10), ""),
    ],
)
def test_a_pair_is_cut_to_its_shorter_file_with_a_note(tmp_path, lengths, note):
    pair = [tmp_path / f"{length}-{side}.wav" for side, length in enumerate(lengths)]
    waves = [np.random.default_rng(0).uniform(-1, 1, length) for length in lengths]
    for path, wave in zip(pair, waves, strict=True):
        write_audio(path, wave)
    clean, noisy, said = read_together(*pair, "x")
    assert said == note
    assert len(clean) == min(lengths)
    np.testing.assert_array_equal(clean, noisy)


def test_files_that_do_not_belong_together_are_named_with_their_lengths(tmp_path):
    pair = [tmp_path / "clean.wav", tmp_path / "noisy.wav"]
    for path, length in zip(pair, (5_000, 3_399), strict=True):
        write_audio(path, np.full(length, 0.1))
    one_line_error(lambda: read_together(*pair, "p1_2"), "p1_2", "clean.wav has 5000", "noisy.wav 3399")


def test_a_folder_is_walked_past_hidden_files_folders_named_like_audio_and_links_in_a_circle(tmp_path):
    for name in ("b/2.WAV", "b/.hidden.wav", "1.flac", "out/3.wav", "notes.txt", "folder.wav/4.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "itself.wav").symlink_to(tmp_path / "b" / "itself.wav")
    found = audio_files(tmp_path, leave_out=tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "1.flac",
        "b/2.WAV",
        "folder.wav/4.wav",
    ]
    assert list(files_by_name(tmp_path / "b")) == ["2"]
    (tmp_path / "b" / "2.flac").touch()
    one_line_error(lambda: files_by_name(tmp_path), "b/2", "have the same name")
    one_line_error(lambda: audio_files(tmp_path / "b" / "none"), "none: no WAV or FLAC files")
