"""Which inputs the compiled kernels take, and what is said where they take none."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cmgan.kernels import conformer, library, takes, torch_only
from cmgan.models.conformer import ConformerBlock


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library, "_failures", [])
    library.native_library.cache_clear()
    yield tmp_path / "cmgan"
    library.native_library.cache_clear()


def test_float32_on_the_cpu_is_taken_outside_of_autocast_and_of_the_switch() -> None:
    x = torch.zeros(3, 16)
    if library.native_library(conformer.SOURCE) is None:
        pytest.skip("no C compiler: nothing is taken")
    assert takes(x, conformer.SOURCE, 16, 32)
    assert not takes(x.double(), conformer.SOURCE, 16)
    assert not takes(x.to("meta"), conformer.SOURCE, 16)
    assert not takes(x, conformer.SOURCE, 16, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert not takes(x, conformer.SOURCE, 16)
    with torch_only():
        assert not takes(x, conformer.SOURCE, 16)
    assert takes(x, conformer.SOURCE, 16)


def _script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("no compiler", "no C compiler found"),
        ("failing compiler", "non-zero exit status 1"),
        ("wrong flag", "no-such-flag"),
        ("hanging compiler", "timed out after 0.5 seconds"),
        ("no cache folder", "Not a directory"),
        ("no home", "Could not determine home directory"),
    ],
)
def test_without_a_working_compiler_torch_takes_over_and_says_so_once(
    fault: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    empty_cache: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    block, x = ConformerBlock(16, 0.0, axis=1), torch.randn(1, 9, 5, 16)
    with torch_only():
        expected = block(x)
    compilers = {"failing compiler": "false", "wrong flag": "cc --no-such-flag"}
    compilers["hanging compiler"] = _script(tmp_path / "cc", f"sleep 70 & echo $! > {tmp_path}/child; wait")
    if fault in compilers:
        monkeypatch.setenv("CC", compilers[fault])
    monkeypatch.setattr(library, "COMPILER_SECONDS", 0.5)
    if fault == "no compiler":
        monkeypatch.setattr(library.shutil, "which", lambda _: None)
    elif fault == "no cache folder":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cc" / "below a file"))
    elif fault == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", _no_home)
    with caplog.at_level(logging.WARNING):
        actual = block(x)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("networks run in torch, slower and with more memory: ")
    assert reason in told
    assert "\n" not in told
    assert torch.equal(actual, expected)
    assert not empty_cache.exists() or not any(empty_cache.iterdir())
    if fault == "hanging compiler":
        assert _gone(int((tmp_path / "child").read_text())), "what the compiler started outlives it"


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def _gone(process: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_width_without_a_kernel_is_named(caplog: pytest.LogCaptureFixture) -> None:
    library._warn_of.cache_clear()
    with caplog.at_level(logging.WARNING):
        ConformerBlock(24, 0.0, axis=1)(torch.randn(1, 3, 3, 24))
    assert "24 channels run in torch" in caplog.text
    assert "multiple of 16" in caplog.text


def test_a_source_is_compiled_once_and_found_again(empty_cache: Path) -> None:
    if library.native_library("dense_net.c") is None:
        pytest.skip("no C compiler")
    (compiled,) = empty_cache.iterdir()
    written = compiled.stat().st_mtime_ns
    library.native_library.cache_clear()
    assert library.native_library("dense_net.c") is not None
    assert compiled.stat().st_mtime_ns == written
