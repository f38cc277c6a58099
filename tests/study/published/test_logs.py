"""Skips in published logs: exact zeros are counted, small losses are not, and damaged tables are refused."""

import numpy as np
import pandas as pd
import pytest

from cmgan.study.published.logs import (
    ALL_RUNS,
    LOG_COLUMNS,
    RESULT_OF_LOG,
    code_family,
    discriminator_losses,
    final_pesq,
    losses_in_words,
    losses_with_results,
    read_results,
    read_training_logs,
    results_in_words,
    skip_table,
    skips_in_words,
    validation_in_words,
)


def logs_of(*rows: tuple[str, str, str, object, float]) -> pd.DataFrame:
    """Rows of run, code_version, kind, step, disc_loss."""
    frame = pd.DataFrame(rows, columns=["run", "code_version", "kind", "step", "disc_loss"])
    return frame.assign(source="here", epoch=0, loss=0.1)[list(LOG_COLUMNS)]


def test_packaged_tables_are_whole():
    logs, results = read_training_logs(), read_results()
    assert len(logs) == 100
    assert len(results) == 17
    assert logs["source"].notna().all()
    assert results["source"].notna().all()


def test_packaged_tables_are_the_published_ones(shared_folder):
    for packaged, name in (
        (read_training_logs(), "published_training_logs.csv"),
        (read_results().drop(columns="validation_loss"), "published_results.csv"),
    ):
        original = pd.read_csv(shared_folder / "evidence" / name)
        pd.testing.assert_frame_equal(packaged, original, check_dtype=False)


def test_every_logged_run_has_its_result():
    logs, results = read_training_logs(), read_results()
    assert set(logs["run"]) == set(RESULT_OF_LOG)
    assert all(np.isfinite(final_pesq(run, results)) for run in RESULT_OF_LOG)


def test_same_person_ends_higher_with_the_code_before_the_refactoring():
    assert final_pesq("reproducer-B", read_results()) == 3.28


def test_only_an_exact_zero_is_a_skip():
    logs = logs_of(
        ("a", "after-refactor", "train_step", 1, 0.0),
        ("a", "after-refactor", "train_step", 2, 4e-6),
        ("a", "after-refactor", "train_step", 3, 0.02),
        ("a", "after-refactor", "validation", None, 0.0),
    )
    row = skip_table(logs).set_index("run").loc["a"]
    assert (row["lines"], row["zeros"], row["nearly_zero"]) == (3, 1, 1)
    assert row["low"] < 1 / 3 < row["high"]


def test_chance_at_the_claim_is_that_of_no_skip_in_so_many_lines():
    logs = logs_of(*[("a", "after-refactor", "train_step", step, 0.01) for step in range(7)])
    assert skip_table(logs)["chance_at_claim"].iloc[0] == pytest.approx(0.44**7)


def test_overall_leaves_out_what_cannot_show_a_skip_or_may_be_quoted_twice():
    logs = logs_of(
        ("a", "after-refactor", "train_step", 1, 0.01),
        ("b", "after-refactor", "train_step", None, 0.01),
        ("c", "after-refactor + batch-mean fix", "train_step", 1, 0.01),
    )
    table = skip_table(logs).set_index("run")
    assert table.loc[ALL_RUNS, "lines"] == 1
    assert table.loc[["a", "b", "c"], "lines"].eq(1).all()


def test_losses_are_summarised_by_run_and_kind():
    logs = logs_of(
        ("reproducer-A", "after-refactor", "train_step", 1, 0.01),
        ("reproducer-A", "after-refactor", "train_step", 2, 0.1),
        ("reproducer-A", "after-refactor", "validation", None, 0.3),
        ("somebody", "after-refactor", "train_step", 1, 0.2),
    )
    table = discriminator_losses(logs, read_results()).set_index(["run", "kind"])
    row = table.loc[("reproducer-A", "train_step")]
    assert (row["minimum"], row["maximum"], row["median"]) == pytest.approx((0.01, 0.1, 0.055))
    assert (row["in_band"], row["below_band"], row["final_pesq"]) == (0.5, 0.5, 2.2)
    assert np.isnan(table.loc[("somebody", "train_step"), "final_pesq"])
    assert losses_with_results(logs, read_results())["disc_loss"].tolist() == [0.01, 0.1, 0.2]


def test_validation_loss_is_read_from_the_remark():
    results = read_results().set_index("run")
    assert results.loc["user run, epoch 7", "validation_loss"] == 0.1050
    assert np.isnan(results.loc["paper", "validation_loss"])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv: no such file"):
        read_training_logs(str(tmp_path / "nothing.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a CSV table"),
        ("source,run\nx,y\n", "lacks the column code_version"),
        (",".join(LOG_COLUMNS) + "\n", "holds no rows"),
        (
            ",".join(LOG_COLUMNS) + "\ns,r,v,train_step,0,1,0.1,none told\n",
            "line 2: disc_loss is 'none told'",
        ),
        (",".join(LOG_COLUMNS) + "\ns,r,v,train_step,0,1,0.1,\n", "line 2: disc_loss is missing"),
        (",".join(LOG_COLUMNS) + "\ns,r,v,test,0,1,0.1,0.2\n", "unknown kind test"),
    ],
)
def test_damaged_table_is_refused(tmp_path, text, message):
    path = tmp_path / "logs.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_training_logs(str(path))
    assert str(path) in str(caught.value)


def test_code_versions_belong_to_families():
    assert code_family("before-refactor (an author's own fork)") == "before"
    assert code_family("after-refactor") == "after"
    assert code_family("after-refactor + batch-mean fix") == "fixed"
    assert code_family("unknown (July 2023)") == "other"


def test_the_best_result_of_each_version_is_told_with_how_many_there_are():
    versions = ["before-refactor", "after-refactor", "after-refactor", "unknown"]
    results = pd.DataFrame({"code_version": versions, "pesq": [3.28, 3.0, 2.1, np.nan]})
    assert results_in_words(results) == (
        "Published PESQ by version of the code: code before the refactoring at most 3.28 (1 result); code after it "
        "at most 3.00 (2 results)."
    )


def test_published_lines_exclude_the_claimed_skip_rate():
    text = skips_in_words(skip_table(read_training_logs()))
    assert "**0** log a loss of exactly 0" in text
    assert "after-seed-fix" not in text


def test_logs_full_of_zeros_do_not_exclude_it():
    logs = read_training_logs().assign(disc_loss=0.0)
    assert "the lines of no run exclude" in skips_in_words(skip_table(logs))


def test_best_run_is_set_against_the_healthy_band():
    logs, results = read_training_logs(), read_results()
    assert "(reproducer-B, 3.28)" in losses_in_words(discriminator_losses(logs, results))
    unknown = discriminator_losses(logs.assign(run="somebody"), results)
    assert "For none of these runs" in losses_in_words(unknown)


def test_validation_loss_is_set_against_pesq():
    results = read_results()
    assert "PESQ goes from 2.64 to 2.07" in validation_in_words(results)
    assert "Nobody published" in validation_in_words(results.assign(validation_loss=np.nan))
