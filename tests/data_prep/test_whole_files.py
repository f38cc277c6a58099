"""Files are whole or absent."""

import os
from pathlib import Path

import pandas as pd
import pytest

from data_prep.whole_files import whole_file, write_table, write_text


def test_a_block_that_fails_leaves_the_earlier_file_and_no_partial_one(tmp_path: Path):
    path = tmp_path / "scores.csv"
    path.write_text("before")

    def interrupted() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["scores.csv"]


def test_what_an_interrupted_write_left_is_not_mixed_in(tmp_path: Path):
    folder = tmp_path / "unpacked"
    (tmp_path / ".unpacked.partial").mkdir()
    (tmp_path / ".unpacked.partial" / "old").write_text("old")
    with whole_file(folder) as partial:
        partial.mkdir()
        (partial / "new").write_text("new")
    assert [file.name for file in folder.iterdir()] == ["new"]


def test_the_same_text_keeps_the_files_time_and_another_does_not(tmp_path: Path):
    path = tmp_path / "made" / "table.csv"
    write_table(pd.DataFrame({"pesq": [1.5]}), path)
    os.utime(path, (1, 1))
    write_text("pesq\n1.5\n", path)
    assert path.stat().st_mtime == 1
    write_text("pesq\n1.6\n", path)
    assert path.stat().st_mtime > 1
