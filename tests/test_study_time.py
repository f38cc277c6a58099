"""The seconds of a study's jobs, told apart by cause, add up to what the jobs took."""

import json

import pytest

from benchmarks.study_time import CAUSES, time_by_cause


def _cell(source, seconds):
    metadata = {"papermill": {"duration": seconds}}
    return {"cell_type": "code", "source": source.splitlines(keepends=True), "metadata": metadata}


def test_time_is_summed_by_notebook_and_cause_and_what_cells_do_not_account_for_is_the_job_s_start(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# Title"], "metadata": {}},
        _cell("from pathlib import Path\nimport torch", 2.0),
        _cell("# papermill_description=Training\nfolder = train_arm(parameters)", 10.0),
        _cell('draw(step_curves, steps, folder, "steps")', 1.0),
    ]
    (tmp_path / "notebooks").mkdir()
    jobs = ("04_training-published-0", "04_training-published-1", "04_training-published-to-published-0")
    for job in jobs:
        (tmp_path / "notebooks" / f"{job}.ipynb").write_text(json.dumps({"cells": cells}))
    # The first row is of an interrupted job.
    rows = "".join(f"{job},{seconds}\n" for job, seconds in [(jobs[0], 99), *((job, 16) for job in jobs)])
    (tmp_path / "timing.csv").write_text(f"job,seconds\n{rows}")
    found = time_by_cause(tmp_path).set_index("notebook")
    assert found.loc["04_training"].to_dict() == {
        "jobs": 2,
        "start": 6.0,
        "imports": 4.0,
        "figures": 2.0,
        "computing": 20.0,
    }
    assert found.loc["04_training, branches", "jobs"] == 1
    assert found[list(CAUSES)].to_numpy().sum() == pytest.approx(48)
