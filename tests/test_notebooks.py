"""The committed notebooks: parameters that papermill can list, no outputs, defaults that show the newest run."""

import dataclasses
import subprocess
from pathlib import Path

import nbformat
import papermill
import pytest

from cmgan.study import notebook_parameters
from cmgan.study.pipeline.profile import profile_from, read_settings

ROOT = Path(__file__).parents[1]
KINDS = {
    "01_data_preparation": notebook_parameters.DataParameters,
    "02_silence_analysis": notebook_parameters.SilenceParameters,
    "04_training": notebook_parameters.TrainingParameters,
    "05_evaluation": notebook_parameters.EvaluationParameters,
    "06_published_logs": notebook_parameters.LogsParameters,
    "07_comparison_report": notebook_parameters.ReportParameters,
    "08_diagnose": notebook_parameters.DiagnosisParameters,
    "09_listen": notebook_parameters.ListeningParameters,
}


def _path(name):
    return ROOT / "notebooks" / f"{name}.ipynb"


def _defaults(name):
    namespace: dict = {}
    cells = nbformat.read(_path(name), as_version=4).cells
    exec(next(c.source for c in cells if "parameters" in c.metadata.get("tags", [])), namespace)
    return namespace


@pytest.mark.parametrize("name", KINDS)
def test_papermill_lists_every_parameter_with_type_and_help(name):
    listed = papermill.inspect_notebook(str(_path(name)))
    assert list(listed) == [field.name for field in dataclasses.fields(KINDS[name])]
    assert all(entry["inferred_type_name"] != "None" and entry["help"] for entry in listed.values())


@pytest.mark.parametrize("name", KINDS)
def test_a_committed_notebook_carries_no_outputs(name):
    # The work tree's may carry some: JupyterLab saves what it shows.
    shown = subprocess.run(
        ["git", "-C", str(ROOT), "show", f":notebooks/{name}.ipynb"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode:
        pytest.skip("not a git checkout: nothing is committed")
    cells = nbformat.reads(shown.stdout, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_defaults_are_those_of_the_laptop_profile():
    profile = profile_from(read_settings("laptop", ROOT / "notebooks" / "profiles", {}))
    expected = {
        "01_data_preparation": profile.data_parameters(),
        "02_silence_analysis": profile.silence_parameters(),
        "04_training": profile.training_parameters("published", 0),
        "05_evaluation": profile.evaluation_parameters("published", 0),
        "06_published_logs": profile.logs_parameters(),
    }
    for name, parameters in expected.items():
        namespace = _defaults(name)
        assert {key: namespace[key] for key in parameters} == parameters | {"run": ""}, name
