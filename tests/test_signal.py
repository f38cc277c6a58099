import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan import signal


def _noise(seed: int, samples: int = 4000, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))


def _relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((value - expected).norm() / expected.norm()).item()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), hops=st.integers(10, 80))
def test_round_trip_reconstructs_the_waveform(seed, hops):
    waveform = _noise(seed, 100 * hops)
    rebuilt = signal.waveform_of(signal.compressed_spectrum(waveform))
    assert (rebuilt - waveform).abs().max() < 1e-5 * waveform.abs().max()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_scaling_the_waveform_scales_the_compressed_spectrum_by_the_power_of_0_3(seed, scale):
    waveform = _noise(seed)
    expected = scale**0.3 * signal.compressed_spectrum(waveform)
    assert _relative_error(signal.compressed_spectrum(scale * waveform), expected) < 1e-4


def test_shifting_by_a_hop_shifts_the_frames():
    waveform = _noise(1, 4000)
    spectrum, shifted = (signal.compressed_spectrum(w) for w in (waveform[:, :-100], waveform[:, 100:]))
    torch.testing.assert_close(shifted[:, :, 3:-4], spectrum[:, :, 4:-3], rtol=1e-4, atol=1e-4)


def test_gain_brings_the_noisy_waveform_to_rms_one_whatever_its_scale():
    noisy = _noise(2) * torch.tensor([[0.001], [30.0]])
    levelled = signal.rms_gain(noisy) * noisy
    torch.testing.assert_close(levelled.square().mean(-1), torch.ones(2))


def test_silence_keeps_gain_one_and_stays_silent():
    silence = torch.zeros(1, 2000)
    assert signal.rms_gain(silence).item() == 1
    assert signal.waveform_of(signal.compressed_spectrum(silence)).abs().max() == 0


def test_the_gradient_through_a_silent_spectrum_is_finite():
    compressed = torch.zeros(1, 2, 21, 201, requires_grad=True)
    (signal.waveform_of(compressed).abs().mean() + signal.magnitude(compressed).mean()).backward()
    assert torch.isfinite(compressed.grad).all()


def test_a_waveforms_spectrum_is_consistent_and_a_random_one_is_not():
    assert signal.inconsistency(signal.compressed_spectrum(_noise(3))).max() < 1e-4
    random_phase = torch.randn(1, 2, 41, 201, generator=torch.Generator().manual_seed(0))
    assert signal.inconsistency(random_phase).item() > 0.3
