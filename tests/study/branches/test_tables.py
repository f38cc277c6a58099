"""Branches set against each other seed by seed, counted from the switch."""

from pathlib import Path

import pandas as pd
import pytest

from cmgan.study.branches.summary import branches_in_words
from cmgan.study.branches.tables import TRUNK, curves, differences, endpoints


def epochs_log(pesq: list[float], first_step: int) -> pd.DataFrame:
    """epochs.csv of a training with these PESQ, a validation every 50 steps."""
    steps = [first_step + 50 * number for number in range(len(pesq))]
    terms = {"loss_real_imaginary": 0.5, "loss_magnitude": 0.1, "loss_time_published": 0.4}
    return pd.DataFrame({"step": steps, "pesq": pesq, "gain": 0.9, "inconsistency": 0.2}).assign(**terms)


def write_log(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Put it where a training's log lies."""
    (folder / name).mkdir(parents=True)
    table.to_csv(folder / name / "epochs.csv", index=False)


def test_endpoints_are_means_of_the_last_validations_and_steps_count_from_the_switch(tmp_path):
    write_log(tmp_path, "normalised_target-0", epochs_log([2.0, 2.2], 50))
    write_log(tmp_path, "normalised_target-to-published-0", epochs_log([2.1, 1.9, 1.7], 150))
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
            write_log(tmp_path, f"{trunk}-{seed}", epochs_log([1.5], 50))
            write_log(tmp_path, f"{trunk}-to-{trunk}-{seed}", epochs_log([pesq], 100))
    ends = endpoints(curves(tmp_path, tmp_path), 1)
    found = differences(ends, "published", "published", "normalised_target", "normalised_target")
    assert found.to_dict() == {0: pytest.approx(-0.3), 1: pytest.approx(-0.2)}
    assert differences(ends, "published", "published", "normalised_target").empty
    assert "end at PESQ 1.85, with the normalised one at 2.10" in branches_in_words(ends, 1.9)


def test_a_folder_without_branches_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no branch"):
        curves(tmp_path, tmp_path)
