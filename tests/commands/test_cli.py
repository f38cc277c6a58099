"""The `cmgan` command as scripts and people use it: what comes out, where, and with which exit code."""

import io
import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from cmgan.cli import app
from cmgan.models.tscnet import TSCNet
from tests.simulated_run import simulate_run
from tests.speech_like import noisy_copy, speech_like
from tests.tiny_corpus import write_tiny_corpus

DONE, INPUT_ERROR, USAGE, INCOMPLETE = 0, 1, 2, 3


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "generator.pt"
    torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), path)
    return path


@pytest.fixture
def noisy(tmp_path, rng):
    soundfile.write(tmp_path / "noisy.wav", 0.1 * rng.standard_normal(4_410), 22_050)
    return tmp_path / "noisy.wav"


@pytest.fixture
def corpus(tmp_path, rng):
    """clean/ and enhanced/ with two utterances of 1 s each."""
    for number in range(2):
        clean = speech_like(rng, 1.0)
        for folder, wave in (("clean", clean), ("enhanced", noisy_copy(rng, clean))):
            (tmp_path / folder).mkdir(exist_ok=True)
            soundfile.write(tmp_path / folder / f"u{number}.wav", wave, 16_000)
    return tmp_path


def _call(*words, stdin=None):
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


@pytest.mark.parametrize("command", ["enhance", "evaluate", "train", "diagnose", "watch", "export"])
def test_every_help_shows_examples_and_exit_codes(command):
    result = _call(command, "--help")
    assert result.exit_code == DONE
    assert "Examples:" in result.output
    assert f"cmgan {command} " in result.output
    assert "Exit codes: 0 done; 1 " in result.output


def test_the_version_is_the_packages():
    assert _call("--version").output == f"cmgan {version('cmgan-study')}\n"


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "cmgan di", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "cmgan di"}),
    ],
)
def test_a_shell_completes_commands(shell, asked):
    env = {"_CMGAN_COMPLETE": f"complete_{shell}", **asked}
    offered = CliRunner().invoke(app, env=env, prog_name="cmgan").output
    assert "diagnose" in offered
    assert "enhance" not in offered


def test_enhance_writes_a_recording_of_the_same_rate_and_length(weights, noisy, tmp_path):
    result = _call("enhance", weights, noisy, tmp_path / "enhanced.wav")
    assert result.exit_code == DONE, result.output
    samples, rate = soundfile.read(tmp_path / "enhanced.wav")
    assert (len(samples), rate) == (4_410, 22_050)


def test_enhance_goes_through_a_folder_and_says_which_file_is_unusable(weights, tmp_path, rng):
    (tmp_path / "noisy").mkdir()
    soundfile.write(tmp_path / "noisy" / "a.wav", 0.1 * rng.standard_normal(1_600), 16_000)
    (tmp_path / "noisy" / "b.wav").write_text("no audio")
    result = _call("enhance", weights, tmp_path / "noisy", tmp_path / "enhanced", "--json")
    assert result.exit_code == INCOMPLETE
    first, second = json.loads(result.stdout)
    assert (first["error"], first["seconds"]) == ("", 0.1)
    assert "b.wav" in second["error"]
    assert "b.wav" in result.stderr
    assert np.isfinite(soundfile.read(tmp_path / "enhanced" / "a.wav")[0]).all()


def test_enhance_takes_several_recordings_into_a_folder(weights, noisy, tmp_path):
    other = tmp_path / "other.wav"
    other.write_bytes(noisy.read_bytes())
    assert _call("enhance", weights, noisy, other, tmp_path / "enhanced").exit_code == DONE
    assert sorted(path.name for path in (tmp_path / "enhanced").iterdir()) == ["noisy.wav", "other.wav"]


def test_enhance_from_stdin_to_stdout_gives_what_it_writes_to_a_file(weights, noisy, tmp_path):
    piped = _call("enhance", weights, "-", "-", stdin=noisy.read_bytes())
    assert piped.exit_code == DONE, piped.stderr
    _call("enhance", weights, noisy, tmp_path / "enhanced.wav")
    np.testing.assert_array_equal(
        soundfile.read(io.BytesIO(piped.stdout_bytes))[0], soundfile.read(tmp_path / "enhanced.wav")[0]
    )


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_enhance_from_stdin_to_a_file_leaves_it_whole_or_not_at_all(weights, noisy, tmp_path, suffix):
    target = tmp_path / f"enhanced{suffix}"
    assert _call("enhance", weights, "-", target, stdin=b"no audio").exit_code == INPUT_ERROR
    assert not target.exists()
    assert _call("enhance", weights, "-", target, stdin=noisy.read_bytes()).exit_code == DONE
    assert len(soundfile.read(target)[0]) == 4_410


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["noisy.wav"], "target is missing"),
        (["-", "other.wav", "out"], "one recording"),
        (["a/x.wav", "b/x.wav", "out"], "same name"),
        (["-", "-", "--json"], "stdout cannot take both"),
    ],
)
def test_wrong_usage_of_enhance_is_told_before_anything_is_read(paths, said):
    result = _call("enhance", "absent.pt", *paths)
    assert result.exit_code == USAGE
    assert said in result.stderr


def test_weights_that_are_none_are_named_in_one_line(tmp_path):
    (tmp_path / "generator.pt").write_text("no weights")
    result = _call("enhance", tmp_path / "generator.pt", "noisy.wav", "enhanced.wav")
    assert result.exit_code == INPUT_ERROR
    assert "generator.pt" in result.stderr
    assert result.stderr.count("\n") == 1


def test_evaluate_prints_means_with_intervals_and_writes_a_row_per_file(corpus, tmp_path):
    result = _call(
        "evaluate", corpus / "clean", corpus / "enhanced", "--csv", tmp_path / "scores.csv", "--workers", 0
    )
    assert result.exit_code == DONE, result.output
    rows = pd.read_csv(tmp_path / "scores.csv")
    assert rows["id"].tolist() == ["u0", "u1"]
    line = next(line for line in result.stdout.splitlines() if line.startswith("pesq"))
    assert f"{rows['pesq'].mean():.3f}" in line
    assert line.split()[-1] == "2"


def test_evaluate_names_files_that_cannot_be_scored_and_scores_the_others(corpus):
    soundfile.write(corpus / "clean" / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(corpus / "enhanced" / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(corpus / "enhanced" / "unpaired.wav", np.zeros(16_000), 16_000)
    soundfile.write(corpus / "enhanced" / "u1.wav", np.zeros(16_000), 8_000)
    result = _call("evaluate", corpus / "clean", corpus / "enhanced", "--json", "--workers", 0)
    assert result.exit_code == INCOMPLETE
    told = json.loads(result.stdout)
    reasons = {row["id"]: row["reasons"] for row in told["rows"]}
    assert reasons["u0"] == ""
    assert "no clean file" in reasons["unpaired"]
    assert "8000 Hz" in reasons["u1"]
    assert "silent" in reasons["silent"] or "no utterance" in reasons["silent"]
    assert told["metrics"]["pesq"]["files"] == 1
    assert told["metrics"]["pesq"]["low"] is None, "one file has no interval"


def test_evaluate_takes_two_files(corpus):
    result = _call(
        "evaluate", corpus / "clean" / "u0.wav", corpus / "enhanced" / "u0.wav", "--json", "--workers", 0
    )
    assert result.exit_code == DONE
    assert json.loads(result.stdout)["files"] == 1


@pytest.mark.parametrize(
    ("clean", "enhanced", "said"),
    [
        ("absent", "enhanced", "absent"),
        ("clean/u0.wav", "enhanced", "two folders"),
        (".", "generators", "no such file"),
    ],
)
def test_evaluate_says_what_is_wrong_with_its_input(clean, enhanced, said, corpus):
    result = _call("evaluate", corpus / clean, corpus / enhanced)
    assert result.exit_code == INPUT_ERROR
    assert said in result.stderr


def test_diagnose_ends_with_another_code_when_there_is_a_cause(tmp_path):
    healthy = tmp_path / "healthy.log"
    healthy.write_text("".join(f"Epoch 6, Step {n}, loss: 0.0{50 + n}, disc_loss: 0.01\n" for n in range(20)))
    result = _call("diagnose", healthy)
    assert result.exit_code == DONE, result.output
    assert "Nothing found" in result.stdout
    skipping = tmp_path / "skipping.log"
    skipping.write_text(healthy.read_text().replace("disc_loss: 0.01", "disc_loss: 0.000000"))
    result = _call("diagnose", skipping, "--json")
    assert result.exit_code == INCOMPLETE
    (told,) = json.loads(result.stdout)
    assert told["causes"] == ["100.0 % of the discriminator's steps are skipped"]


def test_diagnose_shows_each_run_of_a_folder(tmp_path):
    root = simulate_run(tmp_path / "run", seeds=(0,), epochs=6, utterances=4)
    result = _call("diagnose", root / "training", "--json")
    told = {run["name"]: run for run in json.loads(result.stdout)}
    assert set(told) == {"published-0", "normalised_target-0"}
    fallen = [finding["title"] for finding in told["published-0"]["findings"]]
    assert "PESQ fell after epoch 4" in fallen


def test_diagnose_outside_a_checkout_names_no_verdicts(tmp_path, monkeypatch):
    log = tmp_path / "train.log"
    log.write_text("Epoch 0, Step 500, loss: 0.1, disc_loss: 0.0\n")
    assert json.loads(_call("diagnose", log, "--json").stdout)[0]["claim_verdicts"]["C12"] == "supported"
    monkeypatch.chdir(tmp_path)
    result = _call("diagnose", log, "--json")
    assert result.exit_code in (DONE, INCOMPLETE), result.stderr
    assert json.loads(result.stdout)[0]["claim_verdicts"] == {}


def test_diagnose_takes_code_alone_and_does_not_execute_it(tmp_path):
    code = tmp_path / "model.py"
    code.write_text("raise SystemExit(9)\ndef batch_pesq(scores):\n    return None\n")
    result = _call("diagnose", "--model-code", code)
    assert result.exit_code == INCOMPLETE
    assert f"{code}:3" in result.stdout


def test_diagnose_without_anything_or_with_impossible_weights_is_wrong_usage(tmp_path):
    assert _call("diagnose").exit_code == USAGE
    (tmp_path / "a.log").write_text("Step 1, loss: 0.1\n")
    assert _call("diagnose", tmp_path / "a.log", "--loss-weights", "0.1,0.9").exit_code == USAGE
    assert _call("diagnose", tmp_path / "absent.log").exit_code == INPUT_ERROR


def test_training_on_a_missing_manifest_says_where_it_comes_from(tmp_path):
    result = _call("train", tmp_path / "manifest.csv", tmp_path / "run")
    assert result.exit_code == INPUT_ERROR
    assert "01_data_preparation" in result.stderr


def test_training_an_unknown_arm_lists_the_arms(tmp_path):
    result = _call("train", tmp_path / "manifest.csv", tmp_path / "run", "--arm", "fixed")
    assert result.exit_code == USAGE
    assert "normalised_target" in result.stderr


def test_training_in_an_unknown_precision_names_those_there_are(tmp_path):
    result = _call("train", tmp_path / "manifest.csv", tmp_path / "run", "--mixed-precision", "half")
    assert result.exit_code == USAGE
    assert "no, bf16, fp16" in result.stderr


def test_the_names_others_rely_on_are_importable_from_the_package():
    import cmgan

    assert all(getattr(cmgan, name) for name in ("TSCNet", "MetricDiscriminator", "enhance"))
    with pytest.raises(AttributeError, match="no attribute 'Generator'"):
        _ = cmgan.Generator


def test_train_goes_from_a_manifest_to_a_generator_that_enhances_and_a_log_that_is_diagnosed(
    tmp_path, rng, noisy
):
    manifest = write_tiny_corpus(tmp_path, rng)
    run = tmp_path / "run"
    small = ["--channels", 4, "--blocks", 1, "--epochs", 1, "--batch-size", 2, "--crop-seconds", 0.5]
    small += ["--gradient-accumulation", 2]
    result = _call("train", manifest, run, *small, "--pesq-workers", 0, "--json")
    assert result.exit_code == DONE, result.output
    told = json.loads(result.stdout)
    assert told["last_epoch"]["epoch"] == 1
    assert json.loads((run / "config.json").read_text())["budget"]["gradient_accumulation"] == 2
    assert _call("enhance", told["generator"], noisy, tmp_path / "enhanced.wav").exit_code == DONE
    assert _call("diagnose", run).exit_code in (DONE, INCOMPLETE)
    again = _call("train", manifest, run, *small, "--seed", 1)
    assert again.exit_code == INPUT_ERROR
    assert "other settings" in again.stderr


def test_export_writes_the_weights_under_the_public_names(weights, tmp_path):
    result = _call("export", weights, tmp_path / "ckpt")
    assert result.exit_code == DONE
    assert result.stdout == f"TSCNet: {tmp_path / 'ckpt'}\n"
    exported = torch.load(tmp_path / "ckpt")
    assert exported
    for name, values in torch.load(weights).items():
        torch.testing.assert_close(exported.pop(name), values)
    assert not exported


def test_diagnosing_a_log_and_scoring_files_do_not_wait_for_torch():
    code = "import sys, cmgan.diagnosis.causes, cmgan.metrics.evaluation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
