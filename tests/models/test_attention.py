"""Relative attention: the compiled kernel, torch and the literal equations agree."""

import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cmgan.kernels import library as library_module
from cmgan.kernels.library import native_library
from cmgan.kernels.relative_attention import attention_kernel
from cmgan.models.attention import REACH, RelativeAttention
from cmgan.models.conformer import ConformerBlock
from tests.oracles.generator import Attention as LiteralAttention


@pytest.fixture
def compiled() -> None:
    if attention_kernel(4) is None:
        pytest.skip("no C compiler: there is no kernel to test")


def twins(channels: int) -> tuple[RelativeAttention, LiteralAttention]:
    attention, literal = RelativeAttention(channels, 0.0), LiteralAttention(channels, 0.0)
    literal.load_state_dict(attention.state_dict())
    return attention, literal


def gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("positions", [1, 2, 15, 16, 17, 40])
def test_torch_path_equals_the_literal_one(positions: int) -> None:
    attention, literal = twins(8)
    x = torch.randn(3, positions, 8)
    torch.testing.assert_close(attention(x), literal(x), rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(1, 37),
    bins=st.integers(1, 37),
    head_size=st.sampled_from([4, 8, 12, 16]),
    axis=st.sampled_from([1, 2]),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_kernel_equals_the_literal_equations(
    batch: int, frames: int, bins: int, head_size: int, axis: int, scale: float
) -> None:
    if attention_kernel(head_size) is None:
        pytest.skip("no C compiler: there is no kernel to test")
    channels = 4 * head_size
    attention, literal = twins(channels)
    norm = nn.LayerNorm(channels)
    x = torch.randn(batch, frames, bins, channels, requires_grad=True)
    direction = torch.randn(batch, frames, bins, channels)
    with torch.no_grad():
        norm.weight.mul_(scale)  # large logits: the softmax must not overflow

    actual = attention.blockwise_step(x, norm, axis)
    actual_gradients = gradients(attention, (actual * direction).sum())
    actual_gradients["x"], x.grad = x.grad, None

    sequences = norm(x).transpose(1, 2) if axis == 1 else norm(x)
    attended = literal(sequences.flatten(0, 1)).view(sequences.shape)
    expected = x + (attended.transpose(1, 2) if axis == 1 else attended)
    expected_gradients = gradients(literal, (expected * direction).sum())
    expected_gradients["x"] = x.grad

    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    # Where a gradient is zero both hold rounding only, at the scale of the others.
    tolerance = 5e-5 * max(gradient.abs().max().item() for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(actual_gradients[name], gradient, rtol=1e-3, atol=tolerance, msg=name)


@pytest.mark.usefixtures("compiled")
def test_distances_beyond_the_reach_share_one_embedding() -> None:
    attention, literal = twins(16)
    x = torch.randn(1, REACH + 30, 1, 16)
    norm = nn.LayerNorm(16)
    expected = x + literal(norm(x).squeeze(2)).unsqueeze(2)
    torch.testing.assert_close(attention.blockwise_step(x, norm, 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("compiled")
def test_result_does_not_depend_on_the_number_of_threads() -> None:
    attention, norm = RelativeAttention(16, 0.0), nn.LayerNorm(16)
    x = torch.randn(1, 20, 7, 16)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            result = attention.blockwise_step(x, norm, 1)
            results.append((result, *gradients(attention, result.square().sum()).values()))
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        torch.testing.assert_close(one, three, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fault", ["no compiler", "broken compiler", "broken flag"])
def test_without_a_working_compiler_torch_takes_over_and_says_so(
    fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    block = ConformerBlock(16, 0.0, axis=1, fused=True)
    x = torch.randn(1, 9, 5, 16)
    expected = block(x)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if fault == "no compiler":
        monkeypatch.setattr(library_module.shutil, "which", lambda _: None)
    elif fault == "broken compiler":
        monkeypatch.setenv("CC", "false")
    else:
        monkeypatch.setenv("CC", "cc --no-such-flag")
    native_library.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            actual = block(x)
    finally:
        native_library.cache_clear()
    assert "runs in torch" in caplog.text
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_width_without_a_kernel_is_named(caplog: pytest.LogCaptureFixture) -> None:
    library_module._warn_of.cache_clear()
    with caplog.at_level(logging.WARNING):
        ConformerBlock(24, 0.0, axis=1, fused=True)(torch.randn(1, 3, 3, 24))
    assert "24 channels run in torch" in caplog.text
    assert "multiple of 16" in caplog.text


@pytest.mark.usefixtures("compiled")
def test_kernel_is_compiled_once_and_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native_library.cache_clear()
    try:
        assert attention_kernel(4) is not None
        (library,) = (tmp_path / "cmgan").iterdir()
        written = library.stat().st_mtime_ns
        native_library.cache_clear()
        assert attention_kernel(4) is not None
        assert library.stat().st_mtime_ns == written
    finally:
        native_library.cache_clear()


@pytest.mark.usefixtures("compiled")
def test_rows_of_very_negative_logits_have_finite_gradients() -> None:
    kernel = attention_kernel(4)
    query, key = torch.full((1, 5, 1, 16), 30.0), torch.full((1, 5, 1, 16), -30.0)
    qkv = torch.cat([query, key, torch.randn(1, 5, 1, 16)], dim=-1)
    table = torch.zeros(4, 9)
    out, peaks = kernel.forward(qkv, table, axis=1)
    gradients = kernel.backward(qkv, table, out, peaks, torch.randn_like(out), axis=1)
    torch.testing.assert_close(out, qkv[..., 32:].mean(1, keepdim=True).expand_as(out))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_without_gradients_sequences_taken_a_few_at_a_time_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attention = RelativeAttention(8, 0.0)
    x = torch.randn(7, 30, 8, generator=torch.Generator().manual_seed(0))
    at_once = attention(x)
    monkeypatch.setattr("cmgan.models.attention.LARGEST_LOGITS", 2 * 4 * 30**2 * 3)
    with torch.no_grad():
        torch.testing.assert_close(attention(x), at_once, rtol=1e-5, atol=1e-6)
