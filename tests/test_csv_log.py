import pandas as pd
import pytest

from cmgan.csv_log import CsvLog, keep_rows_up_to


def test_missing_values_are_empty_cells(tmp_path):
    log = CsvLog(tmp_path / "steps.csv")
    log.append({"step": 1, "loss": float("nan"), "reason": None})
    assert (tmp_path / "steps.csv").read_text().split() == ["step,loss,reason", "1,,"]


def test_a_log_taken_up_again_continues_the_same_table(tmp_path):
    path = tmp_path / "steps.csv"
    CsvLog(path).append({"step": 1, "loss": 0.5})
    CsvLog(path).append({"step": 2, "loss": 0.4})
    assert pd.read_csv(path)["step"].tolist() == [1, 2]


def test_other_columns_than_the_first_rows_are_refused(tmp_path):
    log = CsvLog(tmp_path / "steps.csv")
    log.append({"step": 1})
    with pytest.raises(ValueError, match="loss"):
        log.append({"loss": 1})


def test_rows_of_hostile_names_are_kept_whole(tmp_path):
    names = ["two\nlines", "line\u2028separator", 'quo"te', "tab\t,comma", "\x0bvertical"]
    log = CsvLog(tmp_path / "validation.csv")
    for step, name in enumerate(names):
        log.append({"id": name, "step": step})
    before = log.path.read_bytes()
    keep_rows_up_to(log.path, "step", 99)
    assert log.path.read_bytes() == before
    keep_rows_up_to(log.path, "step", 2)
    assert pd.read_csv(log.path)["id"].tolist() == names[:3]
    log.path.write_bytes(before[: before.index(b"lines")])
    keep_rows_up_to(log.path, "step", 2)
    assert log.path.read_text() == "id,step\n"


def test_rows_beyond_the_checkpoint_are_dropped_even_when_the_last_was_cut_off(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("epoch,step,loss\n1,1,0.50\n1,2,0.25\n2,3,0.20\n2,")
    keep_rows_up_to(path, "epoch", 1)
    assert path.read_text() == "epoch,step,loss\n1,1,0.50\n1,2,0.25\n"
