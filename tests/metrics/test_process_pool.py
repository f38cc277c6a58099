"""The pool lives through what its calls do to their processes, and dies with its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmgan.metrics.process_pool import ProcessPool, WorkerError, WorkerStartError
from tests.processes import alive, gone

ROOT = Path(__file__).resolve().parents[2]

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="there is no /proc to look processes up in"
)


def test_workers_that_score_labels_import_neither_torch_nor_scipy():
    with ProcessPool("tests.metrics.scoring_doubles:loaded_modules", 1) as pool:
        loaded = pool.submit().result()
    assert {"cmgan", "pesq", "numpy"} <= set(loaded)
    assert not {"torch", "scipy", "pandas"} & set(loaded)


@needs_proc
def test_leaving_the_block_ends_the_workers_and_cancels_what_waits():
    with ProcessPool("tests.metrics.scoring_doubles:process_id", 1) as pool:
        worker = pool.submit().result()
        assert alive(worker)
    assert gone(worker)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit()


@needs_proc
def test_leaving_the_block_does_not_wait_for_a_call_that_hangs(tmp_path):
    with ProcessPool("tests.metrics.scoring_doubles:write_then_hang", 1) as pool:
        hanging, queued = (pool.submit(str(tmp_path / name)) for name in ("hanging", "queued"))
        while not (tmp_path / "hanging").exists():
            time.sleep(0.01)
    assert isinstance(hanging.exception(), WorkerError)
    assert queued.cancelled()
    assert gone(int((tmp_path / "hanging").read_text()))


PARENT = """
import sys, time
from cmgan.metrics.process_pool import ProcessPool
pool = ProcessPool("tests.metrics.scoring_doubles:process_id", 2)
ids = {pool.submit().result() for _ in range(20)}
print(*ids, flush=True)
time.sleep(60)
"""


@needs_proc
def test_workers_notice_that_their_parent_was_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    workers = [int(number) for number in parent.stdout.readline().split()]
    assert workers
    assert all(map(alive, workers))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert all(map(gone, workers))


ORPHANING_PARENT = """
import sys, time
from cmgan.metrics.process_pool import ProcessPool
ProcessPool("tests.metrics.scoring_doubles:write_then_hang", 1).submit(sys.argv[1])
time.sleep(60)
"""


@needs_proc
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends with its call")
def test_a_worker_in_the_middle_of_a_call_ends_with_its_killed_parent(tmp_path):
    note = tmp_path / "worker"
    parent = subprocess.Popen([sys.executable, "-c", ORPHANING_PARENT, str(note)], cwd=ROOT)
    while not (note.exists() and note.read_text()):
        time.sleep(0.01)
    assert alive(int(note.read_text()))
    parent.kill()
    parent.wait()
    assert gone(int(note.read_text()), seconds=2)


STOPPED_PARENT = """
from cmgan.metrics.process_pool import ProcessPool
with ProcessPool("tests.metrics.scoring_doubles:nap", 1, timeout_s=2.0) as pool:
    print(pool.submit().result(), flush=True)
    last = pool.submit()
    print("asked", flush=True)
    print(last.result())
"""


def test_time_in_which_the_whole_job_is_stopped_does_not_count():
    parent = subprocess.Popen(
        [sys.executable, "-c", STOPPED_PARENT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout.readline() == "awake\n"
    assert parent.stdout.readline() == "asked\n"
    time.sleep(0.2)
    os.killpg(parent.pid, signal.SIGSTOP)
    time.sleep(3)
    os.killpg(parent.pid, signal.SIGCONT)
    assert parent.communicate(timeout=30)[0] == "awake\n"
    assert parent.returncode == 0


@needs_proc
def test_an_interrupt_of_the_process_group_leaves_the_decision_to_the_parent():
    with ProcessPool("tests.metrics.scoring_doubles:process_id", 1) as pool:
        worker = pool.submit().result()
        os.kill(worker, signal.SIGINT)
        assert pool.submit().result() == worker


def test_a_function_that_cannot_be_imported_is_an_error_not_a_wait(capfd):
    with (
        ProcessPool("tests.metrics.scoring_doubles:no_such_function", 1) as pool,
        pytest.raises(WorkerStartError, match=r"no_such_function.*before its first call"),
    ):
        pool.submit().result()
    assert "no_such_function" in capfd.readouterr().err
