"""How long the jobs of a run still take: what snakemake counts, at the pace at which jobs finished."""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from cmgan.progress import duration

COUNT_LINE = re.compile(r"(\w+) +(\d+)$")
FINISHED_LINE = re.compile(r"Finished jobid: \d+ \(Rule: (\w+)\)")
# What run_notebook says of its job; on a cluster it says so elsewhere.
JOB_LINE = re.compile(r"\[\d\d_(\w+)(.*?)\] (started|finished in|failed:)")
NOT_JOBS = ("all", "total")


class TimeLeft:
    """Reads snakemake's lines; timing is RUN/timing.csv, where a job notes its time as NN_RULE or NN_RULE-LABEL."""

    def __init__(self, timing: Path) -> None:
        self._timing = timing
        self._left: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._begun: dict[tuple[str, str], float] = {}
        self._counted: Counter[str] = Counter()

    def read(self, line: str, elapsed: float) -> None:
        """Note, `elapsed` seconds after the start, how many jobs there are of a kind, or that one began or ended."""
        if job := JOB_LINE.match(line):
            rule, label, event = job.groups()
            if event == "started":
                self._begun[rule, label] = elapsed
            else:
                self._begun.pop((rule, label), None)
            if event == "finished in":
                self._counted[rule] += 1
                self._count(rule)
        elif finished := FINISHED_LINE.match(line):
            # Of a job whose own line was shown, this comes second, and late where several end together.
            if self._counted[finished[1]]:
                self._counted[finished[1]] -= 1
            else:
                self._count(finished[1])
        elif not self._done and (count := COUNT_LINE.match(line.rstrip())) and count[1] not in NOT_JOBS:
            self._left[count[1]] = int(count[2])

    def words(self, elapsed: float) -> str:
        """ "about 12 min 30 s left" after `elapsed` seconds, at the pace so far.

        "at least" while a kind of job is left of which none has been timed; empty while that is true of all.
        """
        each = self._mean_seconds()
        waiting = {rule: count for rule, count in self._left.items() if count > 0}
        done = sum(count * each.get(rule, 0.0) for rule, count in self._done.items())
        left = sum(count * each.get(rule, 0.0) for rule, count in waiting.items())
        part = sum(min(elapsed - begun, each.get(rule, 0.0)) for (rule, _), begun in self._begun.items())
        if not done or left <= part:
            return ""
        seconds = elapsed * (left - part) / (done + part)
        return f"{'about' if waiting.keys() <= each.keys() else 'at least'} {duration(seconds)} left"

    def _count(self, rule: str) -> None:
        self._left[rule] -= 1
        self._done[rule] += 1

    def _mean_seconds(self) -> dict[str, float]:
        if not self._timing.is_file():
            return {}
        times = defaultdict(list)
        with self._timing.open(newline="") as file:
            for row in csv.DictReader(file):
                times[row["job"].partition("-")[0].partition("_")[2]].append(float(row["seconds"]))
        return {rule: float(np.mean(seconds)) for rule, seconds in times.items()}
