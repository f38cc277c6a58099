"""The fast generator equals the literal one."""

import pytest
import torch
from torch import Tensor

from cmgan.models.conformer import RelativeAttention
from cmgan.models.tscnet import TSCNet
from tests.oracles.generator import Attention as LiteralAttention
from tests.oracles.generator import LiteralTSCNet


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def literal_twin(generator: TSCNet, **settings: int | float) -> LiteralTSCNet:
    literal = LiteralTSCNet(**settings)
    literal.load_state_dict(generator.state_dict())
    return literal


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("width", "bins", "blocks", "batch", "frames"),
    [
        (4, 9, 3, 1, 7),
        (8, 201, 1, 2, 33),
        (12, 33, 2, 2, 40),
        (16, 23, 2, 2, 17),
        (48, 9, 1, 1, 13),
        (64, 13, 1, 1, 11),
    ],
)
def test_fast_equals_literal_in_output_gradient_and_batch_statistics(
    mode: str, width: int, bins: int, blocks: int, batch: int, frames: int
) -> None:
    generator = TSCNet(width, bins, blocks, dropout=0.0)
    literal = literal_twin(generator, num_channel=width, num_features=bins, num_blocks=blocks, dropout=0.0)
    noisy = torch.randn(batch, 2, frames, bins)
    direction = torch.randn(batch, 2, frames, bins)
    for network in (generator, literal):
        network.train(mode == "train")
        (torch.cat(network(noisy), dim=1) * direction).sum().backward()
    with torch.no_grad():
        actual, expected = torch.cat(generator(noisy), dim=1), torch.cat(literal(noisy), dim=1)
    assert relative_error(actual, expected) < 1e-5
    largest = max(parameter.grad.abs().max() for parameter in literal.parameters())
    twins = dict(literal.named_parameters())
    for name, parameter in generator.named_parameters():
        torch.testing.assert_close(
            parameter.grad, twins[name].grad, rtol=1e-4, atol=float(1e-5 * largest), msg=name
        )
    statistics = dict(literal.named_buffers())
    for name, buffer in generator.named_buffers():
        torch.testing.assert_close(buffer, statistics[name], rtol=1e-5, atol=1e-6, msg=name)


def test_input_gradient_equals_the_literal_one() -> None:
    generator = TSCNet(4, 9, 1, dropout=0.0)
    literal = literal_twin(generator, num_channel=4, num_features=9, num_blocks=1, dropout=0.0)
    gradients = []
    for network in (generator, literal):
        noisy = torch.randn(1, 2, 7, 9, generator=torch.Generator().manual_seed(1)).requires_grad_()
        torch.cat(network(noisy), dim=1).square().sum().backward()
        gradients.append(noisy.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    generator = TSCNet(4, 9, 1, dropout=0.5)
    noisy = torch.randn(1, 2, 7, 9)
    with torch.no_grad():
        assert not torch.equal(generator(noisy)[0], generator(noisy)[0])
        generator.eval()
        assert torch.equal(generator(noisy)[0], generator(noisy)[0])


def test_silence_has_a_finite_gradient() -> None:
    generator = TSCNet(4, 9, 1)
    real, imaginary = generator(torch.zeros(1, 2, 7, 9))
    (real + imaginary).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in generator.parameters())


def test_autocast_to_bfloat16_stays_near_float32() -> None:
    generator = TSCNet(8, 33, 1, dropout=0.0)
    noisy = torch.randn(1, 2, 20, 33)
    expected = torch.cat(generator(noisy), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        actual = torch.cat(generator(noisy), dim=1)
    actual.float().square().sum().backward()
    assert relative_error(actual.float(), expected) < 0.1
    assert all(torch.isfinite(parameter.grad).all() for parameter in generator.parameters())


def test_unusable_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        TSCNet(num_channel=10)
    with pytest.raises(ValueError, match="num_blocks is 0"):
        TSCNet(num_blocks=0)


@pytest.mark.parametrize("positions", [1, 2, 15, 16, 17, 40])
def test_attention_in_torch_equals_the_literal_one(positions: int) -> None:
    attention, literal = RelativeAttention(8), LiteralAttention(8, 0.0)
    literal.load_state_dict(attention.state_dict())
    x = torch.randn(3, positions, 8)
    torch.testing.assert_close(attention(x), literal(x), rtol=1e-5, atol=1e-6)


def test_without_gradients_sequences_taken_a_few_at_a_time_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attention = RelativeAttention(8)
    x = torch.randn(7, 30, 8, generator=torch.Generator().manual_seed(0))
    at_once = attention(x)
    monkeypatch.setattr("cmgan.models.conformer.LARGEST_LOGITS", 2 * 4 * 30**2 * 3)
    with torch.no_grad():
        torch.testing.assert_close(attention(x), at_once, rtol=1e-5, atol=1e-6)
