"""How long the jobs of a run still take: what snakemake counts, at the pace at which jobs finished."""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from cmgan.progress import duration

COUNT_LINE = re.compile(r"(\w+) +(\d+)$")
FINISHED_LINE = re.compile(r"Finished jobid: \d+ \(Rule: (\w+)\)")
NOT_JOBS = ("all", "total")


class TimeLeft:
    """Reads snakemake's lines; timing is RUN/timing.csv, where a job notes its time as NN_RULE or NN_RULE-LABEL."""

    def __init__(self, timing: Path) -> None:
        self._timing = timing
        self._left: Counter[str] = Counter()
        self._done: Counter[str] = Counter()

    def read(self, line: str) -> None:
        """Note how many jobs there are of a kind, or that one is finished."""
        if finished := FINISHED_LINE.match(line):
            self._left[finished[1]] -= 1
            self._done[finished[1]] += 1
        elif not self._done and (count := COUNT_LINE.match(line.rstrip())) and count[1] not in NOT_JOBS:
            self._left[count[1]] = int(count[2])

    def words(self, elapsed: float) -> str:
        """ "about 12 min 30 s left" after `elapsed` seconds, jobs at work counted as not begun.

        "at least" while a kind of job is left of which none has been timed; empty while that is true of all.
        """
        each = self._mean_seconds()
        waiting = {rule: count for rule, count in self._left.items() if count > 0}
        done = sum(count * each.get(rule, 0.0) for rule, count in self._done.items())
        left = sum(count * each.get(rule, 0.0) for rule, count in waiting.items())
        if not done or not left:
            return ""
        return f"{'about' if waiting.keys() <= each.keys() else 'at least'} {duration(elapsed * left / done)} left"

    def _mean_seconds(self) -> dict[str, float]:
        if not self._timing.is_file():
            return {}
        times = defaultdict(list)
        with self._timing.open(newline="") as file:
            for row in csv.DictReader(file):
                times[row["job"].partition("-")[0].partition("_")[2]].append(float(row["seconds"]))
        return {rule: float(np.mean(seconds)) for rule, seconds in times.items()}
