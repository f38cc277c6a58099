"""Recordings of any length, rate and channel count: whole, in windows, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cmgan.enhancement import waveforms
from cmgan.enhancement.waveforms import enhance, window_starts
from cmgan.models.tscnet import TSCNet
from cmgan.signal import compressed_spectrum, waveform_of
from tests.enhancement.inputs import Identity, noise, tones


class LocalContext(nn.Module):
    """Each frame is a nonlinear function of 21 frames around it: local, and different at every level."""

    def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        power = spectrum.square().sum(1, keepdim=True)
        smoothed = nn.functional.avg_pool2d(power, (21, 1), stride=1, padding=(10, 0))
        estimate = spectrum * torch.sigmoid(3 * (power - 0.8 * smoothed))
        return estimate[:, :1], estimate[:, 1:]


class WindowLevel(nn.Module):
    """Scales each window by another factor: the worst case at a join."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        scaled = spectrum * (1.0 + 0.5 * (self.calls % 2)) ** 0.3
        return scaled[:, :1], scaled[:, 1:]


class ConstantNan(nn.Module):
    def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        nan = torch.full_like(spectrum[:, :1], torch.nan)
        return nan, nan


@pytest.fixture
def _short_windows(monkeypatch) -> None:
    """Windows of 4.5 s for everything that is longer."""
    monkeypatch.setattr(waveforms, "WHOLE_SECONDS", 4.5)
    monkeypatch.setattr(waveforms, "WINDOW_SECONDS", 4.5)


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(1, 3000), seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 0.1, 1.0, 100.0])
)
def test_an_identity_model_returns_a_short_recording_of_any_length_and_level(samples, seed, scale):
    noisy = (scale * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)
    enhanced = enhance(Identity(), noisy, 16_000)
    assert enhanced.shape == noisy.shape
    assert enhanced.dtype == np.float32
    np.testing.assert_allclose(enhanced, noisy, rtol=0, atol=1e-5 * np.abs(noisy).max())


@pytest.mark.usefixtures("_short_windows")
@pytest.mark.parametrize("samples", [63_999, 80_000, 80_001, 160_037, 300_000])
def test_an_identity_model_returns_a_long_recording_with_no_trace_of_the_joins(rng, samples):
    noisy = noise(rng, samples)
    enhanced = enhance(Identity(), noisy, 16_000)
    np.testing.assert_allclose(enhanced, noisy, rtol=0, atol=1e-5 * np.abs(noisy).max())


@pytest.mark.usefixtures("_short_windows")
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.3, 6.0])
def test_another_sample_rate_is_resampled_and_back(rate, seconds):
    noisy = tones(rate, seconds, (220.0, 1000.0, 3100.0))
    enhanced = enhance(Identity(), noisy, rate)
    assert enhanced.shape == noisy.shape
    inner = slice(rate // 50, -rate // 50)
    assert np.abs(enhanced[inner] - noisy[inner]).max() < 1e-4


def test_nothing_above_8_khz_is_left_of_a_48_khz_recording():
    enhanced = enhance(Identity(), tones(48_000, 0.5, (12_000.0,)), 48_000)
    assert np.abs(enhanced[1000:-1000]).max() < 1e-4


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("samples", [1, 2, 99, 100, 200, 201, 399])
def test_a_recording_shorter_than_a_frame_keeps_its_length(rng, rate, samples):
    noisy = noise(rng, samples)
    enhanced = enhance(Identity(), noisy, rate)
    assert enhanced.shape == noisy.shape
    assert np.isfinite(enhanced).all()
    if rate == 16_000:
        np.testing.assert_allclose(enhanced, noisy, rtol=0, atol=1e-5)


def test_the_model_sees_rms_one_whatever_the_level():
    model = Identity()
    noisy = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    for scale in (1e-40, 1e-3, 1e3):
        enhance(model, (scale * noisy).astype(np.float32), 16_000)
    np.testing.assert_allclose(model.levels, model.levels[1], rtol=1e-3)


def test_up_to_sixteen_seconds_are_one_input_and_more_is_cut_into_eight_at_most(rng):
    model = Identity()
    enhance(model, noise(rng, 16 * 16_000), 16_000)
    assert model.frames == [2561]
    for seconds in (16.1, 31.0, 47.3):
        model.frames.clear()
        enhance(model, noise(rng, round(seconds * 16_000)), 16_000)
        assert len(model.frames) >= 2
        assert max(model.frames) <= 1281


def test_a_short_file_is_wrapped_at_its_end_to_a_multiple_of_the_hop(rng):
    model = Identity()
    enhance(model, noise(rng, 1234), 16_000)
    assert model.frames == [14]


@settings(max_examples=200, deadline=None)
@given(frames=st.integers(1, 20_000), longest=st.integers(401, 1600))
def test_windows_cover_every_frame_share_their_overlap_and_stay_within_the_longest(frames, longest):
    starts, length = window_starts(frames, longest, 200)
    assert length <= longest
    assert starts[0] == 0
    assert starts[-1] + length == frames
    assert all(a + length - b >= 200 for a, b in pairwise(starts))


def test_windows_equal_the_whole_recording_for_a_model_of_local_context(rng, request):
    # Loud and quiet parts: a gain for each window would change the model's input level from window to window.
    noisy = noise(rng, 12 * 16_000) * np.repeat([1.0, 0.05, 0.4, 0.02], 3 * 16_000).astype(np.float32)
    whole = enhance(LocalContext(), noisy, 16_000)
    request.getfixturevalue("_short_windows")
    windows = enhance(LocalContext(), noisy, 16_000)
    np.testing.assert_allclose(windows, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@pytest.mark.usefixtures("_short_windows")
def test_windows_that_disagree_in_level_are_joined_without_a_jump():
    noisy = tones(16_000, 12, (200.0,))
    enhanced = enhance(WindowLevel(), noisy, 16_000)
    assert enhanced.max() > 1.4 * noisy.max()
    # A step from one level to the other would be 0.05 here; the wave's own steepest step at 1.5 is 0.012.
    assert np.abs(np.diff(enhanced)).max() < 1.03 * 1.5 * np.abs(np.diff(noisy)).max()


def test_stereo_channels_are_enhanced_by_themselves(rng):
    noisy = noise(rng, 5000, 2) * np.array([1.0, 0.01], np.float32)
    stereo = enhance(LocalContext(), noisy, 16_000)
    for channel in range(2):
        np.testing.assert_array_equal(stereo[:, channel], enhance(LocalContext(), noisy[:, channel], 16_000))


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_silence_stays_silence_even_for_a_model_that_invents_sound(rate):
    class Humming(nn.Module):
        def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
            return spectrum[:, :1] + 1, spectrum[:, 1:]

    assert not enhance(Humming(), np.zeros((3000, 2), np.float32), rate).any()


def test_modes_gradients_and_later_training_are_as_before(rng):
    model = nn.ModuleDict({"frozen": nn.Dropout(), "net": nn.Conv2d(2, 2, 1)})

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model
            self.seen: list[bool] = []

        def forward(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
            self.seen.append(self.training or torch.is_grad_enabled())
            estimate = self.parts["net"](spectrum)
            return estimate[:, :1], estimate[:, 1:]

    wrapped = Wrapped().train()
    model["frozen"].eval()
    enhance(wrapped, noise(rng, 1000), 16_000)
    assert wrapped.seen == [False]
    assert wrapped.training
    assert model["net"].training
    assert not model["frozen"].training
    spectrum = compressed_spectrum(torch.from_numpy(noise(rng, 1, 1000)))
    waveform_of(torch.cat(wrapped(spectrum), 1)).sum().backward()
    assert model["net"].weight.grad.abs().sum() > 0


def test_modes_are_restored_after_an_error(rng):
    model = ConstantNan().train()
    with pytest.raises(ValueError, match="estimate holds NaN"):
        enhance(model, noise(rng, 1000), 16_000)
    assert model.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("noisy", "rate", "message"),
    [
        (np.array([0.1, np.nan, np.inf]), 16_000, "2 NaN or infinite"),
        (np.zeros(100, np.int16), 16_000, "int16.*32768"),
        (np.zeros(0, np.float32), 16_000, "no samples"),
        (np.zeros((2, 3, 4)), 16_000, "shape"),
        (np.zeros((2, 16_000)), 16_000, "channels"),
        (np.zeros(100), 0, "sample_rate"),
        (np.zeros(100), 16_000.5, "sample_rate"),
    ],
)
def test_unusable_input_is_refused_in_one_line(noisy, rate, message):
    with pytest.raises(ValueError, match=message) as refusal:
        enhance(Identity(), noisy, rate)
    assert "\n" not in str(refusal.value)


def test_the_estimate_of_the_public_weights_equals_the_public_waveform(shared_folder):
    public = np.load(shared_folder / "parity" / "cmgan_c8.npz")
    model = TSCNet(num_channel=8)
    model.load_state_dict(
        {name[2:]: torch.from_numpy(public[name]) for name in public if name.startswith("G/")}
    )
    for noisy, gain, expected in zip(
        public["in/noisy"], public["in/rms_gain"], public["out/est_audio"], strict=True
    ):
        enhanced = gain.item() * enhance(model, noisy, 16_000)
        assert np.linalg.norm(enhanced - expected) < 1e-5 * np.linalg.norm(expected)
