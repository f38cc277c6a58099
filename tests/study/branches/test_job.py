"""Trunks and branches are trained in the plan's order, each branch from its trunk's state."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from cmgan.study.branches.job import (
    Branch,
    BranchPlan,
    BranchPrediction,
    noisy_scores,
    read_plan,
    runs_of,
    train_all,
    watched_on_test,
)
from cmgan.study.kept.branches import keep, summary
from data_prep.manifest import read_manifest, write_manifest
from tests.tiny_corpus import write_tiny_corpus
from tests.tiny_training import BUDGET, quietly

PLAN = BranchPlan(
    (
        Branch("normalised_target", "normalised_target"),
        Branch("normalised_target", "published"),
        Branch("normalised_target", "published_rms_1", rank=2),
    ),
    seeds=(0,),
    trunk_epochs=1,
    branch_epochs=1,
    validation_steps=1,
    endpoint_validations=1,
    budget=BUDGET,
    predictions=(
        BranchPrediction("B3", "it repairs", "published", "normalised_target", "published", "above", 0.1),
    ),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder with one trunk and its three branches, two steps each."""
    root = tmp_path_factory.mktemp("branches")
    manifest = write_tiny_corpus(root / "data", np.random.default_rng(0), utterances=6, held_out=2)
    train_all(PLAN, manifest, root / "training", report=lambda _: None)
    return root


def test_ranks_come_first_then_seeds_and_trunks_before_their_branches():
    plan = dataclasses.replace(PLAN, seeds=(3, 4))
    names = [run.name for run in runs_of(plan, Path("manifest.csv"), Path("training"))]
    assert names == [
        "normalised_target-3",
        "normalised_target-to-normalised_target-3",
        "normalised_target-to-published-3",
        "normalised_target-4",
        "normalised_target-to-normalised_target-4",
        "normalised_target-to-published-4",
        "normalised_target-to-published_rms_1-3",
        "normalised_target-to-published_rms_1-4",
    ]


def test_a_branch_goes_on_where_its_trunk_stood(trained):
    trunk, branch = (
        pd.read_csv(trained / "training" / name / "epochs.csv")
        for name in ("normalised_target-0", "normalised_target-to-published-0")
    )
    assert trunk["step"].tolist() == [1, 2]
    assert branch["step"].tolist() == [3, 4]


def test_a_branch_under_the_trunks_own_recipe_is_the_trunk_trained_longer(trained, tmp_path):
    trunk, stay = list(runs_of(PLAN, trained / "data" / "manifest.csv", trained / "training"))[:2]
    longer = dataclasses.replace(stay, output=tmp_path / "longer", name="longer", trunk=None)
    weights = [
        torch.load(folder / "generator.pt", weights_only=True) for folder in (quietly(longer), stay.output)
    ]
    assert trunk.trunk is None
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_branches_of_one_trunk_see_the_same_crops_and_part_at_the_first_step(trained):
    stay, switched = (
        pd.read_csv(trained / "training" / f"normalised_target-to-{arm}-0" / "steps.csv")
        for arm in ("normalised_target", "published")
    )
    assert stay["loss_magnitude"].iloc[0] == switched["loss_magnitude"].iloc[0]
    assert stay["loss_time"].iloc[0] != switched["loss_time"].iloc[0]
    assert stay["loss_magnitude"].iloc[1] != switched["loss_magnitude"].iloc[1]


def test_a_branch_of_another_trunk_state_is_not_taken_for_this_one(trained):
    run = list(runs_of(PLAN, trained / "data" / "manifest.csv", trained / "training"))[1]
    state = run.trunk / "state.pt"
    before = state.read_bytes()
    content = torch.load(state, weights_only=True)
    torch.save(content | {"step": 7}, state)
    with pytest.raises(ValueError, match="holds a run with other settings"):
        quietly(run)
    state.write_bytes(before)


def test_a_torn_trunk_is_named(trained, tmp_path):
    run = list(runs_of(PLAN, trained / "data" / "manifest.csv", trained / "training"))[1]
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "config.json").write_bytes((run.trunk / "config.json").read_bytes())
    (torn / "state.pt").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"state\.pt is not a whole checkpoint"):
        quietly(dataclasses.replace(run, trunk=torn, output=tmp_path / "branch"))


def test_recordings_scaled_to_an_rms_are_what_the_branch_trains_on(trained):
    config = json.loads(
        (trained / "training" / "normalised_target-to-published_rms_1-0" / "config.json").read_text()
    )
    assert config["recipe"]["recording_rms"] == 1.0
    scaled, raw = (
        pd.read_csv(trained / "training" / f"normalised_target-to-{arm}-0" / "steps.csv")["loss_time"].iloc[0]
        for arm in ("published_rms_1", "published")
    )
    # At RMS 1 the published target is about as loud as the estimate, at the corpus's level far quieter.
    assert scaled != raw


def test_curves_are_of_the_test_speakers(trained, tmp_path):
    items = read_manifest(trained / "data" / "manifest.csv")
    renamed = {"train": "train", "validation": "test"}
    splits = ["validation", *(renamed[item.split] for item in items[1:])]
    tested = [dataclasses.replace(item, split=split) for item, split in zip(items, splits, strict=True)]
    write_manifest(tested, tmp_path / "manifest.csv")
    # In another folder, with the same recordings.
    watched = read_manifest(watched_on_test(tmp_path / "manifest.csv", tmp_path / "run" / "manifest.csv"))
    assert {item.split for item in watched} == {"train", "validation"}
    held_out = {item.id for item in watched if item.split == "validation"}
    assert held_out == {item.id for item in tested if item.split == "test"}


def test_a_kept_run_is_summed_up_from_its_files(trained, tmp_path):
    noisy_scores(trained / "data" / "manifest.csv").to_csv(trained / "noisy.csv", index=False)
    keep(trained, tmp_path)
    assert not any(
        str(trained) in path for path in pd.read_csv(tmp_path / "data" / "manifest.csv")["clean_path"]
    )
    text = summary(tmp_path, PLAN)
    assert "Networks trained with the normalised target have PESQ" in text
    assert "| B3 (primary) | it repairs | " in text
    assert "By the plan's rules: B3 **not trained**." in text
    assert "not trained: `normalised_target`" not in text
    assert (tmp_path / "figures" / "branches.png").stat().st_size > 10_000
    assert not list(tmp_path.rglob("*.pt"))


def test_a_plan_is_read_and_a_wrong_one_named(tmp_path):
    content = {
        "branches": [{"trunk": "published", "arm": "normalised_target"}],
        "seeds": [0, 1],
        "trunk_epochs": 2,
        "branch_epochs": 1,
        "validation_steps": 50,
        "endpoint_validations": 3,
        "budget": {"channels": 16},
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(content))
    assert read_plan(path).branches == (Branch("published", "normalised_target"),)
    for change, message in (
        ({"seed": [0]}, "seed"),
        ({"branches": [{"trunk": "published", "arm": "magic"}]}, "unknown arm 'magic'"),
        ({"budget": {"channels": 3}}, "channels is 3"),
        ({"predictions": [{"id": "B1"}]}, "missing 6 required"),
        (
            {"predictions": [dataclasses.asdict(PLAN.predictions[0]) | {"relation": "under"}]},
            "relation 'under'",
        ),
    ):
        path.write_text(yaml.safe_dump(content | change))
        with pytest.raises(ValueError, match=message) as caught:
            read_plan(path)
        assert str(path) in str(caught.value)
