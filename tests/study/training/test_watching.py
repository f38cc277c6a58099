"""Trainings watched from their logs."""

import json
import os
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cmgan.cli import app
from cmgan.study.training.watching import standings_of, summary
from tests.simulated_run import STEPS_PER_EPOCH

EPOCHS = 12


@pytest.fixture
def run(simulated, tmp_path):
    """A run with one training finished, one in its ninth epoch after 170 s, and two waiting."""
    finished, root = simulated.root, tmp_path / "run"
    whole, part = finished / "training" / "published-0", root / "training" / "published-1" / "unfinished"
    (root / "training").mkdir(parents=True)
    (root / "training" / "published-0").symlink_to(whole)
    for name in ("profile.yaml", "timing.csv"):
        (root / name).symlink_to(finished / name)
    part.mkdir(parents=True)
    for name, rows in (("steps", 8 * STEPS_PER_EPOCH + 10), ("epochs", 8)):
        pd.read_csv(whole / f"{name}.csv")[:rows].to_csv(part / f"{name}.csv", index=False)
    config = json.loads((whole / "config.json").read_text())
    (part / "config.json").write_text(json.dumps(config | {"name": "published-1"}))
    logged = time.time() - 130
    os.utime(part / "config.json", (logged - 170, logged - 170))
    os.utime(part / "steps.csv", (logged, logged))
    return root


def test_the_unfinished_training_is_read_with_its_pace(run):
    (one,) = standings_of(run / "training" / "published-1")
    assert (one.epoch, one.epochs) == (9, EPOCHS)
    assert (one.step, one.steps) == (8 * STEPS_PER_EPOCH + 10, EPOCHS * STEPS_PER_EPOCH)
    assert one.seconds_left == pytest.approx(70)
    assert one.silent_seconds == pytest.approx(130, abs=10)


def test_the_best_epoch_is_that_of_the_highest_pesq(run):
    (one,) = standings_of(run / "training" / "published-0")
    epochs = pd.read_csv(run / "training" / "published-0" / "epochs.csv")
    assert one.finished
    assert one.seconds_left == 0
    assert one.best_pesq == pytest.approx(epochs["pesq"].max())
    assert one.best_epoch == epochs["epoch"][epochs["pesq"].idxmax()]
    assert one.pesq == pytest.approx(epochs["pesq"].iloc[-1])


def test_a_row_that_is_being_written_is_not_read(run):
    log = run / "training" / "published-1" / "unfinished" / "steps.csv"
    (before,) = standings_of(run / "training" / "published-1")
    with log.open("a") as file:
        file.write("9,171,0.1")
    (after,) = standings_of(run / "training" / "published-1")
    assert after.step == before.step


def test_a_long_log_is_read_from_its_end(run):
    log = run / "training" / "published-1" / "unfinished" / "steps.csv"
    rows = pd.read_csv(log)
    pd.concat([rows] * 40).assign(step=np.arange(1, 40 * len(rows) + 1)).to_csv(log, index=False)
    assert log.stat().st_size > 1_000_000
    (one,) = standings_of(run / "training" / "published-1")
    assert one.step == 40 * len(rows)


def test_the_first_epoch_has_neither_pesq_nor_an_end_in_sight(run):
    folder = run / "training" / "published-1"
    (folder / "unfinished" / "epochs.csv").unlink()
    (one,) = standings_of(folder)
    assert np.isnan([one.pesq, one.best_pesq, one.seconds_left]).all()


def test_the_summary_counts_those_that_wait_at_the_time_of_those_that_finished(run):
    standings = standings_of(run)
    assert [one.name for one in standings] == ["published-1", "published-0"]
    # One at a time: 70 s of this one, then two of 61 s (timing.csv).
    assert (
        summary(standings, run) == "1 of 4 trainings finished, 1 at work; about 3 min 12 s of training left"
    )


def test_watch_prints_a_line_a_training_once_when_piped(run):
    result = CliRunner().invoke(app, ["watch", str(run)])
    assert result.exit_code == 0
    header, working, done, last = result.stdout.splitlines()
    assert "PESQ" in header
    assert "170/240" in working
    assert "1 min 10 s" in working
    assert done.endswith("finished")
    assert last.startswith("1 of 4 trainings finished, 1 at work")


def test_watch_prints_json(run):
    result = CliRunner().invoke(app, ["watch", str(run / "training" / "published-1"), "--json"])
    (one,) = json.loads(result.stdout)
    assert one["name"] == "published-1"
    assert one["step"] == 170


def test_watch_of_a_folder_without_trainings_says_so(tmp_path):
    result = CliRunner().invoke(app, ["watch", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no training" in result.stderr
