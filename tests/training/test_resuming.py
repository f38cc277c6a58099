import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pandas.testing import assert_frame_equal

from cmgan.study.arms import arm
from cmgan.training import loop
from cmgan.training.checkpoints import CURRENT, PREVIOUS
from cmgan.training.loop import train
from tests.tiny_corpus import write_tiny_corpus
from tests.tiny_training import quietly, tiny_run

ROOT = Path(__file__).parents[2]
ARM = "skip_56"
TABLES = ("steps", "epochs", "validation")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_tiny_corpus(
        tmp_path_factory.mktemp("corpus"), np.random.default_rng(0), utterances=9, held_out=3
    )


def _start(manifest, output, batch_size=1, processes=1, arm_name=ARM, killed_at=0):
    words = [str(word) for word in (manifest, output, batch_size, processes, arm_name, killed_at)]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [
        sys.executable,
        *(launcher if processes > 1 else []),
        "-m",
        "tests.training.train_without_dropout",
        *words,
    ]
    # One thread each, and no GPU: the processes talk through gloo.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def whole(manifest, tmp_path_factory):
    """The run that nobody interrupts: two epochs of six steps."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert _start(manifest, output).returncode == 0
    return output


def _logs(folder):
    steps = [line.rsplit(",", 1)[0] for line in (folder / "steps.csv").read_text().splitlines()]
    return steps, *((folder / name).read_bytes() for name in ("epochs.csv", "validation.csv"))


def _tables(folder):
    return [pd.read_csv(folder / f"{name}.csv").drop(columns="seconds", errors="ignore") for name in TABLES]


def _weights(folder, name="generator.pt"):
    return torch.load(folder / name, weights_only=True)


def _assert_same(folder, whole):
    """All but the column `seconds`, the last one, which tells the time."""
    assert _logs(folder) == _logs(whole)
    for name in ("generator.pt", "generator_best.pt"):
        pairs = zip(_weights(folder, name).values(), _weights(whole, name).values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())


def test_killed_again_and_again_a_run_ends_with_the_same_bytes(manifest, whole, tmp_path):
    for killed_at in np.random.default_rng(5).integers(3, 22, 2):
        assert _start(manifest, tmp_path / "run", killed_at=killed_at).returncode == -signal.SIGKILL
    assert _start(manifest, tmp_path / "run").returncode == 0
    _assert_same(tmp_path / "run", whole)


def _interrupted(manifest, output, monkeypatch, after, **budget):
    """A run cut off after some steps, with a checkpoint after each update; returns it."""
    run = tiny_run(manifest, output, arm("shuffled_labels"), 1, channels=8, **budget)
    real_step, calls = loop.training_step, []

    def step(*given):
        calls.append(given)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real_step(*given)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "training_step", step)
        with pytest.raises(KeyboardInterrupt):
            quietly(run)
    return run


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(manifest, tmp_path, monkeypatch):
    cut_off = _interrupted(manifest, tmp_path / "whole", monkeypatch, after=0)
    quietly(cut_off)
    run = _interrupted(manifest, tmp_path / "run", monkeypatch, after=5)
    current = run.unfinished / CURRENT
    current.write_bytes(current.read_bytes()[:1000])
    os.utime(run.unfinished / "config.json", (1, 1))
    told = []
    train(run, report=told.append)
    assert "going on after step 4" in told[0]
    assert PREVIOUS in told[0]
    # Were it written anew, an interruption meanwhile would take the checkpoints for another run's.
    assert (tmp_path / "run" / "config.json").stat().st_mtime == 1
    _assert_same(tmp_path / "run", tmp_path / "whole")


def test_the_last_good_checkpoint_outlives_the_next_one_after_a_torn_one(manifest, tmp_path, monkeypatch):
    run = _interrupted(manifest, tmp_path / "run", monkeypatch, after=3)
    current, previous = (run.unfinished / name for name in (CURRENT, PREVIOUS))
    current.write_bytes(current.read_bytes()[:1000])
    good = previous.read_bytes()
    _interrupted(manifest, tmp_path / "run", monkeypatch, after=1)
    assert previous.read_bytes() == good
    assert torch.load(current, weights_only=True)["step"] == 3


def test_a_run_that_accumulates_gradients_resumes_to_the_same_bytes(manifest, tmp_path, monkeypatch):
    # Six crops an epoch, four an update: the fifth and sixth make a smaller one.
    settings = {"batch_size": 1, "gradient_accumulation": 4}
    quietly(_interrupted(manifest, tmp_path / "whole", monkeypatch, 0, **settings))
    run = _interrupted(manifest, tmp_path / "run", monkeypatch, 5, **settings)
    assert torch.load(run.unfinished / CURRENT, weights_only=True)["step"] == 4
    quietly(run)
    _assert_same(tmp_path / "run", tmp_path / "whole")
    norms = pd.read_csv(tmp_path / "run" / "steps.csv")["gradient_norm_generator"]
    assert (norms.notna().to_numpy().nonzero()[0] + 1).tolist() == [4, 6, 10, 12]


def _interrupting_move(output, number):
    """Path.replace that is cut off before the move `number` (from 0) into a folder."""
    real_replace, left = Path.replace, [number]

    def replace(source, target):
        left[0] -= target.parent == output
        if left[0] < 0:
            raise KeyboardInterrupt
        return real_replace(source, target)

    return replace


def test_an_interruption_while_results_move_up_changes_none_of_them(manifest, tmp_path, monkeypatch):
    run = _interrupted(manifest, tmp_path / "whole", monkeypatch, after=0)
    run = dataclasses.replace(run, keep_state=True)
    quietly(run)
    output = tmp_path / "run"
    again, moves = dataclasses.replace(run, output=output), 0
    while True:
        if moves:
            shutil.copytree(tmp_path / "before", output)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", _interrupting_move(output, moves))
            try:
                quietly(again)
                break
            except KeyboardInterrupt:
                pass
        if not moves:
            shutil.copytree(output, tmp_path / "before")
        quietly(again)
        _assert_same(output, tmp_path / "whole")
        shutil.rmtree(output)
        moves += 1
    assert moves == 8


def test_without_a_checkpoint_that_can_be_read_training_says_what_to_remove(manifest, tmp_path, monkeypatch):
    run = _interrupted(manifest, tmp_path / "run", monkeypatch, after=2)
    for name in (CURRENT, PREVIOUS):
        (run.unfinished / name).write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"state\.pt and state_previous\.pt cannot be read: remove"):
        quietly(run)


def test_a_checkpoint_of_another_run_is_refused(manifest, tmp_path, monkeypatch):
    run = _interrupted(manifest, tmp_path / "run", monkeypatch, after=2)
    foreign = torch.load(run.unfinished / CURRENT, weights_only=True) | {"identity": "another"}
    torch.save(foreign, run.unfinished / CURRENT)
    with pytest.raises(ValueError, match="is of another run"):
        quietly(run)


def test_two_processes_train_as_one_with_the_same_global_batch(manifest, tmp_path):
    # The process whose one crop fails has no label left; the other goes on.
    one, two = (tmp_path / name for name in ("one", "two"))
    assert _start(manifest, one, batch_size=2, arm_name="mask_56").returncode == 0
    ended = _start(manifest, two, batch_size=1, processes=2, arm_name="mask_56")
    assert ended.returncode == 0, ended.stderr[-2000:]
    steps, epochs, validation = zip(*(_tables(folder) for folder in (one, two)), strict=True)
    assert_frame_equal(*(frame.iloc[:2] for frame in steps), rtol=1e-3, atol=1e-5)
    # Float errors grow with every step of two networks that train against each other.
    terms = [
        "loss_real_imaginary",
        "loss_magnitude",
        "loss_time",
        "loss_total",
        "gain",
        "pesq_mean",
        "pesq_failures",
    ]
    assert_frame_equal(*(frame[terms] for frame in steps), rtol=1e-2, atol=1e-4)
    assert_frame_equal(*(frame[["epoch", "step", "utterances", "pesq"]] for frame in epochs), rtol=1e-2)
    assert [frame["id"].tolist() for frame in validation] == [["u6", "u7", "u8"] * 2] * 2
    assert list(_weights(one)) == list(_weights(two))


def test_a_run_for_two_processes_is_refused_in_one(manifest, tmp_path):
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.training.train_without_dropout",
            str(manifest),
            str(tmp_path),
            "1",
            "2",
            ARM,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--nproc_per_node 2" in ended.stderr


def test_a_run_that_went_on_where_networks_are_computed_otherwise_names_both(manifest, tmp_path, monkeypatch):
    run = _interrupted(manifest, tmp_path / "run", monkeypatch, after=5)
    here = json.loads((run.unfinished / "config.json").read_text())["arithmetic"]
    monkeypatch.setattr("cmgan.training.run.arithmetic", lambda: "torch on another machine")
    told = []
    train(run, report=told.append)
    assert "going on after step" in told[0]
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["arithmetic"]
    assert recorded == [*here, "torch on another machine"]
