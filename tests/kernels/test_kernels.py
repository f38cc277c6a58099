"""Compiled feed-forward step, convolutions and norms against torch, with and without dropout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cmgan.kernels.causal_conv import causal_conv, fused_causal_conv
from cmgan.kernels.depthwise_conv import FusedDepthwiseConv
from cmgan.kernels.feed_forward import feed_forward_step
from cmgan.kernels.library import native_library
from cmgan.kernels.norm_prelu import NormPrelu


@pytest.fixture(autouse=True)
def compiled() -> None:
    if native_library("feed_forward.c") is None:
        pytest.skip("no C compiler: there is no kernel to test")


def step_of(norm: nn.LayerNorm, wide: nn.Linear, narrow: nn.Linear, x: Tensor, rate: float) -> Tensor:
    return feed_forward_step(x, *((layer.weight, layer.bias) for layer in (norm, wide, narrow)), rate)


def layers(channels: int) -> tuple[nn.LayerNorm, nn.Linear, nn.Linear]:
    norm = nn.LayerNorm(channels)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)


def assert_equal_with_gradients(actual: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    direction = torch.randn_like(expected)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(
        torch.autograd.grad(actual, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


@pytest.mark.parametrize("channels", [16, 48, 64])
@pytest.mark.parametrize("rows", [1, 95, 200])
def test_feed_forward_equals_the_literal_equations(channels: int, rows: int) -> None:
    norm, wide, narrow = layers(channels)
    x = torch.randn(rows, channels, requires_grad=True)
    expected = x + 0.5 * narrow(nn.functional.silu(wide(norm(x))))
    inputs = [x, *(p for layer in (norm, wide, narrow) for p in layer.parameters())]
    assert_equal_with_gradients(step_of(norm, wide, narrow, x, 0.0), expected, inputs)


def test_feed_forward_gradient_meets_the_dropout_of_its_own_forward_pass() -> None:
    norm, wide, narrow = layers(16)
    x = torch.randn(40, 16)
    direction, small = torch.randn(40, 16), 1e-2 * torch.randn(40, 16)

    def loss(at: Tensor) -> Tensor:
        torch.manual_seed(3)
        return (step_of(norm, wide, narrow, at, 0.4) * direction).sum()

    at = x.clone().requires_grad_()
    loss(at).backward()
    with torch.no_grad():
        difference = (loss(x + small) - loss(x - small)) / 2
    assert (at.grad * small).sum().item() == pytest.approx(difference.item(), rel=1e-2)


def test_feed_forward_dropout_keeps_the_mean_and_drops_the_asked_share() -> None:
    norm, wide, narrow = layers(16)
    x = torch.randn(1, 16).expand(20_000, 16).contiguous()
    with torch.no_grad():
        added = step_of(norm, wide, narrow, x, 0.2) - x
        expected = step_of(norm, wide, narrow, x[:1], 0.0) - x[:1]
    assert (added == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    torch.testing.assert_close(added.mean(0), expected[0], rtol=0.05, atol=0.02)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    frames=st.integers(1, 12),
    bins=st.integers(1, 20),
    inputs=st.sampled_from([16, 48, 64, 144]),
    outputs=st.sampled_from([16, 64]),
    heights=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2, 8]),
)
def test_causal_convolution_equals_that_of_torch(
    batch: int, frames: int, bins: int, inputs: int, outputs: int, heights: int, dilation: int
) -> None:
    x = torch.randn(batch, inputs, frames, bins, requires_grad=True)
    weight = torch.randn(outputs, inputs, heights, 3) * inputs**-0.5
    weight.requires_grad_()
    bias = torch.randn(outputs, requires_grad=True)
    expected = causal_conv(x, weight, bias, dilation)
    assert_equal_with_gradients(fused_causal_conv(x, weight, bias, dilation), expected, [x, weight, bias])


def test_the_number_of_threads_changes_nothing_but_rounding() -> None:
    norm, wide, narrow = layers(16)
    x = torch.randn(101, 16)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            results.append(step_of(norm, wide, narrow, x, 0.2))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_dropout_draws_are_independent_between_calls_and_neighbours_and_follow_the_seed() -> None:
    norm, wide, narrow = layers(16)
    x = torch.randn(1, 16).expand(30_000, 16).contiguous()
    with torch.no_grad():
        torch.manual_seed(5)
        first, second = (step_of(norm, wide, narrow, x, 0.3) != x for _ in range(2))
        torch.manual_seed(5)
        assert torch.equal(first, step_of(norm, wide, narrow, x, 0.3) != x)
    for one, other in ((first, second), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert (one & other).float().mean().item() == pytest.approx(0.7**2, abs=0.005)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(1, 40),
    bins=st.integers(1, 20),
    channels=st.sampled_from([16, 48]),
    taps=st.sampled_from([1, 5, 31]),
    axis=st.sampled_from([1, 2]),
)
def test_depthwise_convolution_and_its_statistics_equal_those_of_torch(
    batch: int, frames: int, bins: int, channels: int, taps: int, axis: int
) -> None:
    x = (3 + torch.randn(batch, frames, bins, channels)).requires_grad_()
    weight = torch.randn(channels, 1, taps, requires_grad=True)
    bias = torch.randn(channels, requires_grad=True)
    last = x.movedim((3, axis), (1, -1))
    expected = nn.functional.conv2d(last, weight.unsqueeze(2), bias, padding=(0, taps // 2), groups=channels)
    actual, mean, variance = FusedDepthwiseConv.apply(x, weight, bias, axis)
    assert_equal_with_gradients(actual.movedim((3, axis), (1, -1)), expected, [x, weight, bias])
    torch.testing.assert_close(mean, actual.mean((0, 1, 2)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(variance, actual.var((0, 1, 2), correction=0), rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(4, 30),
    bins=st.integers(4, 20),
    channels=st.sampled_from([16, 48]),
    offset=st.sampled_from([0.0, 3.0]),
)
def test_instance_norm_with_prelu_equals_that_of_torch(
    batch: int, frames: int, bins: int, channels: int, offset: float
) -> None:
    x = (offset + torch.randn(batch, channels, frames, bins)).requires_grad_()
    gamma, beta, slope = (torch.randn(channels, requires_grad=True) for _ in range(3))
    normed = nn.functional.instance_norm(x.double(), weight=gamma.double(), bias=beta.double())
    expected = nn.functional.prelu(normed, slope.double()).float()
    assert_equal_with_gradients(NormPrelu.apply(x, gamma, beta, slope), expected, [x, gamma, beta, slope])
