import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cmgan.study.kept import replication
from cmgan.study.kept.replication import (
    arm_markdown,
    arm_table,
    correlation_table,
    mechanism_by_seed,
    repeats,
    seed_differences,
)
from cmgan.study.run_results import load_run
from tests.simulated_run import COLLAPSE, simulate_run

ARMS = ("published", "normalised_target", "skip_56")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) / name for name in ("first", "second")]
    for folder, seeds in zip(folders, ((0, 1, 2), (3, 4)), strict=True):
        simulate_run(folder, arms=ARMS, seeds=seeds, epochs=8)
    return folders


@pytest.fixture(scope="module")
def results(runs):
    return [load_run(run) for run in runs]


def _last_epochs(run, arm, seed):
    table = pd.read_csv(run / "training" / f"{arm}-{seed}" / "validation.csv")
    return table.loc[table["epoch"] > table["epoch"].max() - 3, "pesq"].mean()


def test_every_seed_of_every_run_is_compared_with_its_own_published(runs, results):
    differences = seed_differences(results)
    assert differences.groupby("run")["seed"].unique().map(sorted).to_dict() == {
        "first": [0, 1, 2],
        "second": [3, 4],
    }
    by_hand = _last_epochs(runs[1], "skip_56", 4) - _last_epochs(runs[1], "published", 4)
    row = differences[(differences["arm"] == "skip_56") & (differences["seed"] == 4)].iloc[0]
    assert row["difference"] == pytest.approx(by_hand)


def test_arms_with_a_batch_size_of_their_own_are_compared_at_that_size(tmp_path):
    arms = ("published", "published_batch_2", "normalised_target_batch_2")
    run = simulate_run(tmp_path / "run", arms=arms, seeds=(0,), epochs=2)
    differences = seed_differences([load_run(run)])
    assert differences["arm"].tolist() == ["normalised_target_batch_2"]
    scores = [_last_epochs(run, arm, 0) for arm in arms]
    assert differences["difference"].iloc[0] == pytest.approx(scores[2] - scores[1])


def test_a_known_effect_is_found_with_an_interval_over_seeds(results):
    table = arm_table(seed_differences(results)).set_index(["run", "arm"])
    effect = table.loc["all", "normalised_target"]
    assert (effect["seeds"], effect["seeds_above"], effect["seeds_below"]) == (5, 5, 0)
    # Of the last three of eight epochs, half, three quarters and all of the fall.
    assert pytest.approx(effect["mean"], abs=0.05) == 0.75 * COLLAPSE
    assert 0.3 < effect["low"] < effect["high"] < 0.6
    assert table.loc[("all", "skip_56"), "low"] < 0 < table.loc[("all", "skip_56"), "high"]
    assert table.loc[("second", "skip_56"), "seeds"] == 2


def test_the_markdown_table_holds_all_runs_together_with_the_most_seeds_first(results):
    lines = arm_markdown(arm_table(seed_differences(results))).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| normalised_target", "| skip_56"]
    assert lines[2].startswith("| normalised_target | normalised | +0.")
    assert lines[2].endswith("| 5 of 5 |")


def test_each_seeds_change_is_that_of_its_own_two_trainings_after_the_last_epoch(runs, results):
    frame = mechanism_by_seed(results, seed_differences(results)).set_index(["run", "seed"])
    assert [*frame.index] == [("first", 0), ("first", 1), ("first", 2), ("second", 3), ("second", 4)]
    last = [
        pd.read_csv(runs[1] / "training" / f"{arm}-4" / "epochs.csv").iloc[-1]["inconsistency"]
        for arm in ("normalised_target", "published")
    ]
    assert frame.loc[("second", 4), "inconsistency"] == pytest.approx(last[0] - last[1])


def test_what_falls_where_pesq_rises_is_correlated_with_it_and_what_stays_is_not():
    frame = pd.DataFrame({"pesq": np.arange(8.0), "inconsistency": -(np.arange(8.0) ** 3)})
    frame["phase_error"] = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    frame["loss_magnitude"] = 0.1
    table = correlation_table(frame).set_index("quantity")
    assert table.loc["inconsistency", "correlation"] == pytest.approx(-1)
    assert table.loc["phase_error", "correlation"] == pytest.approx(0)
    assert np.isnan(table.loc["loss_magnitude", "correlation"])
    assert (table["seeds"] == 8).all()


def test_one_seed_has_no_interval(results):
    differences = seed_differences(results[1:])
    table = arm_table(differences[differences["seed"] == 3])
    assert np.isnan(table["low"]).all()


def test_a_run_without_published_is_named(tmp_path):
    run = simulate_run(tmp_path / "run", arms=("normalised_target",), seeds=(0,), epochs=2)
    with pytest.raises(FileNotFoundError, match="no arm beside published"):
        seed_differences([load_run(run)])


def test_a_training_repeated_longer_is_compared_at_the_end_of_the_shorter_one(runs, results, tmp_path):
    simulate_run(tmp_path / "longer", arms=ARMS[:1], seeds=(0,), epochs=12)
    (row,) = repeats(results[0], load_run(tmp_path / "longer")).itertuples()
    table = pd.read_csv(tmp_path / "longer" / "training" / "published-0" / "validation.csv")
    until = table[table["epoch"].between(6, 8)]["pesq"].mean()
    assert (row.arm, row.seed, row.epochs) == ("published", 0, 8)
    assert row.endpoint == pytest.approx(until - _last_epochs(runs[0], "published", 0))
    assert (repeats(results[0], results[0])[["last", "endpoint"]] == 0).all(axis=None)


def test_the_command_writes_tables_and_figures(runs, tmp_path, capsys):
    replication.main(tmp_path, runs, beside=[runs[0]], again=[runs[0]])
    assert "normalised_target" in capsys.readouterr().out
    drawn = {f"{name}.{kind}" for name in ("seeds", "mechanism") for kind in ("csv", "png", "svg", "pdf")}
    tables = {
        "arms.csv",
        "arms.md",
        "correlations.csv",
        "claims.csv",
        "claims.md",
        "power.csv",
        "repeats.csv",
    }
    assert {path.name for path in tmp_path.iterdir()} == drawn | tables
    assert Image.open(tmp_path / "seeds.png").width > 1000
