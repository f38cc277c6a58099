"""Which inputs the compiled kernels take, and what is said where they take none."""

import logging
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
