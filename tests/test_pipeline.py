from pathlib import Path

import pytest

from cmgan.study.pipeline import checked_profile, only_one

ROOT = Path(__file__).parents[1]


def _refused(corpus="", config=(), profile="laptop"):
    with pytest.raises((ValueError, OSError)) as caught:
        checked_profile(ROOT, profile, corpus, list(config))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_corpus_folder_is_named_before_anything_runs(tmp_path):
    assert "nowhere" in _refused(corpus=str(tmp_path / "nowhere"), profile="study")


def test_a_corpus_given_to_a_synthetic_profile_replaces_the_synthetic_speech(shared_folder):
    profile = checked_profile(ROOT, "laptop", str(shared_folder / "voicebank_demand_sample"), [])
    assert profile.corpus == "folder"
    assert profile.corpus_path == str((shared_folder / "voicebank_demand_sample").resolve())


def test_an_unknown_arm_is_named_before_anything_runs():
    assert "unknown arm 'fixed'" in _refused(config=["arms=[fixed]"])


def test_an_unknown_profile_is_named_before_anything_runs():
    assert "unknown profile 'desktop'" in _refused(profile="desktop")


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_lasts(tmp_path):
    with (
        only_one(tmp_path / "run"),
        pytest.raises(SystemExit, match="another run"),
        only_one(tmp_path / "run"),
    ):
        pytest.fail("both hold the folder")
    with only_one(tmp_path / "run"):
        pass
