"""How a notebook comes by its parameters: what was given stays, what was not is the run's."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cmgan.study.comparison.evaluation import evaluate_noisy
from cmgan.study.corpus.preparation import prepare_corpus
from cmgan.study.notebook_parameters import (
    DataParameters,
    EvaluationParameters,
    LogsParameters,
    ReportParameters,
    TrainingParameters,
    job_parameters,
    newest_run,
    read_parameters,
)
from cmgan.study.profile import profile_from, read_settings

PROFILES = Path(__file__).parents[2] / "notebooks" / "profiles"
LAPTOP = profile_from(read_settings("laptop", PROFILES, {}))
NOTHING_GIVEN = dict.fromkeys(job_parameters(TrainingParameters, LAPTOP))
LOGS = {"run": "tried", "training_logs": "", "results": "", "rated_utterances": 12}


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


def training_parameters(report=print, **given):
    return read_parameters(TrainingParameters, NOTHING_GIVEN | given, report)


def test_without_a_run_it_is_the_finished_one_that_was_trained_last(checkout):
    leave_run(checkout, "old", 1000)
    leave_run(checkout, "new", 2000)
    (leave_run(checkout, "unfinished", 3000) / "report" / "index.html").unlink()
    (leave_run(checkout, "without_networks", 4000) / "training" / "recommended-3" / "generator.pt").unlink()
    assert newest_run(checkout / "results") == "new"
    said = []
    shown = read_parameters(ReportParameters, {"run": None, "arms": [], "seeds": []}, said.append)
    assert shown == ReportParameters(run="new")
    assert said == ["Run new (the newest finished one)"]


@pytest.mark.usefixtures("checkout")
def test_without_any_finished_run_it_is_the_default_profile():
    assert training_parameters() == TrainingParameters(**job_parameters(TrainingParameters, LAPTOP))


def test_what_was_not_given_is_the_run_s_and_that_is_said(checkout):
    leave_run(checkout, "tried", 1000, arms=["recommended"], seeds=[3], audio_files=2)
    said = []
    given = {"run": "tried", "checkpoint": "generator_best.pt"}
    left = {"arm": None, "seed": None, "threads": None, "audio_files": None}
    shown = read_parameters(EvaluationParameters, given | left, said.append)
    assert vars(shown) == given | {"arm": "recommended", "seed": 3, "threads": 1, "audio_files": 2}
    assert said == ["Run tried, with its own arm 'recommended', seed 3, threads 1, audio_files 2"]


def test_what_was_given_stays_also_where_it_is_the_default_profile_s(checkout):
    leave_run(checkout, "tried", 1000, arms=["recommended"], seeds=[3], epochs=2)
    shown = training_parameters(arm="normalised_target", epochs=LAPTOP.epochs)
    assert (shown.run, shown.arm, shown.seed, shown.epochs) == (
        "tried",
        "normalised_target",
        3,
        LAPTOP.epochs,
    )


def test_what_the_pipeline_passes_is_not_touched_and_nothing_is_said(checkout):
    leave_run(checkout, "other", 1000)
    passed = job_parameters(TrainingParameters, LAPTOP, arm="masked_labels", seed=1)
    assert training_parameters(pytest.fail, **passed) == TrainingParameters(**passed)


def test_settings_that_an_older_run_did_not_write_are_the_default_profile_s(checkout):
    folder = leave_run(checkout, "tried", 1000)
    (folder / "profile.yaml").write_text("run: tried\nepochs: 2\nforgotten_setting: 1\n")
    of_laptop = job_parameters(TrainingParameters, LAPTOP) | {"run": "tried", "epochs": 2}
    assert training_parameters() == TrainingParameters(**of_laptop)


@pytest.mark.parametrize("run", ["reference", "confirmation", "longer", "more_seeds"])
def test_the_runs_that_are_kept_can_be_read(run):
    recorded = yaml.safe_load((PROFILES.parents[1] / "results" / run / "profile.yaml").read_text())
    shown = training_parameters(run=run)
    assert (shown.arm, shown.seed) == (recorded["arms"][0], recorded["seeds"][0])
    assert shown.budget().decay_epochs == recorded["decay_epochs"]


@pytest.mark.usefixtures("checkout")
def test_parameters_are_read_from_a_kernel_s_namespace():
    kernel = LOGS | {"__name__": "__main__", "In": [], "pytest": pytest, "read_parameters": read_parameters}
    assert vars(read_parameters(LogsParameters, kernel)) == LOGS


@pytest.mark.usefixtures("checkout")
def test_a_misspelt_parameter_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"unknown parameter result: .*run, training_logs, results"):
        read_parameters(LogsParameters, LOGS | {"result": ""})
    with pytest.raises(ValueError, match="missing parameter results"):
        read_parameters(LogsParameters, {name: value for name, value in LOGS.items() if name != "results"})


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"arm": 3}, "arm is 3: use a value of type str"),
        ({"generator_learning_rate": "5e-4"}, r"generator_learning_rate is '5e-4': .*write 5\.0e-4"),
        ({"generator_learning_rate": True}, "generator_learning_rate is True: use a value of type float"),
        ({"mixed_precision": "half"}, "mixed_precision is 'half': use one of no, bf16, fp16"),
        ({"epochs": 0}, "epochs is 0: use at least 1"),
    ],
)
def test_a_value_that_a_parameter_does_not_take_is_refused_by_name(given, told):
    with pytest.raises(ValueError, match=told):
        training_parameters(**given)
    # A whole number is a float.
    assert training_parameters(crop_seconds=1).crop_seconds == 1


@pytest.mark.usefixtures("checkout")
def test_in_cells_that_run_again_names_of_later_cells_are_allowed_and_values_still_checked():
    kernel = dict(LOGS)
    parameters = read_parameters(LogsParameters, kernel)
    kernel |= {"parameters": parameters, "failed": 3}
    assert read_parameters(LogsParameters, kernel) == parameters
    with pytest.raises(ValueError, match="results"):
        read_parameters(LogsParameters, kernel | {"results": 3})


@pytest.mark.usefixtures("checkout")
def test_a_prepared_corpus_and_its_scores_are_shown_again_and_never_overwritten():
    tiny = {"run": "tried", "train_utterances": 1, "validation_utterances": 1, "test_utterances": 1}
    parameters = DataParameters(**job_parameters(DataParameters, LAPTOP) | tiny)
    manifest = prepare_corpus(parameters)
    scores = evaluate_noisy("tried")
    before = {path: path.stat().st_mtime_ns for path in manifest.parents[1].rglob("*")}
    assert prepare_corpus(parameters) == manifest
    assert evaluate_noisy("tried")["pesq"].tolist() == pytest.approx(scores["pesq"].tolist())
    with pytest.raises(ValueError, match="train_utterances 1 there, 2 asked for"):
        prepare_corpus(replace(parameters, train_utterances=2))
    assert {path: path.stat().st_mtime_ns for path in manifest.parents[1].rglob("*")} == before
