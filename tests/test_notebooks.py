"""What must be typed in a notebook or a profile says what the settings' one declaration says."""

import json
import re
import subprocess
from dataclasses import MISSING
from pathlib import Path

import nbformat
import papermill
import pytest

from cmgan.settings import declared
from cmgan.study import notebook_parameters
from cmgan.study.notebook_text import FINDING, question_of
from cmgan.study.profile import Profile, profile_from, read_settings

ROOT = Path(__file__).parents[1]
KINDS = {
    "01_data_preparation": notebook_parameters.DataParameters,
    "02_silence_analysis": notebook_parameters.SilenceParameters,
    "03_objective": notebook_parameters.ObjectiveParameters,
    "04_training": notebook_parameters.TrainingParameters,
    "05_evaluation": notebook_parameters.EvaluationParameters,
    "06_published_logs": notebook_parameters.LogsParameters,
    "07_comparison_report": notebook_parameters.ReportParameters,
    "08_diagnose": notebook_parameters.DiagnosisParameters,
    "09_listen": notebook_parameters.ListeningParameters,
}
SETTINGS = declared(Profile)


def declared_lines(kind):
    """What is declared of each line of a parameters cell: all of it, or all but what only the notebook explains."""
    lines = []
    for name, (value_type, _, said, default) in declared(kind).items():
        setting = SETTINGS.get(name)
        if said.meaning or default is MISSING:
            lines.append(f"{name}: {value_type.__name__} = None  # {said.meaning or setting.said.meaning}")
        else:
            written = f'"{default}"' if isinstance(default, str) else repr(default)
            lines.append(f"{name}: {value_type.__name__} = {written}  # ")
    return lines


def test_every_notebook_is_looked_at():
    assert sorted(KINDS) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", KINDS)
def test_a_parameters_cell_says_what_is_declared_and_papermill_lists_all_of_it(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    (source,) = (cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    lines = [line for line in source.splitlines() if not line.startswith("#")]
    for line, declaration in zip(lines, declared_lines(KINDS[name]), strict=True):
        assert line.startswith(declaration) if declaration.endswith("# ") else line == declaration
    listed = papermill.inspect_notebook(str(path))
    assert list(listed) == list(declared(KINDS[name]))
    assert all(entry["inferred_type_name"] != "None" and entry["help"] for entry in listed.values())


def test_the_default_profile_names_every_setting_with_its_meaning():
    lines = (ROOT / "notebooks" / "profiles" / "laptop.yaml").read_text().splitlines()
    commented = [re.fullmatch(r"(\w+): .*?\S +# (.*)", line) for line in lines if re.match(r"\w", line)]
    assert {match[1]: match[2] for match in commented} == {
        name: field.said.meaning for name, field in SETTINGS.items()
    }


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_job_is_given_every_parameter_by_a_value_that_it_takes(kind):
    laptop = profile_from(read_settings("laptop", ROOT / "notebooks" / "profiles", {}))
    given = json.loads(json.dumps(notebook_parameters.job_parameters(kind, laptop)))
    assert vars(kind(**given)) == given
    assert given["run"] == "laptop"


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


def _cells(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells


@pytest.mark.parametrize("name", KINDS)
def test_a_notebook_asks_one_question_before_it_works(name):
    first = _cells(name)[0]
    question = question_of(ROOT / "notebooks" / f"{name}.ipynb")
    assert first.cell_type == "markdown"
    assert f"**Question.** {question}" in first.source
    assert question.endswith("?")
    assert len(question) < 150


@pytest.mark.parametrize("name", sorted(KINDS)[:7])
def test_a_notebook_of_a_run_has_one_finding_and_then_says_what_it_does_not_show(name):
    cells = _cells(name)
    (place,) = (number for number, cell in enumerate(cells) if FINDING in cell.metadata.get("tags", []))
    assert cells[place].source.startswith("said(")
    assert cells[place + 1].source.startswith("## What this does not show")


@pytest.mark.parametrize("name", KINDS)
def test_a_figure_stands_between_what_to_look_for_and_what_it_shows(name):
    cells = _cells(name)
    for number, cell in enumerate(cells):
        lines = cell.source.splitlines()
        shows = "draw(" in cell.source or (lines[-1:] and lines[-1].startswith("show("))
        if cell.cell_type == "code" and shows:
            assert cells[number - 1].cell_type == "markdown"
            # `show` of the comparison says it itself.
            assert lines[-1].startswith("show(") or "said(" in cells[number + 1].source
            following = [later.cell_type for later in cells[number + 1 :]]
            assert "markdown" in following


@pytest.mark.parametrize("name", KINDS)
def test_a_cell_is_short(name):
    code = [cell for cell in _cells(name) if cell.cell_type == "code" and "tags" not in cell.metadata]
    bodies = [cell.source for cell in code if "import" not in cell.source]
    assert bodies
    assert max(len(body.splitlines()) for body in bodies) <= 12
