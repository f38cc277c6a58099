"""What a person is told while Snakemake works, and what stays to be done after a failure."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from cmgan.csv_log import CsvLog
from cmgan.study.pipeline.snakemake_run import JobReporter, make

SNAKEFILE = """
rule all:
    input: "report.html"

rule first:
    output: "manifest.csv"
    shell: "touch {output}"

rule second:
    input: "manifest.csv"
    output: "report.html"
    log: "notebooks/02_second.ipynb"
    shell: "false"
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "profile.yaml").write_text("run: tried\n")
    return tmp_path


def make_report(checkout, snakefile=SNAKEFILE):
    (checkout / "notebooks" / "Snakefile").write_text(snakefile)
    return make([], checkout, checkout / "results", ["--cores", "1"])


def test_a_run_stops_at_what_fails_goes_on_from_there_and_then_has_nothing_to_do(checkout, capfd):
    with pytest.raises(SystemExit, match="goes on from here"):
        make_report(checkout)
    told = capfd.readouterr()
    assert f"second failed: see {checkout}/results/notebooks/02_second.ipynb" in told.out
    assert told.err == ""
    repaired = SNAKEFILE.replace("false", "touch {output}")
    assert make_report(checkout, repaired) == 1
    assert "1 of 1 jobs done" in capfd.readouterr().out
    assert make_report(checkout, repaired) == 0
    assert capfd.readouterr() == ("", "")


def test_an_error_of_snakemake_itself_is_told(checkout, capfd):
    with pytest.raises(SystemExit, match="The run stopped"):
        make_report(checkout, f"{SNAKEFILE}\nrule third:\n    nonsense: 3\n")
    assert "Unexpected keyword nonsense" in capfd.readouterr().err


SLOW_CELL = """
import os, time
from pathlib import Path
Path("kernel").write_text(str(os.getpid()))
time.sleep(60)
"""
MAKE = """
import sys
from pathlib import Path
from cmgan.study.pipeline.snakemake_run import make
make([], Path(), Path("results"), ["--cores", "1"])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=lambda how: how.name)
def test_a_job_and_its_kernel_end_with_a_run_that_is_killed_alone(checkout, how):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [
        nbformat.v4.new_markdown_cell("# 1.\n\n**Question.** Why?"),
        nbformat.v4.new_code_cell(SLOW_CELL),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=kernel)
    nbformat.write(notebook, checkout / "notebooks" / "01_slow.ipynb")
    (checkout / "notebooks" / "Snakefile").write_text(
        """
rule all:
    input: "never"

rule slow:
    output: "never"
    shell: "cd {workflow.basedir:q}/.. && python -m cmgan.study.pipeline.run_notebook 01_slow results"
"""
    )
    search_path = str(Path(__file__).parents[3])
    run = subprocess.Popen(
        [sys.executable, "-c", MAKE],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": search_path},
        # What a shell starts in the background ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    named = checkout / "notebooks" / "kernel"
    _wait_until(lambda: named.exists() and named.read_text(), 60)
    process = Path("/proc") / named.read_text()
    run.send_signal(how)
    run.wait(timeout=10)
    try:
        _wait_until(lambda: not process.exists(), 10)
    finally:
        if process.exists():
            os.kill(int(process.name), signal.SIGKILL)


def _wait_until(happened, seconds):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Jobs:
    """Four trainings and two evaluations, of which a reporter is told."""

    def __init__(self, folder):
        self.timing = CsvLog(folder / "timing.csv")
        self.reporter = JobReporter(folder / "timing.csv")
        self.started = time.time()
        self.tell(0, LogEvent.RUN_INFO, stats={"training": 4, "evaluation": 2, "all": 1, "total": 7})

    def tell(self, elapsed, event, **said):
        record = {"created": self.started + elapsed, "event": event, "levelno": logging.INFO}
        self.reporter.emit(logging.makeLogRecord(record | said))

    def begin(self, rule, *numbers, at=0):
        for number in numbers:
            self.tell(at, LogEvent.JOB_INFO, jobid=number, rule_name=rule)

    def finish(self, name, number, seconds, at):
        self.timing.append({"job": name, "seconds": seconds, "peak_mib": 1})
        self.tell(at, LogEvent.JOB_FINISHED, job_id=number)


@pytest.fixture
def jobs(tmp_path):
    return Jobs(tmp_path)


def test_two_jobs_at_a_time_halve_the_time_left(jobs, capsys):
    jobs.begin("training", 1, 2)
    assert jobs.reporter.time_left(10) == ""
    jobs.finish("04_training-published-0", 1, 60, at=60)
    jobs.finish("04_training-published-1", 2, 60, at=60)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "2 of 6 jobs done after 1 min 00 s, at least 1 min 00 s left"
    jobs.begin("evaluation", 3, at=60)
    jobs.finish("05_evaluation-published-0", 3, 10, at=65)
    assert capsys.readouterr().out == "3 of 6 jobs done after 1 min 05 s, about 1 min 05 s left\n"


def test_a_job_at_work_counts_by_the_time_it_has_had_and_one_that_failed_does_not(jobs, tmp_path, capsys):
    jobs.begin("training", 1, 2)
    jobs.finish("04_training-published-0", 1, 60, at=60)
    # One training is done and another nearly, of four.
    assert jobs.reporter.time_left(60) == "at least 1 min 00 s left"
    capsys.readouterr()
    jobs.tell(60, LogEvent.JOB_ERROR, jobid=2, rule_name="training", log=["notebooks/04_training-a-0.ipynb"])
    assert capsys.readouterr().out == f"training failed: see {tmp_path}/notebooks/04_training-a-0.ipynb\n"
    assert jobs.reporter.time_left(60) == "at least 3 min 00 s left"
