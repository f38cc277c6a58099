import shutil
import zipfile

import numpy as np
import pytest
import soundfile

from data_prep import download
from data_prep.folder import CorpusError
from data_prep.manifest import read_manifest
from data_prep.voicebank import (
    FOLDERS,
    TRANSCRIPTS,
    count_notes,
    download_voicebank,
    prepare_voicebank,
    unpack_recordings,
)
from tests.data_prep.archive_server import serving

TRAIN, TEST = ("p226", "p287", "p228", "p230"), ("p232", "p257")
SPLITS = {
    *(("p226", "validation"), ("p287", "validation"), ("p228", "train"), ("p230", "train")),
    *(("p232", "test"), ("p257", "test")),
}


@pytest.fixture
def corpus(tmp_path):
    """The corpus as it unpacks: 0.2 s of noise for each speaker, at 48 kHz."""
    rng = np.random.default_rng(0)
    for name in FOLDERS:
        for speaker in TRAIN if "train" in name else TEST:
            path = tmp_path / "corpus" / name / f"{speaker}_001.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(9_600), 48_000)
    return tmp_path / "corpus"


def _pack(corpus):
    for name in FOLDERS:
        with zipfile.ZipFile(corpus / f"{name}.zip", "w") as archive:
            for path in sorted((corpus / name).iterdir()):
                archive.write(path, f"{name}/{path.name}")
                archive.writestr(f"__MACOSX/{name}/._{path.name}", b"")
        shutil.rmtree(corpus / name)


def _splits(manifest):
    return {(item.speaker, item.split) for item in read_manifest(manifest)}


@pytest.mark.parametrize("packed", [False, True])
def test_the_corpus_is_converted_and_two_speakers_are_held_out(corpus, tmp_path, packed):
    if packed:
        _pack(corpus)
    manifest = prepare_voicebank(corpus, tmp_path / "data", 0, {})
    assert _splits(manifest) == SPLITS
    assert {item.samples for item in read_manifest(manifest)} == {3_200}
    assert all(item.clean_path.is_relative_to(tmp_path / "data") for item in read_manifest(manifest))


def _train_test(corpus, kind, split):
    return corpus / split / kind


def _flat(corpus, kind, _):
    return corpus / kind


@pytest.mark.parametrize("place", [_train_test, _flat])
def test_other_layouts_give_the_same_splits(corpus, tmp_path, place):
    for name in FOLDERS:
        kind, split = name.split("_")[0], "train" if "train" in name else "test"
        target = place(tmp_path / "other", kind, split)
        shutil.copytree(corpus / name, target, dirs_exist_ok=True)
    assert _splits(prepare_voicebank(tmp_path / "other", tmp_path / "data", 0, {})) == SPLITS


def test_an_interrupted_conversion_goes_on_with_the_files_that_are_missing(corpus, tmp_path):
    prepare_voicebank(corpus, tmp_path / "data", 0, {})
    kept, lost = (tmp_path / "data" / "clean" / f"{name}_001.wav" for name in ("p228", "p230"))
    before, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    prepare_voicebank(corpus, tmp_path / "data", 0, {})
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content


def test_a_recording_that_changed_is_converted_again(corpus, tmp_path):
    manifest = prepare_voicebank(corpus, tmp_path / "data", 0, {})
    before = {item.id: item.clean_sha256 for item in read_manifest(manifest)}
    soundfile.write(corpus / FOLDERS[2] / "p232_001.wav", np.full(9_600, 0.1), 48_000)
    after = {
        item.id: item.clean_sha256
        for item in read_manifest(prepare_voicebank(corpus, tmp_path / "data", 0, {}))
    }
    assert [name for name in before if before[name] != after[name]] == ["p232_001"]


def test_missing_archives_are_listed_with_their_source(corpus, tmp_path):
    shutil.rmtree(corpus / "noisy_testset_wav")
    with pytest.raises(CorpusError, match=r"noisy_testset_wav missing; .*10\.7488/ds/2117"):
        prepare_voicebank(corpus, tmp_path / "data", 0, {})


def test_a_partial_archive_is_not_taken_for_a_whole_one(corpus, tmp_path):
    _pack(corpus)
    archive = corpus / "clean_testset_wav.zip"
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorpusError, match=r"clean_testset_wav\.zip: damaged archive"):
        prepare_voicebank(corpus, tmp_path / "data", 0, {})
    archive.write_bytes(content)
    assert len(read_manifest(prepare_voicebank(corpus, tmp_path / "data", 0, {}))) == 6


def test_recordings_of_other_speakers_are_refused(corpus, tmp_path):
    for name in FOLDERS[2:]:
        (corpus / name / "p232_001.wav").rename(corpus / name / "alice-001.wav")
    with pytest.raises(CorpusError, match=r"alice-001\.wav: not named as a recording of VoiceBank\+DEMAND"):
        prepare_voicebank(corpus, tmp_path / "data", 0, {})


def test_counts_other_than_the_published_ones_are_noted(corpus, tmp_path):
    assert count_notes(prepare_voicebank(corpus, tmp_path / "data", 0, {})) == [
        "training and validation: 4 of the 11572 published recordings",
        "test: 2 of the 824 published recordings",
    ]


def test_archives_from_a_server_that_breaks_off_become_a_corpus_with_its_licence(
    corpus, tmp_path, monkeypatch
):
    monkeypatch.setattr(download, "_PAUSE_SECONDS", 0.0)
    _pack(corpus)
    files = {f"{name}.zip": (corpus / f"{name}.zip").read_bytes() for name in FOLDERS}
    files |= {f"{name}.zip": b"transcripts" for name in TRANSCRIPTS}
    folder, told = tmp_path / "downloaded", []
    with serving(files) as server:
        server.cuts = [20_000, 20_000]
        download_voicebank(folder, server.url, told.append)
        asked = len(server.ranges)
        download_voicebank(folder, server.url, told.append)
    assert asked == len(server.ranges) == 8
    assert "CC BY 4.0" in (folder / "LICENCE.txt").read_text()
    assert _splits(prepare_voicebank(folder, tmp_path / "data", 0, {})) == SPLITS


def test_an_archive_with_a_wrong_checksum_is_called_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.wav", b"sound" * 100)
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"soundsound", b"sounDsound", 1))
    with pytest.raises(CorpusError, match="damaged archive"):
        unpack_recordings(tmp_path / "a.zip", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
