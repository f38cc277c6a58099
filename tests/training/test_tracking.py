"""Watching a run: what reaches TensorBoard, and that the run is the same without it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from cmgan.diagnosis.reading import read_runs
from cmgan.recipe import Recipe
from tests.tiny_corpus import write_tiny_corpus
from tests.tiny_training import quietly, tiny_run

RECIPE = Recipe(labels="skip_batch", injected_failure_rate=0.5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of one run trained twice: watched, and not."""
    root = tmp_path_factory.mktemp("runs")
    manifest = write_tiny_corpus(root, np.random.default_rng(0))
    watched = dataclasses.replace(tiny_run(manifest, root / "watched", RECIPE), tracker="tensorboard")
    alone = dataclasses.replace(watched, output=root / "alone", tracker="")
    return [quietly(run) for run in (watched, alone)]


def test_watching_changes_nothing(runs):
    watched, alone = runs
    for name in ("epochs.csv", "steps.csv"):
        first, second = (
            pd.read_csv(folder / name).drop(columns="seconds", errors="ignore") for folder in runs
        )
        pd.testing.assert_frame_equal(first, second)
    assert (watched / "config.json").read_text() == (alone / "config.json").read_text()
    assert not (alone / "events").exists()


def test_the_events_tell_what_the_logs_tell(runs):
    watched, _ = runs
    (events,), (logs,) = read_runs([watched / "events"]), read_runs([watched])
    for column in ("loss", "disc_loss", "skipped", "time_loss", "gain"):
        np.testing.assert_allclose(events.steps[column], logs.steps[column], rtol=1e-5)
    for column in ("pesq", "validation_loss"):
        np.testing.assert_allclose(events.epochs[column], logs.epochs[column], rtol=1e-5)


def test_one_validation_clip_sounds_every_epoch_at_the_level_of_its_recording(runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(runs[0] / "events"), size_guidance={"audio": 0})
    accumulator.Reload()
    (tag,) = accumulator.Tags()["audio"]
    sounds = accumulator.Audio(tag)
    assert tag == "sound/u4"
    assert [sound.step for sound in sounds] == [2, 4]
    assert all(sound.sample_rate == 16_000 for sound in sounds)


def test_a_tracker_that_is_not_there_is_refused_before_training(tmp_path, rng):
    manifest = write_tiny_corpus(tmp_path, rng)
    with pytest.raises(ValueError, match="'chalkboard' is not available"):
        quietly(dataclasses.replace(tiny_run(manifest, tmp_path / "run", RECIPE), tracker="chalkboard"))
    assert not (tmp_path / "run").exists()
