"""The networks, spectra and losses equal the public code's numbers, at width 8, and their shapes at full width.

Every check runs twice: on the small fixtures beside this file (see their README.md), whose input is synthetic, and,
where they are at hand, on the public code's own, whose input is recorded speech.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cmgan.labels import Labels
from cmgan.losses import GeneratorLosses, discriminator_loss, generator_losses
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.mpsenet import MPSENet, PolarSpectrum
from cmgan.models.mpsenet_losses import anti_wrapped, mpsenet_losses
from cmgan.models.tscnet import TSCNet
from cmgan.recipe import LossWeights
from cmgan.signal import compressed_spectrum, decompress, magnitude, rms_gain, waveform_of
from tests.models.polar_waveforms import analyse, synthesise

HERE = Path(__file__).parent
SOURCES = ("synthetic", "public")
TARGETS = ("published", "normalised")
Fixture = dict[str, Tensor]


def load_fixture(path: Path) -> Fixture:
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


def folder_of(source: str, request: pytest.FixtureRequest) -> Path:
    return HERE if source == "synthetic" else request.getfixturevalue("shared_folder") / "parity"


@pytest.fixture(scope="module", params=SOURCES)
def cmgan(request: pytest.FixtureRequest) -> Fixture:
    return load_fixture(folder_of(request.param, request) / "cmgan_c8.npz")


@pytest.fixture(scope="module", params=SOURCES)
def mpsenet(request: pytest.FixtureRequest) -> Fixture:
    return load_fixture(folder_of(request.param, request) / "mpsenet_c8.npz")


def part(fixture: Fixture, prefix: str) -> Fixture:
    return {name.removeprefix(prefix): value for name, value in fixture.items() if name.startswith(prefix)}


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).norm() / expected.norm()).item()


def networks_of(fixture: Fixture) -> tuple[TSCNet, MetricDiscriminator]:
    generator, discriminator = TSCNet(num_channel=8), MetricDiscriminator(ndf=4)
    for network, prefix in ((generator, "G/"), (discriminator, "D/")):
        network.to(fixture["in/noisy"].dtype).eval().load_state_dict(part(fixture, prefix))
    return generator, discriminator


def estimate_of(generator: TSCNet, fixture: Fixture) -> Tensor:
    return torch.cat(generator(fixture["mid/noisy_spec"].transpose(2, 3)), dim=1)


def score_of(discriminator: MetricDiscriminator, clean: Tensor, estimate: Tensor) -> Tensor:
    return discriminator(
        *(magnitude(spectrum).transpose(1, 2).unsqueeze(1) for spectrum in (clean, estimate))
    )


def losses_of(
    fixture: Fixture, target: str, estimate: Tensor, waveform: Tensor, score: Tensor
) -> GeneratorLosses:
    clean = fixture["in/clean"] * fixture["in/rms_gain"].unsqueeze(1)
    compared = clean if target == "normalised" else fixture["in/clean"]
    return generator_losses(estimate, compressed_spectrum(clean), waveform, compared, score, LossWeights())


def public_estimate(fixture: Fixture) -> Tensor:
    return torch.cat([fixture["out/est_real"], fixture["out/est_imag"]], dim=1).transpose(2, 3)


def test_the_gain_and_the_compressed_spectra(cmgan: Fixture) -> None:
    gain = rms_gain(cmgan["in/noisy"])
    torch.testing.assert_close(gain.squeeze(1), cmgan["in/rms_gain"], rtol=1e-5, atol=0)
    waveform, expected = gain * cmgan["in/noisy"], cmgan["mid/noisy_spec"].transpose(2, 3)
    spectrum = compressed_spectrum(waveform)
    linear, expected_linear = (torch.view_as_real(decompress(one)) for one in (spectrum, expected))
    assert relative_error(linear, expected_linear) < 1e-6
    # The power 0.3 enlarges float32 rounding in bins near zero: the public numbers are 1e-5 from the float64
    # value themselves, and so are ours.
    assert relative_error(spectrum, compressed_spectrum(waveform.double())) < 1.5e-5
    assert relative_error(spectrum, expected) < 2e-5


def test_the_generators_output_and_its_waveform(cmgan: Fixture) -> None:
    generator, _ = networks_of(cmgan)
    with torch.no_grad():
        estimate = estimate_of(generator, cmgan)
    expected = public_estimate(cmgan)
    assert ((estimate - expected).abs().max() / expected.abs().max()).item() < 1e-5
    assert relative_error(waveform_of(estimate), cmgan["out/est_audio"]) < 1e-5


def test_the_discriminators_scores(cmgan: Fixture) -> None:
    _, discriminator = networks_of(cmgan)
    clean = compressed_spectrum(cmgan["in/clean"] * cmgan["in/rms_gain"].unsqueeze(1))
    for name, estimate in (("disc_clean", clean), ("disc_est", public_estimate(cmgan))):
        with torch.no_grad():
            score = score_of(discriminator, clean, estimate)
        torch.testing.assert_close(score, cmgan[f"out/{name}"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("target", TARGETS)
def test_every_term_of_the_generators_loss(cmgan: Fixture, target: str) -> None:
    losses = losses_of(cmgan, target, public_estimate(cmgan), cmgan["out/est_audio"], cmgan["out/disc_est"])
    expected = {
        "real_imaginary": "loss_ri",
        "magnitude": "loss_mag",
        "time": f"loss_time_{target}",
        "metric": "loss_gan",
        "total": f"total_{target}",
    }
    for term, name in expected.items():
        torch.testing.assert_close(getattr(losses, term), cmgan[f"loss/{name}"], rtol=1e-5, atol=0, msg=term)


def test_the_discriminators_loss(cmgan: Fixture) -> None:
    labels = Labels(np.array([0.2, 0.8]), np.array([True, True]), skip=False)
    loss = discriminator_loss(cmgan["out/disc_clean"], cmgan["out/disc_est"], labels)
    torch.testing.assert_close(loss, cmgan["loss/disc_with_scores_0.2_to_0.8"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("target", TARGETS)
def test_the_gradient_of_every_parameter(cmgan: Fixture, target: str) -> None:
    # In float64: the kinks of L1 and PReLU turn float32 rounding of the input alone into 1e-3 of some norms.
    exact = {name: value.double() if value.is_floating_point() else value for name, value in cmgan.items()}
    total, norms = gradient_norms(exact, target)
    assert total == pytest.approx(exact[f"loss/total_{target}"].item(), rel=1e-5)
    published = part(exact, f"grad_norm_{target}/")
    assert set(norms) == set(published)
    largest = max(value.item() for value in published.values())
    for name, norm in norms.items():
        # A bias before a norm has gradient zero: the published value there is float32 rounding.
        assert norm == pytest.approx(published[name].item(), rel=1e-4, abs=1e-6 * largest), name


def gradient_norms(fixture: Fixture, target: str) -> tuple[float, dict[str, float]]:
    """Total loss, and the L2 norm of its gradient parameter by parameter."""
    generator, discriminator = networks_of(fixture)
    clean = compressed_spectrum(fixture["in/clean"] * fixture["in/rms_gain"].unsqueeze(1))
    estimate = estimate_of(generator, fixture)
    score = score_of(discriminator, clean, estimate)
    total = losses_of(fixture, target, estimate, waveform_of(estimate), score).total
    total.backward()
    return total.item(), {name: value.grad.norm().item() for name, value in generator.named_parameters()}


def mpsenet_of(fixture: Fixture) -> MPSENet:
    network = MPSENet(num_channel=8, num_blocks=2).to(fixture["in/noisy"].dtype).eval()
    network.load_state_dict(part(fixture, "G/"))
    return network


def test_mpsenets_analysis(mpsenet: Fixture) -> None:
    for waveform, name in (("in/noisy", "mid/noisy_mag"), ("out/audio", "out/mag_reanalysed")):
        # The power 0.3 enlarges rounding in bins near zero, so single bins differ more than the whole.
        assert relative_error(analyse(mpsenet[waveform]).magnitude, mpsenet[name]) < 2e-5
    expected = PolarSpectrum(mpsenet["mid/noisy_mag"], mpsenet["mid/noisy_phase"])
    # The public float32 values are 2.5e-5 from the float64 ones, and so are these.
    assert relative_error(analyse(mpsenet["in/noisy"]).real_imaginary(), expected.real_imaginary()) < 5e-5


def test_mpsenets_output_and_its_waveform(mpsenet: Fixture) -> None:
    with torch.no_grad():
        magnitude, phase, parts = mpsenet_of(mpsenet)(mpsenet["mid/noisy_mag"], mpsenet["mid/noisy_phase"])
    expected = PolarSpectrum(mpsenet["out/mag"], mpsenet["out/phase"])
    torch.testing.assert_close(magnitude, expected.magnitude, rtol=0, atol=1e-5)
    assert relative_error(parts, expected.real_imaginary()) < 5e-6
    # The angle of two outputs that both nearly vanish is ill-conditioned: there the public float32 value itself
    # is 6e-5 from the float64 one, and the number of threads moves ours by as much.
    error = anti_wrapped(phase - expected.phase)
    assert error.max() < 1e-3
    assert (error > 1e-5).double().mean() < 2e-3
    assert error.square().mean().sqrt() < 1e-5
    waveform = synthesise(PolarSpectrum(magnitude, phase))
    torch.testing.assert_close(waveform, mpsenet["out/audio"], rtol=0, atol=1e-5)


def test_every_term_of_mpsenets_loss(mpsenet: Fixture) -> None:
    for term, expected in part(mpsenet, "loss/").items():
        name = {"mag": "magnitude", "complex": "real_imaginary"}.get(term, term)
        value = getattr(mpsenet_losses_of(mpsenet), name).item()
        assert value == pytest.approx(expected.item(), rel=1e-5), name


def mpsenet_losses_of(fixture: Fixture) -> GeneratorLosses:
    estimate, clean = PolarSpectrum(fixture["out/mag"], fixture["out/phase"]), fixture["in/clean"]
    waveform = synthesise(estimate, clean.shape[-1])
    spectra = (
        each.real_imaginary().permute(0, 3, 2, 1) for each in (estimate, analyse(clean), analyse(waveform))
    )
    return mpsenet_losses(*spectra, waveform, clean, None)


def test_names_and_shapes_at_full_width(shared_folder: Path) -> None:
    published = json.loads((shared_folder / "parity" / "state_dict_shapes.json").read_text())
    published["mpsenet"] = json.loads(
        (shared_folder / "parity" / "mpsenet_state_dict_shapes.json").read_text()
    )
    networks = {"generator": TSCNet(), "discriminator": MetricDiscriminator(), "mpsenet": MPSENet()}
    for name, network in networks.items():
        shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
        assert shapes == published[name], name


@pytest.mark.parametrize(
    ("network", "parameters"), [(TSCNet, 1_834_833), (MetricDiscriminator, 181_650), (MPSENet, 2_263_372)]
)
def test_parameters_at_full_width(network: type[torch.nn.Module], parameters: int) -> None:
    assert sum(parameter.numel() for parameter in network().parameters()) == parameters
