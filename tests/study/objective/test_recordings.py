"""What the objective asks for on recordings of one's own, through the command."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from cmgan.cli import app
from cmgan.study.objective.clips import gains_of_files, recorded_pairs
from data_prep.folder import CorpusError

RUNNER = CliRunner()


def _corpus(folder, level=1.0, count=2, seconds=1.0):
    for side in ("clean", "noisy"):
        (folder / side).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        time = np.arange(round(seconds * 16_000)) / 16_000
        tone = sum(np.sin(2 * np.pi * (120 + 30 * number) * k * time + k * k) / k for k in range(1, 25))
        clean = tone * (np.sin(2 * np.pi * 2 * time) > -0.6)
        clean *= level / np.sqrt(np.mean(clean**2))
        noisy = clean + 0.2 * level * rng.standard_normal(len(clean))
        # Floats: a file at RMS 1 has samples beyond ±1.
        soundfile.write(folder / "clean" / f"p{number}_1.wav", clean, 16_000, subtype="FLOAT")
        soundfile.write(folder / "noisy" / f"p{number}_1.wav", noisy, 16_000, subtype="FLOAT")
    return folder


def _objective(folder, exit_code):
    result = RUNNER.invoke(app, ["diagnose", "--recordings", str(folder), "--json"])
    assert result.exit_code == exit_code, result.output
    (diagnosis,) = json.loads(result.stdout)
    (finding,) = [one for one in diagnosis["findings"] if one["subject"] == "objective"]
    return finding


def test_quiet_recordings_are_told_their_gain_and_both_repairs(tmp_path):
    finding = _objective(_corpus(tmp_path / "quiet", level=0.05), exit_code=3)
    numbers = finding["numbers"]
    assert numbers["gain_median"] == pytest.approx(20, rel=0.1)
    assert numbers["pesq_minimum"] < numbers["pesq_minimum_normalised"] - 0.1
    assert numbers["pesq_minimum_rms_1"] == pytest.approx(numbers["pesq_minimum_normalised"], abs=0.1)
    assert "clean·c" in finding["change"]
    assert "RMS 1" in finding["change"]


def test_recordings_at_rms_1_come_to_no_harm(tmp_path):
    assert _objective(_corpus(tmp_path / "loud", level=0.98), exit_code=0)["weight"] == "clear"


def test_gains_are_one_over_rms_and_silent_files_have_none(tmp_path):
    folder = _corpus(tmp_path, level=0.1)
    silent = np.zeros(16_000)
    for side in ("clean", "noisy"):
        soundfile.write(folder / side / "silent.wav", silent, 16_000)
    gains = gains_of_files(folder)
    assert len(gains) == 2
    assert gains == pytest.approx([1 / (0.1 * np.sqrt(1.04))] * 2, rel=0.02)


def test_a_missing_noisy_file_is_named(tmp_path):
    folder = _corpus(tmp_path)
    (folder / "noisy" / "p1_1.wav").unlink()
    with pytest.raises(CorpusError, match=r"1 files without a counterpart .*p1_1\.wav"):
        recorded_pairs(folder)


@pytest.mark.parametrize(
    ("prepare", "named"),
    [
        (lambda _: None, "none: no such folder"),
        (
            lambda folder: [(folder / side).mkdir(parents=True) for side in ("clean", "noisy")],
            "no WAV or FLAC files in it",
        ),
    ],
)
def test_a_folder_without_recordings_ends_in_one_line(tmp_path, prepare, named):
    folder = tmp_path / "none"
    prepare(folder)
    result = RUNNER.invoke(app, ["diagnose", "--recordings", str(folder)])
    assert result.exit_code == 1
    assert named in result.output
    assert "Traceback" not in result.output


def test_a_silent_clip_is_named(tmp_path):
    folder = _corpus(tmp_path)
    soundfile.write(folder / "clean" / "p0_1.wav", np.zeros(16_000), 16_000)
    result = RUNNER.invoke(app, ["diagnose", "--recordings", str(folder)])
    assert result.exit_code == 1
    assert "p0_1: the clip is silent" in result.output
