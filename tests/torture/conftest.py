"""Faults made on purpose. What was tried and what happened becomes a table: `make torture` writes docs/faults.md."""

import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_corpus import write_tiny_corpus

FAULT = "fault"
HEAD = """# Faults tried, and what happened

Written by `make torture`, which makes each of these faults happen; a row stands here only where its test passed.
`make torture FORM=short`, `make test` and CI make all kinds of them, with fewer kills, flipped bits and PESQ calls.
Paths are shortened to `…`.

| fault | what happened |
|---|---|
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", type=Path, help="write the table of faults here")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--faults", None)
    # Processes that share the tests report to the one that shares them out.
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FaultTable(path))


class FaultTable:
    """Gathers what tests noted with `seen` and writes it once all have passed."""

    def __init__(self, path: Path):
        self.path, self.rows = path, {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.rows[report.nodeid] = [row for name, row in report.user_properties if name == FAULT]

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus == 0:
            rows = [row for test in sorted(self.rows) for row in self.rows[test]]
            self.path.write_text(HEAD + "".join(rows))


@pytest.fixture
def seen(tmp_path: Path, record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Note a fault and what happened, such as an error's words."""

    def note(fault: str, happened: object) -> None:
        short = re.sub(
            rf"(?:{re.escape(str(tmp_path))}|/tmp/pytest-[^ ]*?/corpus\d+)",
            "…",
            " ".join(str(happened).split()),
        )
        short = short.replace(f"{Path(__file__).parents[2]}/", "").replace("|", "\\|").replace("<", "&lt;")
        record_property(FAULT, f"| {fault} | {short} |\n")

    return note


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six utterances of 0.6 s, two of them for validation."""
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), np.random.default_rng(0))


@pytest.fixture(params=["a full disk", "a largest file size"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable]]:
    """A folder, and a context manager in which only files below a size can be written there, made in either way."""
    if request.param == "a largest file size":
        yield tmp_path, _largest_file
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield disk, lambda size: _filled(disk, size)
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _filled(disk: Path, free: int) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    os.truncate(filler, max(filler.stat().st_size - free, 0))
    try:
        yield
    finally:
        filler.unlink()
