"""Snakemake on a run's folder: what is asked of it, what of its output is shown, and how long it still takes."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cmgan.progress import duration
from cmgan.study.pipeline.time_left import TimeLeft

# Lines of run_notebook start with the notebook's number, snakemake's count of jobs with a number.
JOB_LINE = re.compile(r"\[\d\d_")
SHOWN_ON_ERROR = 10
STEPS_LINE = re.compile(r"(\d+) of (\d+) steps")


@dataclass(frozen=True)
class SnakemakeRun:
    """A run's folder and who works on it.

    root: the checkout whose code runs; folder: results/RUN, which holds profile.yaml; workers: options that say where
    jobs run; log: file name in the folder.
    """

    root: Path
    folder: Path
    workers: list[str]
    log: str = "snakemake.log"

    def is_up_to_date(self) -> bool:
        """Whether there is nothing to do for the report."""
        result = subprocess.run(
            self._command(["--dry-run", "--quiet", "all"]),
            cwd=self.root,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        # A dry run says so when every output is there and newer than what it depends on.
        return result.returncode == 0 and "Nothing to be done" in result.stdout + result.stderr

    def make(self, targets: list[str]) -> int:
        """Make files of the folder, [] for the report, showing the jobs' own lines; the exit code.

        All that snakemake says goes to the log.
        """
        # --quiet takes as many words as follow it: targets come first.
        command = self._command([*targets, "--keep-going", "--quiet", "rules", "host"])
        started, told = time.monotonic(), False
        time_left = TimeLeft(self.folder / "timing.csv")
        with (
            (self.folder / self.log).open("w") as log,
            subprocess.Popen(
                command,
                cwd=self.root,
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            for line in process.stdout:
                log.write(line)
                log.flush()
                elapsed = time.monotonic() - started
                time_left.read(line, elapsed)
                if JOB_LINE.match(line):
                    print(line, end="", flush=True)
                    told = told or "] failed:" in line
                elif steps := STEPS_LINE.match(line):
                    done = f"{steps[1]} of {steps[2]} jobs done after {duration(elapsed)}"
                    print(", ".join(filter(None, [done, time_left.words(elapsed)])), flush=True)
        if process.returncode and not told:
            # Snakemake itself stopped, before or between the jobs.
            last = (self.folder / self.log).read_text().splitlines()[-SHOWN_ON_ERROR:]
            print("\n".join(last), file=sys.stderr)
        return process.returncode

    def _command(self, options: list[str]) -> list[str]:
        snakefile, settings = self.root / "notebooks" / "Snakefile", self.folder / "profile.yaml"
        # What was made from what is noted in the folder, so that every checkout that works on it knows.
        places = [
            "--snakefile",
            str(snakefile),
            "--directory",
            str(self.folder),
            "--configfile",
            str(settings),
        ]
        # `run_locks` are the lock; a job cut off by a kill is done again.
        locks = ["--nolock", "--rerun-incomplete"]
        return [sys.executable, "-m", "snakemake", *places, *self.workers, *locks, *options]

    def _environment(self) -> dict[str, str]:
        """This environment with the running interpreter's `python` and this checkout's code first, for the jobs."""
        before = {name: os.environ.get(name, "") for name in ("PATH", "PYTHONPATH")}
        first = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(self.root)}
        return os.environ | {
            name: os.pathsep.join(filter(None, (first[name], before[name]))) for name in first
        }
