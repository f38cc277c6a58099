"""Snakemake on a run's folder, in this process: what is asked of it, and what of its events a person is told.

Which jobs there are, which ended and which failed comes from Snakemake's logger interface, through a handler that is
registered as if an installed plugin had brought it. What Snakemake does not know is how long a job takes: timing.csv
says it, also after an interruption, and from both follows the time left.
"""

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pandas as pd
from snakemake.cli import args_to_api, parse_args
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.registry.plugin import Plugin

from cmgan.progress import duration
from cmgan.study.run_access import STUDY, date_now

LOGGER = "study"


class JobReporter(LogHandlerBase):
    """Prints where the jobs stand each time that one ended, and what failed.

    jobs: how many there were to do; timing: RUN/timing.csv, where a job notes its time as NN_RULE or NN_RULE-LABEL.
    """

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = False
    needs_rulegraph = False

    def __init__(self, timing: Path) -> None:
        super().__init__(common_settings=None, settings=None)
        self.jobs = 0
        self._timing, self._started = timing, time.time()
        self._left: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._at_work: dict[int, tuple[str, float]] = {}
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one of Snakemake's events."""
        event, elapsed = getattr(record, "event", None), record.created - self._started
        if event == LogEvent.RUN_INFO:
            self._left = Counter(
                {rule: n for rule, n in record.stats.items() if rule not in ("all", "total")}
            )
            self.jobs = self._left.total()
        elif event == LogEvent.JOB_INFO:
            self._at_work[record.jobid] = (record.rule_name, elapsed)
        elif event == LogEvent.JOB_FINISHED and record.job_id in self._at_work:
            rule, _ = self._at_work.pop(record.job_id)
            self._left[rule] -= 1
            self._done[rule] += 1
            if rule != "all":
                counted = f"{self._done.total()} of {self.jobs} jobs done after {duration(elapsed)}"
                print(", ".join(filter(None, [counted, self.time_left(elapsed)])), flush=True)
        elif event == LogEvent.JOB_ERROR:
            self._at_work.pop(record.jobid, None)
            self._failed = True
            logs = ", ".join(str(self._timing.parent / log) for log in record.log)
            print(f"{record.rule_name} failed: see {logs}", flush=True)
        elif event == LogEvent.ERROR and record.exception != "RuleException" and not self._failed:
            # Snakemake itself stopped: a job's own failure, a RuleException first, is told above.
            print(self.format(record), file=sys.stderr, flush=True)

    def time_left(self, elapsed: float) -> str:
        """ "about 12 min 30 s left" after `elapsed` seconds, at the pace so far.

        "at least" while a kind of job is left of which none has been timed; empty while that is true of all.
        """
        each = self._mean_seconds()
        waiting = +self._left
        done = sum(count * each.get(rule, 0.0) for rule, count in self._done.items())
        left = sum(count * each.get(rule, 0.0) for rule, count in waiting.items())
        part = sum(min(elapsed - begun, each.get(rule, 0.0)) for rule, begun in self._at_work.values())
        if not done or left <= part:
            return ""
        seconds = elapsed * (left - part) / (done + part)
        return f"{'about' if waiting.keys() <= each.keys() else 'at least'} {duration(seconds)} left"

    def _mean_seconds(self) -> dict[str, float]:
        if not self._timing.is_file():
            return {}
        timed = pd.read_csv(self._timing)
        rules = timed["job"].str.extract(r"_(\w+)", expand=False)
        return timed["seconds"].groupby(rules).mean().to_dict()


@contextmanager
def _ending_at_once() -> Iterator[None]:
    """Where Ctrl-C ends this process at once, and so its jobs.

    Snakemake would wait for them, hours perhaps, and then throw away what they made.
    """

    def end(*_: object) -> None:
        os.write(2, b"\nInterrupted: the jobs at work end, and the same command goes on from here.\n")
        os._exit(128 + signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:
        signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def make(targets: list[str], root: Path, folder: Path, workers: list[str]) -> int:
    """Make files of results/RUN, [] for the report, and return how many jobs that took.

    Ends with a message that says how to go on where a job fails. The jobs find this interpreter's `python` and this
    checkout's code first. root: the checkout whose code runs; folder: results/RUN, which holds profile.yaml;
    workers: options that say where jobs run.
    """
    if late := date_now(folder):
        print(f"{late} files are dated in the future, as after a clock was set back: dated now", flush=True)
    for name, first in (("PATH", Path(sys.executable).parent), ("PYTHONPATH", root)):
        os.environ[name] = os.pathsep.join(filter(None, (str(first), os.environ.get(name))))
    local = workers[0] == "--cores"
    if local:
        os.environ[STUDY] = str(os.getpid())
    reporter = JobReporter(folder / "timing.csv")
    LoggerPluginRegistry().plugins[LOGGER] = Plugin(lambda *_: reporter, None, LOGGER)
    # What was made from what is noted in the folder, so that every checkout that works on it knows.
    places = ["--snakefile", root / "notebooks" / "Snakefile", "--directory", folder]
    settings = ["--configfile", folder / "profile.yaml", *workers, "--keep-going", "--logger", LOGGER]
    # The locks are those of `run`; a job cut off by a kill is done again.
    locks = ["--nolock", "--rerun-incomplete"]
    started = time.monotonic()
    parser, arguments = parse_args([str(word) for word in (*targets, *places, *settings, *locks)])
    with _ending_at_once() if local else nullcontext():
        done = args_to_api(arguments, parser)
    if not done:
        sys.exit(
            f"The run stopped after {duration(time.monotonic() - started)}: lines above marked 'failed' say why, the "
            f"executed notebooks they name show where ({folder / '.snakemake' / 'log'} has the rest). The same "
            "command goes on from here."
        )
    return reporter.jobs
