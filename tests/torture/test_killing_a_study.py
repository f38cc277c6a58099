"""A study killed fifty times and started again at once ends with the tables of one that nobody touched."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.torture
ROOT = Path(__file__).resolve().parents[2]
KILLS = 50
MARK = "CMGAN_TORTURE"
NETWORKS = ("generator.pt", "generator_best.pt", "discriminators.pt")


@dataclass
class Study:
    """A study of profile smoke in a checkout of its own; start_seconds: how long it took until its first job."""

    checkout: Path
    start_seconds: float = 0.0

    def __post_init__(self):
        shutil.copytree(ROOT / "notebooks", self.checkout / "notebooks")
        for package in ("cmgan", "data_prep"):
            (self.checkout / package).symlink_to(ROOT / package)

    @property
    def folder(self):
        return self.checkout / "results" / "smoke"

    @property
    def log(self):
        return self.checkout / "log"

    def start(self, cores):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        with self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cmgan.study.pipeline", "smoke", "--cores", str(cores)],
                cwd=self.checkout,
                env=environment | {MARK: str(self.checkout)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def finish(self, cores):
        started = time.monotonic()
        process = self.start(cores)
        self.wait(process, started, lambda: process.poll() is not None)
        assert process.returncode == 0, self.log.read_text()

    def wait(self, process, started, happened):
        """Wait, and note when the first job began."""
        noted = False
        while not happened() and process.poll() is None:
            if not noted and "asks:" in self.log.read_text():
                self.start_seconds, noted = time.monotonic() - started, True
            time.sleep(0.02)

    def jobs(self):
        """Names of the jobs that were done once at least."""
        timing = self.folder / "timing.csv"
        return set(pd.read_csv(timing)["job"]) if timing.exists() else set()

    def processes(self):
        """Every process that a start of this study has left."""
        mark, found = f"{MARK}={self.checkout}\0".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes())
            except OSError:
                continue
        return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    study = Study(tmp_path_factory.mktemp("undisturbed"))
    study.finish(cores=2)
    return study


def test_a_study_killed_fifty_times_ends_with_the_tables_of_one_that_nobody_touched(
    undisturbed, tmp_path, seen
):
    rng, study, done_at_kills = np.random.default_rng(0), Study(tmp_path / "killed"), []
    every = len(undisturbed.jobs())
    study.start_seconds = undisturbed.start_seconds
    for number in range(KILLS):
        how = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
        whole_group, cores = rng.random() < 0.5, 1 + number % 2
        # Spread over all jobs: within the start where more of them are done than that asks for, which else leaves
        # nothing to kill in the end, and up to well into a job where fewer are.
        enough = (every - 1) * number // KILLS
        delay = rng.uniform(0, 1 if len(study.jobs()) > enough else 2.5) * study.start_seconds
        started = time.monotonic()
        process = study.start(cores)
        study.wait(process, started, lambda enough=enough: len(study.jobs()) >= enough)
        until = time.monotonic() + delay
        study.wait(process, started, lambda until=until: time.monotonic() > until)
        if process.poll() is not None:
            # At the very end a start may finish the study before its kill.
            assert process.returncode == 0, study.log.read_text()
            continue
        (os.killpg if whole_group else os.kill)(process.pid, how)
        # Of SIGTERM alone, Snakemake waits for the jobs at work.
        process.wait(timeout=600)
        done_at_kills.append(len(study.jobs()))
    assert len(done_at_kills) >= 0.9 * KILLS
    study.finish(cores=2)

    deadline = time.monotonic() + 10
    while (left := study.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert_same_tables(study.folder, undisturbed.folder)
    assert_notebooks_whole(study.folder, undisturbed.jobs())
    assert_nothing_unfinished(study.folder, undisturbed.folder)
    span = f"{min(done_at_kills)} to {max(done_at_kills)} of {every}"
    seen(
        f"a study of profile smoke killed {len(done_at_kills)} times (SIGKILL, SIGTERM, SIGINT; process or group; "
        f"while {span} jobs were done) and started again at once, with one core and two in turn",
        "every table and network has the bytes of an undisturbed study, no notebook is half executed, nothing "
        "unfinished and no process is left",
    )


def assert_same_tables(folder, other):
    names = {path.relative_to(folder) for path in folder.rglob("*.csv") if ".snakemake" not in path.parts}
    assert names == {
        path.relative_to(other) for path in other.rglob("*.csv") if ".snakemake" not in path.parts
    }
    assert Path("report", "claims.csv") in names
    for name in sorted(names - {Path("timing.csv")}):
        ours, theirs = ((place / name).read_bytes() for place in (folder, other))
        if name.name == "steps.csv" or name.name == "corpus.csv":
            ours, theirs = (_without_times_and_paths(place / name) for place in (folder, other))
        assert ours == theirs, name
    for name in (path.relative_to(other) for path in other.rglob("*.pt") if path.name in NETWORKS):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def _without_times_and_paths(path):
    frame = pd.read_csv(path, dtype=str)
    if path.name == "corpus.csv":
        return frame.drop(columns=["clean_path", "noisy_path"]).to_csv()
    return frame.drop(columns="seconds").to_csv()


def assert_notebooks_whole(folder, jobs):
    notebooks = sorted((folder / "notebooks").glob("*.ipynb"))
    assert {path.stem for path in notebooks} == jobs
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        assert not notebook.metadata.papermill.exception, path
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
        assert all(cell.metadata.papermill.status == "completed" for cell in cells), path
        assert "</html>" in path.with_suffix(".html").read_text()[-20:], path


def assert_nothing_unfinished(folder, other):
    names = (
        {path.relative_to(one) for path in one.rglob("*") if ".snakemake" not in path.parts}
        for one in (folder, other)
    )
    ours, theirs = names
    assert ours == theirs
    assert not [
        path for path in ours if path.name in ("unfinished", ".lock") or path.suffix in (".partial", ".lock")
    ]
