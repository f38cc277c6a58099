"""Compilers that are missing, fail or hang, and cache folders that take nothing: torch takes over, said once."""

import logging
import subprocess
from pathlib import Path

import pytest
import torch

from cmgan.kernels import library, torch_only
from cmgan.models.conformer import ConformerBlock
from tests.processes import gone


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache, and a process in which nothing was compiled yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(library, "_failures", [])
    library.native_library.cache_clear()
    yield tmp_path / "cache"
    library.native_library.cache_clear()


@pytest.fixture
def told(caplog):
    """A function that returns the one line that the kernels log, and checks that the numbers are torch's."""
    block, x = ConformerBlock(16, 0.0, axis=1), torch.randn(1, 9, 5, 16)
    with torch_only():
        expected = block(x)

    def compare():
        with caplog.at_level(logging.WARNING):
            assert torch.equal(block(x), expected)
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith("networks run in torch, slower and with more memory: ")
        assert "\n" not in line
        return line

    return compare


def _no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("no compiler", "no C compiler found"),
        ("a compiler that fails", "non-zero exit status 1"),
        ("a flag that the compiler does not know", "no-such-flag"),
        ("a compiler that hangs", "took more than 0.5 s"),
        ("a cache folder that cannot be made", "Not a directory"),
        ("a user without a home", "Could not determine home directory"),
    ],
)
def test_without_a_working_compiler_torch_takes_over(cache, told, monkeypatch, tmp_path, seen, fault, reason):
    hanging = tmp_path / "cc"
    hanging.write_text(f"#!/bin/sh\nsleep 70 & echo $! > {tmp_path}/child; wait\n")
    hanging.chmod(0o755)
    compilers = {
        "a compiler that fails": "false",
        "a flag that the compiler does not know": "cc --no-such-flag",
        "a compiler that hangs": str(hanging),
    }
    monkeypatch.setattr(library, "COMPILER_SECONDS", 0.5)
    if fault in compilers:
        monkeypatch.setenv("CC", compilers[fault])
    elif fault == "no compiler":
        monkeypatch.setattr(library.shutil, "which", lambda _: None)
    elif fault == "a cache folder that cannot be made":
        monkeypatch.setenv("XDG_CACHE_HOME", str(hanging / "below a file"))
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", _no_home)
    line = told()
    assert reason in line
    assert not [path for path in cache.rglob("*") if path.is_file()]
    if fault == "a compiler that hangs":
        assert gone(int((tmp_path / "child").read_text()), 2), "what the compiler started outlives it"
    seen(f"kernels: {fault}", line)


@pytest.mark.parametrize(("fault", "option"), [("read-only", "ro"), ("full", "size=4k")])
def test_a_cache_folder_that_takes_nothing_is_told(cache, told, seen, fault, option):
    cache.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", cache], check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        line = told()
        assert not [path for path in cache.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", cache], check=True)
    seen(f"kernels: a cache folder that is {fault}", line)
