"""Branches judged over seeds: simulated runs give back the truth that they were drawn from."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmgan.study.branches.job import Branch, read_plan
from cmgan.study.branches.summary import branches_in_words, judge, summary
from cmgan.study.branches.tables import TRUNK, curves, differences, endpoints

KEPT = Path(__file__).parents[3] / "results" / "branches"
PREDICTIONS = read_plan(KEPT / "plan.yaml").predictions
SEEDS = 6
BRANCHES = tuple(
    Branch("normalised_target", arm) for arm in ("normalised_target", "published", "batch_mean_fix")
)
ENDPOINT = 2  # validations


def _epochs(pesq: list[float], first_step: int) -> pd.DataFrame:
    steps = [first_step + 50 * number for number in range(len(pesq))]
    terms = {"loss_real_imaginary": 0.5, "loss_magnitude": 0.1, "loss_time_published": 0.4}
    return pd.DataFrame({"step": steps, "pesq": pesq, "gain": 0.9, "inconsistency": 0.2}).assign(**terms)


def _write(folder: Path, name: str, table: pd.DataFrame) -> None:
    (folder / name).mkdir(parents=True)
    table.to_csv(folder / name / "epochs.csv", index=False)


def _simulated(folder: Path, fall: float, fix: float = 0.0, scatter: float = 0.05, seed: int = 0) -> Path:
    """Seeds differ by a lot, which pairing takes out; branches fall by `fall`, less `fix` with the fix."""
    rng = np.random.default_rng(seed)
    for number in range(SEEDS):
        level = 2.4 + 0.5 * rng.standard_normal()
        _write(folder, f"normalised_target-{number}", _epochs([level - 0.1, level], 50))
        for branch, change in zip(BRANCHES, (0.0, -fall, fix - fall), strict=True):
            way = level + change + scatter * rng.standard_normal(3)
            _write(folder, f"{branch.name}-{number}", _epochs([level, *way], 150))
    return folder


def _verdicts(folder: Path) -> dict[str, str]:
    ends = endpoints(curves(folder, folder), ENDPOINT)
    return {judged.prediction.id: judged.verdict for judged in judge(ends, SEEDS, PREDICTIONS)}


def test_a_fall_in_every_seed_is_found_and_a_fix_that_does_nothing_holds_nothing_up(tmp_path):
    verdicts = _verdicts(_simulated(tmp_path, fall=0.3))
    assert {verdicts[name] for name in ("B1", "B2", "B4", "B5")} == {"supported"}
    assert {verdicts[name] for name in ("B3", "B6", "B7", "B8")} == {"not trained"}


def test_where_nothing_falls_the_fall_is_refuted(tmp_path):
    verdicts = _verdicts(_simulated(tmp_path, fall=0.0, scatter=0.02))
    assert verdicts["B1"] == verdicts["B2"] == verdicts["B4"] == "refuted"
    assert verdicts["B5"] == "supported"


def test_a_fix_that_holds_the_fall_up_refutes_that_it_does_not(tmp_path):
    verdicts = _verdicts(_simulated(tmp_path, fall=0.4, fix=0.4, scatter=0.03))
    assert verdicts["B5"] == "refuted"
    assert verdicts["B4"] == "refuted"


def test_a_seed_that_is_missing_leaves_a_prediction_unjudged(tmp_path):
    folder = _simulated(tmp_path, fall=0.3)
    (folder / f"{BRANCHES[1].name}-5" / "epochs.csv").unlink()
    assert _verdicts(folder)["B1"] == "seeds missing"
    assert _verdicts(folder)["B4"] == "supported"


def test_endpoints_are_means_of_the_last_validations_and_steps_count_from_the_switch(tmp_path):
    _write(tmp_path, "normalised_target-0", _epochs([2.0, 2.2], 50))
    _write(tmp_path, f"{BRANCHES[1].name}-0", _epochs([2.1, 1.9, 1.7], 150))
    table = curves(tmp_path, tmp_path)
    assert table.loc[table["arm"] == TRUNK, "step"].tolist() == [-50, 0]
    assert table.loc[table["arm"] == "published", "step"].tolist() == [50, 100, 150]
    assert table["objective"].to_numpy() == pytest.approx(0.1 * 0.5 + 0.9 * 0.1 + 0.2 * 0.4)
    ends = endpoints(table, 2)
    found = differences(ends, "normalised_target", "published", TRUNK)
    assert found.to_dict() == {0: pytest.approx(1.8 - 2.2)}


def test_branches_of_two_trunks_are_compared_seed_by_seed(tmp_path):
    for seed, (good, fallen) in enumerate([(2.2, 1.9), (2.0, 1.8)]):
        for trunk, pesq in (("normalised_target", good), ("published", fallen)):
            _write(tmp_path, f"{trunk}-{seed}", _epochs([1.5], 50))
            _write(tmp_path, f"{trunk}-to-{trunk}-{seed}", _epochs([pesq], 100))
    ends = endpoints(curves(tmp_path, tmp_path), 1)
    found = differences(ends, "published", "published", "normalised_target", "normalised_target")
    assert found.to_dict() == {0: pytest.approx(-0.3), 1: pytest.approx(-0.2)}
    assert differences(ends, "published", "published", "normalised_target").empty
    assert "end at PESQ 1.85, with the normalised one at 2.10" in branches_in_words(ends, 1.9)


@pytest.mark.parametrize("kept", [KEPT, KEPT.parent / "from_scratch"], ids=lambda kept: kept.name)
def test_the_kept_summary_is_computed_from_the_kept_logs_by_the_plan_s_rules(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "kept")
    assert summary(folder, read_plan(folder / "plan.yaml")) == (kept / "README.md").read_text()
    assert (folder / "power.csv").read_text() == (kept / "power.csv").read_text()


def test_a_folder_without_branches_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no branch"):
        curves(tmp_path, tmp_path)
