"""Branches judged over seeds: simulated runs give back the truth that they were drawn from."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cmgan.study.branches.job import Branch, read_plan
from cmgan.study.branches.tables import curves, endpoints
from cmgan.study.kept.branches import judged_predictions, summary
from tests.study.branches.test_tables import epochs_log, write_log

KEPT = Path(__file__).parents[3] / "results" / "branches"
PREDICTIONS = read_plan(KEPT / "plan.yaml").predictions
SEEDS = 6
BRANCHES = tuple(
    Branch("normalised_target", arm) for arm in ("normalised_target", "published", "batch_mean_fix")
)
ENDPOINT = 2  # validations


def _simulated(folder: Path, fall: float, fix: float = 0.0, scatter: float = 0.05, seed: int = 0) -> Path:
    """Seeds differ by a lot, which pairing takes out; branches fall by `fall`, less `fix` with the fix."""
    rng = np.random.default_rng(seed)
    for number in range(SEEDS):
        level = 2.4 + 0.5 * rng.standard_normal()
        write_log(folder, f"normalised_target-{number}", epochs_log([level - 0.1, level], 50))
        for branch, change in zip(BRANCHES, (0.0, -fall, fix - fall), strict=True):
            way = level + change + scatter * rng.standard_normal(3)
            write_log(folder, f"{branch.name}-{number}", epochs_log([level, *way], 150))
    return folder


def _verdicts(folder: Path) -> dict[str, str]:
    ends = endpoints(curves(folder, folder), ENDPOINT)
    return {judged.prediction.id: judged.verdict for judged in judged_predictions(ends, SEEDS, PREDICTIONS)}


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


@pytest.mark.parametrize("kept", [KEPT, KEPT.parent / "from_scratch"], ids=lambda kept: kept.name)
def test_the_kept_summary_is_computed_from_the_kept_logs_by_the_plan_s_rules(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "kept")
    assert summary(folder, read_plan(folder / "plan.yaml")) == (kept / "README.md").read_text()
    assert (folder / "power.csv").read_text() == (kept / "power.csv").read_text()
