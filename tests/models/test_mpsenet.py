"""MP-SENet's losses by their definitions, its two interfaces, and what an estimate depends on."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan.enhancement.waveforms import enhance
from cmgan.losses import GeneratorLosses
from cmgan.models.mpsenet import MPSENET_STFT, MPSENet, MPSENetGenerator, PolarSpectrum, polar
from cmgan.models.mpsenet_losses import anti_wrapped, mpsenet_losses, phase_loss
from cmgan.signal import compressed_spectrum, rms_gain
from tests.models.polar_waveforms import analyse, synthesise


def _noise(seed: int, samples: int = 2000, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))


def _relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((value - expected).norm() / expected.norm()).item()


def _losses_of(
    estimate: PolarSpectrum, clean: torch.Tensor, metric_score: torch.Tensor | None = None
) -> GeneratorLosses:
    waveform = synthesise(estimate, clean.shape[-1])
    spectra = (
        each.real_imaginary().permute(0, 3, 2, 1) for each in (estimate, analyse(clean), analyse(waveform))
    )
    return mpsenet_losses(*spectra, waveform, clean, metric_score)


@pytest.fixture(scope="module")
def small_network() -> MPSENet:
    torch.manual_seed(3)
    return MPSENet(num_channel=8, num_blocks=1).eval()


def test_the_total_is_the_weighted_sum_with_the_metric_term_against_one():
    estimate = analyse(_noise(1))
    losses = _losses_of(estimate, _noise(2), metric_score=torch.tensor([[0.5], [0.9]]))
    assert losses.metric.item() == pytest.approx((0.25 + 0.01) / 2)
    weights = {
        "magnitude": 0.9,
        "phase": 0.3,
        "real_imaginary": 0.1,
        "consistency": 0.1,
        "time": 0.2,
        "metric": 0.05,
    }
    expected = sum(weight * getattr(losses, name).item() for name, weight in weights.items())
    assert losses.total.item() == pytest.approx(expected, rel=1e-6)


def test_without_a_discriminator_the_metric_term_is_zero():
    assert _losses_of(analyse(_noise(1)), _noise(2)).metric.item() == 0


def test_a_perfect_estimate_costs_next_to_nothing():
    losses = _losses_of(analyse(_noise(4)), _noise(4))
    assert losses.total.item() < 1e-3


def test_a_spectrum_that_is_no_waveforms_costs_consistency():
    consistent = analyse(_noise(5))
    shuffled = PolarSpectrum(consistent.magnitude, consistent.phase.flip(1))
    assert _losses_of(shuffled, _noise(5)).consistency > 100 * _losses_of(consistent, _noise(5)).consistency


def test_the_gradient_through_all_losses_is_finite_for_silence():
    magnitude = torch.full((1, 201, 21), 1e-9, requires_grad=True)
    phase = torch.zeros(1, 201, 21, requires_grad=True)
    _losses_of(PolarSpectrum(magnitude, phase), torch.zeros(1, 2000)).total.backward()
    assert torch.isfinite(magnitude.grad).all()
    assert torch.isfinite(phase.grad).all()


@given(angle=st.floats(-3.1, 3.1), turns=st.integers(-5, 5))
def test_anti_wrapping_ignores_whole_turns_and_sign(angle, turns):
    wrapped = anti_wrapped(torch.tensor(angle + 2 * math.pi * turns, dtype=torch.float64))
    assert wrapped.item() == pytest.approx(abs(angle), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), turns=st.integers(-3, 3))
def test_phase_loss_equals_its_definition_bin_by_bin(seed, turns):
    rng = np.random.default_rng(seed)
    estimate, clean = rng.uniform(-math.pi, math.pi, (2, 1, 4, 3))

    def distance(angle: float) -> float:
        return abs(math.remainder(angle, 2 * math.pi))

    def bins(frequencies: int, frames: int, step: tuple[int, int]) -> float:
        def change(phase: np.ndarray, f: int, t: int) -> float:
            return phase[0, f + step[0], t + step[1]] - phase[0, f, t]

        return float(
            np.mean(
                [
                    distance(change(estimate, f, t) - change(clean, f, t))
                    for f in range(frequencies)
                    for t in range(frames)
                ]
            )
        )

    instantaneous = np.mean([distance(d) for d in (estimate - clean).ravel()])
    expected = instantaneous + bins(3, 3, (1, 0)) + bins(4, 2, (0, 1))
    loss = phase_loss(torch.from_numpy(estimate), torch.from_numpy(clean + 2 * math.pi * turns))
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_an_offset_common_to_all_phases_costs_only_the_instantaneous_term():
    phase = analyse(_noise(6)).phase.double()
    assert phase_loss(phase + 0.3, phase).item() == pytest.approx(0.3, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), hops=st.integers(5, 40))
def test_analysis_and_synthesis_reconstruct_the_waveform(seed, hops):
    waveform = _noise(seed, 100 * hops)
    error = (synthesise(analyse(waveform)) - waveform).abs().max()
    assert error < 1e-3 * waveform.abs().max()


def test_as_published_an_estimate_depends_on_the_other_utterances_of_the_batch(small_network):
    both = analyse(_noise(7))
    with torch.no_grad():
        together = small_network(both.magnitude, both.phase)[0][:1]
        alone = small_network(both.magnitude[:1], both.phase[:1])[0]
    assert _relative_error(together, alone) > 1e-4


def test_the_generator_interface_gives_the_same_estimate_under_the_same_names(small_network):
    generator = MPSENetGenerator(num_channel=8, num_blocks=1).eval()
    generator.load_state_dict(small_network.state_dict())
    spectrum = torch.randn(2, 2, 21, 201, generator=torch.Generator().manual_seed(8))
    linear = spectrum * spectrum.square().sum(1, keepdim=True) ** (0.5 * (1 / 0.3 - 1))
    noisy = polar(torch.complex(linear[:, 0], linear[:, 1]).transpose(1, 2))
    with torch.no_grad():
        real, imaginary = generator(spectrum)
        parts = small_network(noisy.magnitude, noisy.phase)[2]
    assert real.shape == imaginary.shape == (2, 1, 21, 201)
    rebuilt = torch.cat((real, imaginary), dim=1).permute(0, 3, 2, 1)
    torch.testing.assert_close(rebuilt, parts, rtol=1e-3, atol=1e-3)


def test_enhance_takes_the_network_itself_and_analyses_with_its_window(small_network, monkeypatch):
    seen = []
    monkeypatch.setattr(
        small_network, "estimate_spectrum", lambda spectrum: seen.append(spectrum) or spectrum.chunk(2, 1)
    )
    noisy = 0.1 * _noise(9, samples=3000, batch=1)
    enhanced = enhance(small_network, noisy[0].numpy(), 16_000)
    np.testing.assert_allclose(enhanced, noisy[0].numpy(), rtol=0, atol=1e-5)
    expected = compressed_spectrum(rms_gain(noisy) * noisy, MPSENET_STFT)
    assert _relative_error(seen[0], expected) < 1e-3


def test_enhance_and_training_run_through_the_network(small_network):
    noisy = _noise(10, samples=2000, batch=1)
    assert enhance(small_network, noisy[0].numpy(), 16_000).shape == (2000,)
    generator = MPSENetGenerator(num_channel=8, num_blocks=1)
    estimate = torch.cat(generator(compressed_spectrum(noisy, MPSENET_STFT)), dim=1)
    estimate.square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in generator.parameters())
    assert sum(float(parameter.grad.abs().sum()) > 0 for parameter in generator.parameters()) > 50


@pytest.mark.parametrize("width", [0, 6, -4])
def test_a_width_that_four_heads_cannot_share_is_refused(width):
    with pytest.raises(ValueError, match="multiple of 4"):
        MPSENet(num_channel=width)
