import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cmgan.study.comparison.evaluation import evaluate_noisy
from cmgan.study.corpus.preparation import prepare_corpus
from cmgan.study.notebook_parameters import DataParameters, ReportParameters, TrainingParameters
from cmgan.study.pipeline.default_run import newest_run, of_run
from cmgan.study.pipeline.profile import profile_from, read_settings
from data_prep.whole_files import write_table

PROFILES = Path(__file__).parents[3] / "notebooks" / "profiles"
LAPTOP = profile_from(read_settings("laptop", PROFILES, {}))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    shutil.copytree(PROFILES, tmp_path / "notebooks" / "profiles")
    (tmp_path / "notebooks" / "Snakefile").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def leave_run(checkout, name, trained_at, **settings):
    folder = checkout / "results" / name
    network = folder / "training" / "recommended-3" / "generator.pt"
    for file in (network, folder / "report" / "index.html"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    os.utime(network, (trained_at, trained_at))
    profile = read_settings("smoke", PROFILES, {"run": name, **settings})
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    return folder


def training_parameters(**changed):
    return TrainingParameters(**LAPTOP.training_parameters("published", 0) | {"run": ""} | changed)


def test_an_empty_run_is_the_finished_one_that_was_trained_last(checkout):
    leave_run(checkout, "old", 1000)
    leave_run(checkout, "new", 2000)
    (leave_run(checkout, "unfinished", 3000) / "report" / "index.html").unlink()
    (leave_run(checkout, "without_networks", 4000) / "training" / "recommended-3" / "generator.pt").unlink()
    assert newest_run(checkout / "results") == "new"
    said = []
    assert of_run(ReportParameters(run="", arms=[], seeds=[]), said.append).run == "new"
    assert said == ["Run new (the newest finished one)"]


@pytest.mark.usefixtures("checkout")
def test_without_any_finished_run_it_is_the_default_profile():
    assert of_run(training_parameters()) == training_parameters(run="laptop")


def test_defaults_give_way_to_the_settings_of_the_run_and_that_is_said(checkout):
    leave_run(checkout, "tried", 1000, epochs=2)
    said = []
    shown = of_run(training_parameters(run="tried"), said.append)
    assert (shown.epochs, shown.channels) == (2, 16)
    assert said == ["Run tried, with its own epochs 2"]


def test_a_parameter_that_was_given_stays(checkout):
    leave_run(checkout, "tried", 1000, epochs=2)
    assert of_run(training_parameters(epochs=5)).epochs == 5


def test_what_the_pipeline_passes_is_not_touched_and_nothing_is_said(checkout):
    leave_run(checkout, "tried", 1000)
    profile = profile_from(read_settings("smoke", PROFILES, {"run": "tried"}))
    passed = TrainingParameters(**profile.training_parameters("published", 0))
    assert of_run(passed, pytest.fail) == passed


def test_an_arm_that_the_newest_run_lacks_becomes_its_first_but_not_in_a_run_that_was_named(checkout):
    leave_run(checkout, "tried", 1000, arms=["recommended"], seeds=[3])
    assert (of_run(training_parameters()).arm, of_run(training_parameters()).seed) == ("recommended", 3)
    assert of_run(training_parameters(run="tried")).arm == "published"


def test_settings_that_an_older_run_did_not_write_are_the_default_profile_s(checkout):
    folder = leave_run(checkout, "tried", 1000)
    (folder / "profile.yaml").write_text("run: tried\nepochs: 2\nforgotten_setting: 1\n")
    assert of_run(training_parameters()) == training_parameters(run="tried", epochs=2)


@pytest.mark.usefixtures("checkout")
def test_a_prepared_corpus_and_its_scores_are_shown_again_without_being_touched():
    parameters = DataParameters("tried", "synthetic", "", 0, 1, 1, 1)
    manifest = prepare_corpus(parameters)
    scores = evaluate_noisy("tried")
    before = {path: path.stat().st_mtime_ns for path in manifest.parents[1].rglob("*")}
    assert prepare_corpus(parameters) == manifest
    assert evaluate_noisy("tried")["pesq"].tolist() == pytest.approx(scores["pesq"].tolist())
    assert {path: path.stat().st_mtime_ns for path in manifest.parents[1].rglob("*")} == before


@pytest.mark.usefixtures("checkout")
def test_a_corpus_of_other_settings_is_not_overwritten():
    prepare_corpus(DataParameters("tried", "synthetic", "", 0, 1, 0, 0))
    with pytest.raises(ValueError, match="train_utterances 1 there, 2 asked for"):
        prepare_corpus(DataParameters("tried", "synthetic", "", 0, 2, 0, 0))


def test_a_table_that_did_not_change_keeps_its_time(tmp_path):
    frame = pd.DataFrame({"pesq": [1.5, 2.5]})
    path = tmp_path / "table.csv"
    write_table(frame, path)
    os.utime(path, (1000, 1000))
    write_table(frame, path)
    assert path.stat().st_mtime == 1000
    write_table(frame * 2, path)
    assert path.stat().st_mtime > 1000
