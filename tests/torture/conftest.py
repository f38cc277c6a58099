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

ROWS = pytest.StashKey[list]()
HEAD = """# Faults tried, and what happened

Written by `make torture`, which makes each of these faults happen; a row stands here only where its test passed.
`make torture FORM=short`, `make test` and CI make all kinds of them, with fewer kills, flipped bits and PESQ calls.
Paths are shortened to `…`.

| fault | what happened |
|---|---|
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", type=Path, help="write the table of faults here")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path = session.config.getoption("--faults", None)
    if path and exitstatus == 0:
        rows = [f"| {fault} | {happened} |\n" for fault, happened in session.config.stash.get(ROWS, [])]
        path.write_text(HEAD + "".join(rows))


@pytest.fixture
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, object], None]:
    """Note a fault and what happened, such as an error's words."""
    rows = request.config.stash.setdefault(ROWS, [])

    def note(fault: str, happened: object) -> None:
        short = re.sub(
            rf"(?:{re.escape(str(tmp_path))}|/tmp/pytest-[^ ]*?/corpus\d+)",
            "…",
            " ".join(str(happened).split()),
        )
        short = short.replace(f"{Path(__file__).parents[2]}/", "")
        rows.append((fault, short.replace("|", "\\|").replace("<", "&lt;")))

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
