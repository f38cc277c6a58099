"""Compiled steps, convolutions and norms equal the same network in torch, with gradients."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cmgan.kernels import conformer, dense_net, takes, torch_only
from cmgan.kernels.attention import Attention
from cmgan.kernels.dropout import draw_seeds, kept
from cmgan.kernels.library import native_library
from cmgan.models.conformer import REACH, AttentionStep, ConformerBlock, ConvolutionStep, FeedForwardStep
from cmgan.models.tscnet import DilatedDenseNet, causal_conv
from tests.oracles.generator import Attention as LiteralAttention


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    if native_library(conformer.SOURCE) is None:
        pytest.skip("no C compiler: there is no kernel to test")


def assert_equal_with_gradients(
    actual: Tensor, expected: Tensor, inputs: list[Tensor], tolerance: float
) -> None:
    direction = torch.randn_like(expected)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=tolerance)
    gradients = (torch.autograd.grad(result, inputs, direction) for result in (actual, expected))
    # Where a gradient is zero both hold rounding only, at the scale of the others.
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=tolerance * max(1.0, other.abs().max().item()))


def in_torch(call: Callable[[], Tensor]) -> Tensor:
    with torch_only():
        return call()


def at_one_and_three_threads(call: Callable[[], tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            results.append(call())
    finally:
        torch.set_num_threads(before)
    return results


def feed_forward(channels: int, dropout: float) -> FeedForwardStep:
    step = FeedForwardStep(channels, dropout)
    for parameter in step.fn["norm"].parameters():
        nn.init.normal_(parameter)
    return step


@pytest.mark.parametrize("channels", [4, 16, 20, 48, 64])
@pytest.mark.parametrize("tokens", [1, 95, 200])
def test_feed_forward_equals_that_of_torch(channels: int, tokens: int) -> None:
    step, x = feed_forward(channels, 0.0), torch.randn(tokens, channels, requires_grad=True)
    assert_equal_with_gradients(step(x), in_torch(lambda: step(x)), [x, *step.parameters()], 1e-5)


def test_feed_forward_gradient_meets_the_dropout_of_its_own_forward_pass() -> None:
    step, x = feed_forward(16, 0.4), torch.randn(40, 16)
    direction, small = torch.randn(40, 16), 1e-2 * torch.randn(40, 16)

    def loss(at: Tensor) -> Tensor:
        torch.manual_seed(3)
        return (step(at) * direction).sum()

    at = x.clone().requires_grad_()
    loss(at).backward()
    with torch.no_grad():
        difference = (loss(x + small) - loss(x - small)) / 2
    assert (at.grad * small).sum().item() == pytest.approx(difference.item(), rel=1e-2)


def test_feed_forward_dropout_keeps_the_mean_and_drops_the_asked_share() -> None:
    step, x = feed_forward(16, 0.2), torch.randn(1, 16).expand(20_000, 16).contiguous()
    with torch.no_grad():
        added = step(x) - x
        expected = step.eval()(x[:1]) - x[:1]
    assert (added == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    torch.testing.assert_close(added.mean(0), expected[0], rtol=0.05, atol=0.02)


def test_dropout_draws_are_independent_between_calls_and_neighbours_and_follow_the_seed() -> None:
    step, x = feed_forward(16, 0.3), torch.randn(1, 16).expand(30_000, 16).contiguous()
    with torch.no_grad():
        torch.manual_seed(5)
        first, second = (step(x) != x for _ in range(2))
        torch.manual_seed(5)
        assert torch.equal(first, step(x) != x)
    for one, other in ((first, second), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert (one & other).float().mean().item() == pytest.approx(0.7**2, abs=0.005)


@pytest.mark.parametrize(("channels", "axis"), [(16, 1), (16, 2), (20, 1)])
def test_a_training_draws_the_same_dropout_with_and_without_a_compiler(channels: int, axis: int) -> None:
    block = ConformerBlock(channels, 0.3, axis).train()
    x = torch.randn(2, 5, 7, channels, requires_grad=True)

    def output() -> Tensor:
        torch.manual_seed(4)
        return block(x)

    actual, drawn = output(), torch.get_rng_state()
    expected, drawn_in_torch = in_torch(output), torch.get_rng_state()
    assert torch.equal(drawn, drawn_in_torch)
    assert_equal_with_gradients(actual, expected, [x, *block.parameters()], 1e-4)


@given(first=st.sampled_from([0, 5, 2**31 - 3, 2**32 - 7, 5 * 2**32]), rate=st.sampled_from([0.1, 0.5, 0.9]))
@settings(max_examples=15, deadline=None)
def test_dropout_in_torch_keeps_the_asked_share_wherever_its_numbers_begin(first: int, rate: float) -> None:
    seeds = draw_seeds()
    whole = kept(torch.Size([40_000]), seeds, first, rate)
    assert whole.float().mean().item() == pytest.approx(1 - rate, abs=0.015)
    assert torch.equal(whole[100:200], kept(torch.Size([100]), seeds, first + 100, rate))


def test_the_number_of_threads_does_not_change_the_feed_forward_result() -> None:
    step, x = feed_forward(16, 0.2), torch.randn(101, 16)
    one, three = at_one_and_three_threads(lambda: (step(x),))
    assert torch.equal(*one, *three)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(1, 37),
    bins=st.integers(1, 37),
    head_size=st.sampled_from([1, 4, 5, 8, 12, 14, 16]),
    axis=st.sampled_from([1, 2]),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_attention_equals_the_literal_equations(
    batch: int, frames: int, bins: int, head_size: int, axis: int, scale: float
) -> None:
    channels = 4 * head_size
    step, literal = AttentionStep(channels, 0.0), LiteralAttention(channels, 0.0)
    literal.load_state_dict(step.fn.state_dict())
    x = torch.randn(batch, frames, bins, channels, requires_grad=True)
    with torch.no_grad():
        step.norm.weight.mul_(scale)  # large logits: the softmax must not overflow
    sequences = step.norm(x).transpose(1, 2) if axis == 1 else step.norm(x)
    attended = literal(sequences.flatten(0, 1)).view(sequences.shape)
    expected = x + (attended.transpose(1, 2) if axis == 1 else attended)
    actual, direction = step(x, axis), torch.randn(batch, frames, bins, channels)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    inputs, twins = [x, *step.fn.parameters()], [x, *literal.parameters()]
    gradients = (
        torch.autograd.grad(actual, inputs, direction),
        torch.autograd.grad(expected, twins, direction),
    )
    # Where a gradient is zero both hold rounding only, at the scale of the others.
    tolerance = 5e-5 * max(gradient.abs().max().item() for gradient in gradients[1])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=tolerance)


def test_distances_beyond_the_reach_share_one_embedding() -> None:
    step, literal = AttentionStep(16, 0.0), LiteralAttention(16, 0.0)
    literal.load_state_dict(step.fn.state_dict())
    x = torch.randn(1, REACH + 30, 1, 16)
    expected = x + literal(step.norm(x).squeeze(2)).unsqueeze(2)
    torch.testing.assert_close(step(x, 1), expected, rtol=1e-5, atol=1e-5)


def test_attention_at_another_number_of_threads_differs_by_rounding_only() -> None:
    step, x = AttentionStep(16, 0.0), torch.randn(1, 20, 7, 16)

    def result_and_gradients() -> tuple[Tensor, ...]:
        result = step(x, 1)
        return result, *torch.autograd.grad(result.square().sum(), list(step.parameters()))

    for one, three in zip(*at_one_and_three_threads(result_and_gradients), strict=True):
        torch.testing.assert_close(one, three, rtol=1e-5, atol=1e-5)


def test_rows_of_very_negative_logits_have_finite_gradients() -> None:
    query, key = torch.full((1, 5, 1, 16), 30.0), torch.full((1, 5, 1, 16), -30.0)
    qkv = torch.cat([query, key, torch.randn(1, 5, 1, 16)], dim=-1).requires_grad_()
    table = torch.zeros(4, 9, requires_grad=True)
    out = Attention.apply(qkv, table, 1)
    torch.testing.assert_close(out, qkv[..., 32:].mean(1, keepdim=True).expand_as(out))
    gradients = torch.autograd.grad(out, (qkv, table), torch.randn_like(out))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("channels", "axis"), [(16, 1), (16, 2), (20, 1)])
def test_the_convolution_step_and_its_running_statistics_equal_those_of_torch(
    training: bool, channels: int, axis: int
) -> None:
    step, twin = ConvolutionStep(channels).train(training), ConvolutionStep(channels).train(training)
    nn.init.normal_(step.net[5].running_mean)
    twin.load_state_dict(step.state_dict())
    x = torch.randn(2, 9, 14, channels, requires_grad=True)
    actual, expected = step(x, axis), in_torch(lambda: twin(x, axis))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    direction = torch.randn_like(expected)
    gradients = [
        torch.autograd.grad(result, [x, *network.parameters()], direction)
        for result, network in ((actual, step), (expected, twin))
    ]
    tolerance = 1e-5 * max(gradient.abs().max().item() for gradient in gradients[1])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=tolerance)
    for one, other in zip(step.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(1, 40),
    bins=st.integers(1, 20),
    channels=st.sampled_from([16, 20, 48]),
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
    actual, mean, variance = conformer.depthwise_conv(x, weight, bias, axis)
    actual_last = actual.movedim((3, axis), (1, -1))
    assert_equal_with_gradients(actual_last, expected, [x, weight, bias], 1e-5)
    torch.testing.assert_close(mean, actual.mean((0, 1, 2)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(variance, actual.var((0, 1, 2), correction=0), rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    frames=st.integers(1, 12),
    bins=st.integers(1, 20),
    inputs=st.sampled_from([16, 20, 48, 64, 144]),
    outputs=st.sampled_from([1, 16, 24, 64]),
    heights=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2, 8]),
)
def test_causal_convolution_equals_that_of_torch(
    batch: int, frames: int, bins: int, inputs: int, outputs: int, heights: int, dilation: int
) -> None:
    x = torch.randn(batch, inputs, frames, bins, requires_grad=True)
    conv = nn.Conv2d(inputs, outputs, (heights, 3), dilation=(dilation, 1))
    actual, expected = causal_conv(x, conv), in_torch(lambda: causal_conv(x, conv))
    assert takes(x, dense_net.SOURCE)
    assert_equal_with_gradients(actual, expected, [x, *conv.parameters()], 1e-5)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(4, 30),
    bins=st.integers(4, 20),
    channels=st.sampled_from([3, 16, 48]),
    offset=st.sampled_from([0.0, 3.0]),
)
def test_instance_norm_with_prelu_equals_that_of_torch(
    batch: int, frames: int, bins: int, channels: int, offset: float
) -> None:
    x = (offset + torch.randn(batch, channels, frames, bins)).requires_grad_()
    gamma, beta, slope = (torch.randn(channels, requires_grad=True) for _ in range(3))
    normed = nn.functional.instance_norm(x.double(), weight=gamma.double(), bias=beta.double())
    expected = nn.functional.prelu(normed, slope.double()).float()
    actual = dense_net.norm_prelu(x, gamma, beta, slope)
    assert_equal_with_gradients(actual, expected, [x, gamma, beta, slope], 1e-5)


def dense_net_of(channels: int) -> DilatedDenseNet:
    net = DilatedDenseNet(channels)
    for name, parameter in net.named_parameters():
        # Without a bend: a gradient jumps there, and of so many values some come to lie on its other side.
        nn.init.ones_(parameter) if "prelu" in name else nn.init.normal_(parameter, std=0.3)
    return net


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3),
    frames=st.integers(4, 20),
    bins=st.integers(4, 20),
    channels=st.sampled_from([16, 20, 48]),
)
def test_a_dense_net_equals_that_of_torch(batch: int, frames: int, bins: int, channels: int) -> None:
    net = dense_net_of(channels)
    x = torch.randn(batch, channels, frames, bins, requires_grad=True)
    assert takes(x, dense_net.SOURCE)
    actual, expected = net(x), in_torch(lambda: net(x))
    assert_equal_with_gradients(actual, expected, [x, *net.parameters()], 1e-4)


def test_a_dense_net_has_the_same_result_and_gradients_on_one_thread_and_on_three() -> None:
    torch.manual_seed(0)
    net, x = dense_net_of(16), torch.randn(2, 16, 9, 7, requires_grad=True)

    def with_gradients() -> tuple[Tensor, ...]:
        out = net(x)
        return out, *torch.autograd.grad(out, [x, *net.parameters()], torch.randn_like(out))

    for one, three in zip(*at_one_and_three_threads(with_gradients), strict=True):
        torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-4)


def test_a_dense_net_refuses_a_weight_for_another_number_of_channels() -> None:
    net, x = dense_net_of(16), torch.randn(1, 16, 4, 5)
    layer = [*net.conv2.parameters(), *net.norm1.parameters(), net.prelu1.weight]
    with pytest.raises(ValueError, match="1 x 16 channels for a weight of 32"):
        dense_net.dense_net(x, [layer])
