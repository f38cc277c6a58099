"""A disk that is full: one line that names it, nothing torn left, and the same result once there is room."""

import dataclasses
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from cmgan.cli import app
from cmgan.commands.outcome import input_errors
from cmgan.models.tscnet import TSCNet
from cmgan.training import loop
from cmgan.training.accelerator import Tracker
from cmgan.training.run import LOCK
from data_prep.__main__ import main as prepare
from data_prep.audio import write_audio
from tests.commands.called import called
from tests.tiny_training import quietly, tiny_run


def _names(folder):
    """Files under a folder, but for the lock of who is at work in it."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(file for file in files if file != LOCK)


def _assert_told(result, folder):
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1
    assert re.search(
        r"cannot be written \((No space left on device|File too large), .* MB free", result.stderr
    )
    assert str(folder) in result.stderr
    assert "make room and give the same command again" in result.stderr


def test_training_keeps_its_last_good_checkpoint_and_goes_on_to_the_same_bytes(
    manifest, full, monkeypatch, seen
):
    disk, filled = full
    run = tiny_run(manifest, disk / "run", checkpoint_steps=1)
    whole = quietly(dataclasses.replace(run, output=disk / "whole"))
    before = {}
    real_save = loop.save_state

    def save_when_full(state, folder, *given):
        if state.step != 3:
            return real_save(state, folder, *given)
        before.update({name: (folder / name).read_bytes() for name in _names(folder)})
        with filled(100_000):
            return real_save(state, folder, *given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_state", save_when_full)
        result = _train_told(run)
    _assert_told(result, run.unfinished)
    assert {name: (run.unfinished / name).read_bytes() for name in _names(run.unfinished)} == before
    assert torch.load(run.unfinished / "state.pt")["step"] == 2
    quietly(run)
    for name in _names(whole):
        if name != "steps.csv":
            assert (run.output / name).read_bytes() == (whole / name).read_bytes()
    seen(
        "the disk fills up while `cmgan train` writes a checkpoint",
        f"{result.stderr.strip()}; the checkpoint before untouched, nothing torn left, resumed to the same bytes",
    )


def _train_told(run):
    """The run, with its errors as `cmgan train` tells them."""

    def command() -> None:
        with input_errors():
            quietly(run)

    return called(command)


def test_a_log_that_has_no_room_is_named(manifest, full, monkeypatch, seen):
    disk, filled = full
    run = tiny_run(manifest, disk / "run")
    real_step = loop.training_step

    def step_then_full(*given):
        record = real_step(*given)
        stack.enter_context(filled(0))
        return record

    with ExitStack() as stack, monkeypatch.context() as patched:
        patched.setattr(loop, "training_step", step_then_full)
        result = _train_told(run)
    _assert_told(result, run.unfinished / "steps.csv")
    assert (quietly(run) / "generator.pt").exists()
    seen("the disk is full when a step is logged", result.stderr)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_events_that_have_no_room_stop_training_in_one_line(
    manifest, full, tmp_path, monkeypatch, capfd, seen
):
    disk, filled = full
    (disk / "events").mkdir()
    run = dataclasses.replace(tiny_run(manifest, tmp_path / "run", checkpoint_steps=1), tracker="tensorboard")
    run.output.mkdir()
    (run.output / "events").symlink_to(disk / "events")
    whole = quietly(dataclasses.replace(run, output=tmp_path / "whole", tracker=""))
    real_log = Tracker.log

    def log_when_full(tracker, group, values, step):
        if step == 2:
            stack.enter_context(filled(0))
        real_log(tracker, group, values, step)

    capfd.readouterr()
    with ExitStack() as stack, monkeypatch.context() as patched:
        patched.setattr(Tracker, "log", log_when_full)
        result = _train_told(run)
        _assert_told(result, tmp_path)
    assert capfd.readouterr().err == ""
    assert torch.load(run.unfinished / "state.pt")["step"] in (1, 2)
    quietly(run)
    for name in _names(whole):
        if name != "steps.csv":
            assert (run.output / name).read_bytes() == (whole / name).read_bytes()
    happened = f"{result.stderr.strip()}; resumed to the same bytes"
    seen("the disk is full when TensorBoard's events are written", happened)


def test_enhancing_leaves_nothing_torn(full, rng, seen):
    disk, filled = full
    torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), disk / "generator.pt")
    soundfile.write(disk / "noisy.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    before = _names(disk)
    with filled(8_000):
        result = called(app, "enhance", disk / "generator.pt", disk / "noisy.wav", disk / "enhanced.wav")
    _assert_told(result, disk / "enhanced.wav")
    assert _names(disk) == before
    seen("the disk is full when `cmgan enhance` writes", result.stderr)


def test_evaluating_shows_its_numbers_all_the_same(full, rng, seen):
    disk, filled = full
    for side in ("clean", "enhanced"):
        for number in range(2):
            write_audio(disk / side / f"{number}.wav", 0.1 * rng.standard_normal(8_000))
    with filled(0):
        result = called(
            app, "evaluate", disk / "clean", disk / "enhanced", "--workers", 0, "--csv", disk / "scores.csv"
        )
    _assert_told(result, disk / "scores.csv")
    assert "si_sdr" in result.stdout
    assert not (disk / "scores.csv").exists()
    seen("the disk is full when `cmgan evaluate --csv` writes", result.stderr)


def test_data_preparation_leaves_no_manifest_and_goes_on(full, rng, seen):
    disk, filled = full
    for side in ("clean", "noisy"):
        (disk / "given" / side).mkdir(parents=True)
        for name in ("p1_1", "p2_1", "p3_1"):
            soundfile.write(disk / "given" / side / f"{name}.wav", 0.1 * rng.standard_normal(48_000), 48_000)
    words = ["--corpus", "folder", "--path", disk / "given", "--resample", "--workers", 1, "--output"]
    with filled(20_000):
        result = called(prepare, *words, disk / "data")
    _assert_told(result, disk / "data")
    assert not [name for name in _names(disk / "data") if name.endswith(("manifest.csv", ".partial"))]
    assert called(prepare, *words, disk / "data").exit_code == 0
    assert called(prepare, *words, disk / "whole").exit_code == 0
    manifests = [(disk / name / "manifest.csv").read_bytes() for name in ("data", "whole")]
    assert manifests[0] == manifests[1]
    seen("the disk fills up while `data_prep` writes copies", result.stderr.replace("utterance", ""))


def test_a_full_standard_output_is_told_in_one_line(tmp_path, seen):
    torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), tmp_path / "generator.pt")
    soundfile.write(tmp_path / "noisy.wav", np.full(1_600, 0.1), 16_000)
    words = [sys.executable, "-m", "cmgan", "enhance", tmp_path / "generator.pt", tmp_path / "noisy.wav", "-"]
    with Path("/dev/full").open("wb") as nowhere:
        ended = subprocess.run(words, stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    seen("`cmgan enhance … -` into a full disk", ended.stderr)
