"""The command line over all three corpora."""

import re

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.audio import write_audio
from data_prep.manifest import read_manifest
from tests.commands.called import called


@pytest.fixture
def output(tmp_path):
    return tmp_path / "prepared"


def test_recordings_are_prepared_and_their_splits_shown(tmp_path, output):
    recordings = tmp_path / "recordings"
    for kind in ("clean", "noisy"):
        for name in ("p1_1", "p1_2", "p2_1", "p2_2", "p3_1", "p3_2"):
            write_audio(recordings / kind / f"{name}.wav", np.full(1_600, 0.1))
    result = called(main, "--corpus", "folder", "--path", recordings, "--output", output, "--train", 1)
    assert result.exit_code == 0
    assert re.search(r"speakers recognised: 3, such as (p\d) of \1_\d\n", result.output)
    assert "train: 1 utterances, 1 speakers" in result.output
    assert len(read_manifest(output / "manifest.csv")) == 5
    pattern = ("--speaker-pattern", "_(.)$")
    result = called(main, "--corpus", "folder", "--path", recordings, "--output", output, *pattern)
    assert re.search(r"speakers recognised: 2, such as (\d) of p\d_\1\n", result.output)


def test_command_line_makes_synthetic_speech(output):
    counts = ("--train", 1, "--validation", 1, "--test", 1)
    assert called(main, "--output", output, *counts).exit_code == 0
    assert len(read_manifest(output / "manifest.csv")) == 3


def test_command_line_says_errors_in_one_line(tmp_path, output):
    result = called(main, "--corpus", "folder", "--path", tmp_path / "nowhere", "--output", output)
    assert result.exit_code == 1
    assert (
        result.stderr.strip()
        == f"error: {tmp_path / 'nowhere'}: no such folder; check the path of the corpus"
    )


def test_command_line_wants_a_path_and_a_pattern_only_where_they_are_read(output, tmp_path):
    assert called(main, "--corpus", "folder", "--output", output).exit_code == 2
    assert called(main, "--path", tmp_path, "--output", output).exit_code == 2
    assert called(main, "--output", output, "--speaker-pattern", "(.)").exit_code == 2
