import errno
import fcntl
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import yaml

from cmgan.study.pipeline.run import (
    answer,
    checked_profile,
    placement,
    shared_out,
    work_on_part,
)
from cmgan.study.profile import profile_from
from cmgan.study.run_access import part_of_run, whole_run

ROOT = Path(__file__).parents[3]


def _refused(corpus="", config=(), profile="laptop"):
    with pytest.raises((ValueError, OSError)) as caught:
        checked_profile(ROOT, profile, corpus, list(config))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_corpus_folder_is_named_before_anything_runs(tmp_path):
    assert "nowhere" in _refused(corpus=str(tmp_path / "nowhere"), profile="study")


def test_a_corpus_given_to_a_synthetic_profile_replaces_the_synthetic_speech(shared_folder):
    profile = checked_profile(ROOT, "laptop", str(shared_folder / "voicebank_demand_sample"), [])
    assert profile.corpus == "folder"
    assert profile.corpus_path == str((shared_folder / "voicebank_demand_sample").resolve())


def test_an_unknown_arm_or_profile_is_named_before_anything_runs():
    assert "unknown arm 'fixed'" in _refused(config=["arms=[fixed]"])
    assert "unknown profile 'desktop'" in _refused(profile="desktop")


def test_a_cluster_without_profile_or_plugin_is_named_before_anything_runs(monkeypatch):
    with pytest.raises(ValueError, match="unknown cluster 'lsf': use one of slurm"):
        placement(ROOT, "lsf")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install snakemake-executor-plugin-slurm"):
        placement(ROOT, "slurm")


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_lasts(tmp_path):
    with (
        whole_run(tmp_path / "run"),
        pytest.raises(SystemExit, match="another run"),
        whole_run(tmp_path / "run"),
    ):
        pytest.fail("both hold the folder")
    with whole_run(tmp_path / "run"):
        pass


def test_workers_hold_parts_of_a_run_side_by_side_and_never_the_same_training(tmp_path):
    with part_of_run(tmp_path, ["published-0"]) as first, part_of_run(tmp_path, ["published-1"]) as second:
        assert (first, second) == (True, False)
        with (
            pytest.raises(SystemExit, match="another worker has published-0"),
            part_of_run(tmp_path, ["published-2", "published-0"]),
        ):
            pytest.fail("two workers hold one training")
        with pytest.raises(SystemExit, match="another run"), whole_run(tmp_path):
            pytest.fail("a whole run beside a part of it")
    with whole_run(tmp_path), pytest.raises(SystemExit, match="whole run"), part_of_run(tmp_path, []):
        pytest.fail("a part beside the whole run")


def test_a_worker_prepares_makes_its_part_and_is_refused_beside_others_with_other_settings(tmp_path):
    profile, made = checked_profile(ROOT, "laptop", "", ["run=tried"]), []
    work_on_part(made.append, tmp_path, profile, ["published-0"])
    assert made == [["data/manifest.csv", "evaluation/noisy.csv"], ["evaluation/published-0.csv"]]
    with part_of_run(tmp_path, ["published-1"]):
        work_on_part(made.append, tmp_path, profile, ["published-0"])
        with pytest.raises(SystemExit, match="other settings"):
            work_on_part(made.append, tmp_path, replace(profile, epochs=3), ["published-0"])
    assert len(made) == 4
    assert profile_from(yaml.safe_load((tmp_path / "profile.yaml").read_text())) == profile


def test_the_parts_of_a_run_are_all_of_it_and_share_nothing():
    profile = checked_profile(ROOT, "laptop", "", ["seeds=[0,1,2]"])
    parts = [shared_out(profile, f"{part}/4") for part in (1, 2, 3, 4)]
    assert sorted(training for part in parts for training in part) == sorted(
        f"{arm}-{seed}" for arm in profile.arms for seed in profile.seeds
    )


@pytest.mark.parametrize("share", ["0/2", "3/2", "half"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="use i/n"):
        shared_out(checked_profile(ROOT, "laptop", "", []), share)


def test_the_answer_of_a_run_is_what_its_notebooks_found_about_the_loss_the_networks_and_the_claims(tmp_path):
    for name, texts in (
        ("03_objective", {"finding": "It *asks* for it."}),
        ("07_comparison_report", {"branches": "They end lower.", "finding": "2 claims: 2 supported."}),
    ):
        cells = []
        for tag, text in texts.items():
            output = nbformat.v4.new_output("display_data", data={"text/markdown": text})
            cells.append(nbformat.v4.new_code_cell("", metadata={"tags": [tag]}, outputs=[output]))
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / f"{name}.ipynb")
    loss, networks, claims = answer(tmp_path)
    assert loss == "The loss: It asks for it."
    assert networks == "The networks: They end lower."
    assert claims == "The claims: 2 claims: 2 supported."


def test_a_run_that_is_up_to_date_need_not_wait_for_torch_or_for_what_draws():
    code = "import sys, cmgan.study.pipeline.run; sys.exit(str({'torch', 'scipy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"


def test_the_answer_of_the_kept_default_run_counts_its_verdicts():
    loss, networks, claims = answer(ROOT / "results" / "default")
    assert loss.startswith("The loss: ")
    assert networks.startswith("The networks: ")
    assert re.fullmatch(r"The claims: 22 claims: \d+ supported \(.*\)\.", claims)


def test_a_run_whose_notebooks_are_not_there_has_no_answer(tmp_path):
    assert answer(tmp_path) == []


def test_a_run_is_made_where_a_file_system_has_no_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with whole_run(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
