import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from cmgan.cli import app
from cmgan.generator import TSCNet


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "generator.pt"
    torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), path)
    return path


def _call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_enhance_writes_a_recording_of_the_same_rate_and_length(weights, tmp_path, rng):
    soundfile.write(tmp_path / "noisy.wav", 0.1 * rng.standard_normal(4_410), 22_050)
    result = _call("enhance", weights, tmp_path / "noisy.wav", tmp_path / "enhanced.wav")
    assert result.exit_code == 0, result.output
    samples, rate = soundfile.read(tmp_path / "enhanced.wav")
    assert (len(samples), rate) == (4_410, 22_050)


def test_enhance_goes_through_a_folder_and_fails_only_for_the_file_that_is_unusable(weights, tmp_path, rng):
    (tmp_path / "noisy").mkdir()
    soundfile.write(tmp_path / "noisy" / "a.wav", 0.1 * rng.standard_normal(1_600), 16_000)
    (tmp_path / "noisy" / "b.wav").write_text("no audio")
    result = _call("enhance", weights, tmp_path / "noisy", tmp_path / "enhanced")
    assert result.exit_code == 1
    assert "b.wav" in result.output
    assert np.isfinite(soundfile.read(tmp_path / "enhanced" / "a.wav")[0]).all()


def test_weights_that_are_none_are_named_in_one_line(tmp_path):
    (tmp_path / "generator.pt").write_text("no weights")
    result = _call("enhance", tmp_path / "generator.pt", "noisy.wav", "enhanced.wav")
    assert result.exit_code == 2
    assert "generator.pt" in result.output


def test_training_on_a_missing_manifest_says_where_it_comes_from(tmp_path):
    result = _call("train", tmp_path / "manifest.csv", tmp_path / "run")
    assert result.exit_code == 2
    assert "01_data_preparation" in result.output


def test_training_an_unknown_arm_lists_the_arms(tmp_path):
    result = _call("train", tmp_path / "manifest.csv", tmp_path / "run", "--arm", "fixed")
    assert result.exit_code == 2
    assert "normalised_target" in result.output


def test_the_names_others_rely_on_are_importable_from_the_package():
    import cmgan

    assert all(getattr(cmgan, name) for name in ("TSCNet", "MetricDiscriminator", "enhance"))
    with pytest.raises(AttributeError, match="no attribute 'Generator'"):
        _ = cmgan.Generator
