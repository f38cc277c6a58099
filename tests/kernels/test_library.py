"""Which inputs the compiled kernels take, and what is said where they take none."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

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
    assert takes(x, conformer.SOURCE)
    assert not takes(x.double(), conformer.SOURCE)
    assert not takes(x.to("meta"), conformer.SOURCE)
    with torch.autocast("cpu", torch.bfloat16):
        assert not takes(x, conformer.SOURCE)
    with torch_only():
        assert not takes(x, conformer.SOURCE)
    assert takes(x, conformer.SOURCE)


@given(width=st.integers(0, 40), axis=st.sampled_from([0, 1, -1, -2]), multiple=st.sampled_from([4, 16]))
def test_padding_ends_at_a_multiple_and_is_cut_off_again(width: int, axis: int, multiple: int) -> None:
    array = torch.randn(3, 3).index_select(axis, torch.arange(width) % 3)
    filled = library.padded(array, axis, multiple=multiple)
    assert filled.shape[axis] % multiple == 0
    assert filled.shape[axis] - width < multiple
    assert filled.count_nonzero() == array.count_nonzero()
    torch.testing.assert_close(library.without_padding(filled, width, axis), array, rtol=0, atol=0)


def test_a_source_is_compiled_once_and_found_again(empty_cache: Path) -> None:
    if library.native_library("dense_net.c") is None:
        pytest.skip("no C compiler")
    (compiled,) = empty_cache.iterdir()
    written = compiled.stat().st_mtime_ns
    library.native_library.cache_clear()
    assert library.native_library("dense_net.c") is not None
    assert compiled.stat().st_mtime_ns == written


def test_a_kernel_refuses_arrays_of_another_shape_or_type() -> None:
    x, step = torch.zeros(3, 16), nn.Linear(16, 16)
    with pytest.raises(ValueError, match=r"of shape \(2, 16\) in place of \(3, 16\)"):
        conformer.added_linear(torch.zeros(2, 16), x, step.weight, step.bias, 0.0)
    with pytest.raises(ValueError, match=r"of shape \(48, 16\) in place of \(48, 15\)"):
        conformer.DepthwiseConv.apply(torch.zeros(1, 2, 2, 15), torch.zeros(16, 1, 48), torch.zeros(16), 1)
    with pytest.raises(ValueError, match="float64"):
        library.pointer(x.double())
    with pytest.raises(ValueError, match=r"strides \(1, 16\)"):
        library.pointer(x.T)


def test_threads_of_our_own_take_the_shares_where_torch_has_no_openmp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if library.native_library(conformer.SOURCE) is None:
        pytest.skip("no C compiler")
    block, x, before = ConformerBlock(16, 0.0, axis=2), torch.randn(2, 7, 9, 16), torch.get_num_threads()

    def gradients() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(block(x).square().sum(), list(block.parameters()))

    try:
        torch.set_num_threads(3)
        expected = gradients()
        monkeypatch.setattr(library, "_openmp", lambda: None)
        assert all(map(torch.equal, gradients(), expected))
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("empty_cache")
def test_what_computes_is_said_with_compiler_and_vectors_or_why_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library.arithmetic.cache_clear()
    if library.native_library("dense_net.c") is not None and not torch.cuda.is_available():
        assert re.fullmatch(
            r"torch \S+, kernels by .+ with vectors of (128|256|512) bits", library.arithmetic()
        )
    library.native_library.cache_clear()
    library.arithmetic.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    said = library.arithmetic()
    library.arithmetic.cache_clear()
    assert torch.cuda.is_available() or said.endswith(
        "without compiled kernels (no C compiler found, install gcc)"
    )
