"""Files are whole or absent."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from data_prep.whole_files import alone_in, held, whole_file, write_table, write_text


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
    with pytest.raises(KeyboardInterrupt), whole_file(folder) as left:
        raise KeyboardInterrupt
    left.mkdir()
    (left / "old").write_text("old")
    with whole_file(folder) as partial:
        partial.mkdir()
        (partial / "new").write_text("new")
    assert [file.name for file in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_second_writer_of_a_path_waits_for_the_first_and_both_write_it_whole(tmp_path: Path):
    path = tmp_path / "scores.csv"
    second = threading.Thread(target=write_text, args=["second", path])
    with whole_file(path) as partial:
        partial.write_text("fir")
        second.start()
        second.join(0.2)
        assert second.is_alive()
        with partial.open("a") as file:
            file.write("st")
    second.join()
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import sys
from pathlib import Path
from data_prep.whole_files import whole_file
for count in range(100):
    with whole_file(Path(sys.argv[1])) as partial, partial.open("w") as file:
        for _ in range(20):
            file.write(sys.argv[2] * 1000)
            file.flush()
"""


def test_of_several_processes_that_write_one_file_none_fails_and_it_is_whole_at_any_time(tmp_path: Path):
    path = tmp_path / "scores.csv"
    path.write_text("a" * 20_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, letter]) for letter in "abc"]
    torn, seen = set(), 0
    while any(writer.poll() is None for writer in writers):
        text = path.read_text()
        seen += 1
        if len(text) != 20_000 or len(set(text)) != 1:
            torn.add(text)
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert seen > 10
    assert not torn
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_that_a_killed_process_left_is_free(tmp_path: Path):
    lock = tmp_path / "held"
    code = f"""
from pathlib import Path
from data_prep.whole_files import held
with held(Path({str(lock)!r})):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match="at work"), held(lock, "another is at work"):
            pytest.fail("both hold it")
        other.kill()
    assert lock.exists()
    with held(lock, "another is at work"):
        pass
    assert not lock.exists()


def test_where_a_file_system_has_no_locks_nobody_waits_and_nobody_is_refused(tmp_path: Path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with alone_in(tmp_path / "corpus"), alone_in(tmp_path / "corpus"):
        write_text("written", tmp_path / "corpus" / "manifest.csv")
    assert (tmp_path / "corpus" / "manifest.csv").read_text() == "written"


def test_the_same_text_keeps_the_files_time_and_another_does_not(tmp_path: Path):
    path = tmp_path / "made" / "table.csv"
    write_table(pd.DataFrame({"pesq": [1.5]}), path)
    os.utime(path, (1, 1))
    write_text("pesq\n1.5\n", path)
    assert path.stat().st_mtime == 1
    write_text("pesq\n1.6\n", path)
    assert path.stat().st_mtime > 1
