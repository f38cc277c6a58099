"""The fast generator equals the published numbers and the literal one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.tscnet import TSCNet
from cmgan.signal import compressed_spectrum, magnitude, waveform_of
from tests.oracles.generator import LiteralTSCNet


@pytest.fixture(scope="module")
def fixture(shared_folder: Path) -> dict[str, Tensor]:
    with np.load(shared_folder / "parity" / "cmgan_c8.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def part(fixture: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in fixture.items() if name.startswith(prefix)}


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def published_generator(fixture: dict[str, Tensor]) -> TSCNet:
    generator = TSCNet(num_channel=8).to(fixture["G/dense_encoder.conv_1.0.weight"].dtype)
    generator.load_state_dict(part(fixture, "G/"))
    return generator.eval()


def test_names_shapes_and_parameter_count_are_the_published_ones(shared_folder: Path) -> None:
    published = json.loads((shared_folder / "parity" / "state_dict_shapes.json").read_text())
    generator = TSCNet()
    shapes = {name: list(value.shape) for name, value in generator.state_dict().items()}
    assert shapes == published["generator"]
    assert sum(p.numel() for p in generator.parameters()) == published["generator_parameters"] == 1_834_833


def test_output_equals_the_published_one(fixture: dict[str, Tensor]) -> None:
    noisy = fixture["mid/noisy_spec"].transpose(2, 3)
    with torch.no_grad():
        real, imaginary = published_generator(fixture)(noisy)
    assert relative_error(real, fixture["out/est_real"].transpose(2, 3)) < 1e-5
    assert relative_error(imaginary, fixture["out/est_imag"].transpose(2, 3)) < 1e-5


@pytest.mark.parametrize("time_target", ["published", "normalised"])
def test_gradient_norms_equal_the_published_ones(fixture: dict[str, Tensor], time_target: str) -> None:
    # In float64: the kinks of L1 and PReLU turn float32 rounding of the input alone into 1e-3 of some norms.
    exact = {name: value.double() if value.is_floating_point() else value for name, value in fixture.items()}
    generator = published_generator(exact)
    discriminator = MetricDiscriminator(ndf=4).double()
    discriminator.load_state_dict(part(exact, "D/"))
    discriminator.eval()
    clean = exact["in/clean"] * exact["in/rms_gain"].unsqueeze(1)
    clean_spectrum = compressed_spectrum(clean)
    estimate = torch.cat(generator(exact["mid/noisy_spec"].transpose(2, 3)), dim=1)
    clean_magnitude, estimated_magnitude = magnitude(clean_spectrum), magnitude(estimate)
    score = discriminator(
        clean_magnitude.transpose(1, 2).unsqueeze(1), estimated_magnitude.transpose(1, 2).unsqueeze(1)
    )
    target = exact["in/clean"] if time_target == "published" else clean
    total = (
        0.1 * (estimate - clean_spectrum).square().mean((0, 2, 3)).sum()
        + 0.9 * (estimated_magnitude - clean_magnitude).square().mean()
        + 0.2 * (waveform_of(estimate) - target).abs().mean()
        + 0.05 * (score - 1).square().mean()
    )
    total.backward()
    assert total.item() == pytest.approx(exact[f"loss/total_{time_target}"].item(), rel=1e-5)
    published = part(exact, f"grad_norm_{time_target}/")
    largest = max(value.item() for value in published.values())
    for name, parameter in generator.named_parameters():
        # A bias before a norm has gradient zero: the published value there is float32 rounding.
        expected = pytest.approx(published[name].item(), rel=1e-4, abs=1e-6 * largest)
        assert parameter.grad.norm().item() == expected, name


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
