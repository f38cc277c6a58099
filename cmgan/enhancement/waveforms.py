"""Enhance recordings of any length, sample rate and channel count with a trained generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, StftSettings, compressed_spectrum, rms_gain, waveform_of

# Neighbouring windows share 2 s: the outer half second of each, where context is cut off, is thrown away and
# the second in the middle is cross-faded.
MARGIN_SECONDS = 0.5
FADE_SECONDS = 1.0
MAXIMUM_CHANNELS = 32


@dataclass(frozen=True)
class Windowing:
    """How much of a recording the model sees at once, in seconds.

    Up to `whole_seconds` all of it (public evaluation: 16 s), beyond that windows of at most `window_seconds`:
    attention along time costs time and memory that grow with the square of the length.
    """

    whole_seconds: float = 16.0
    window_seconds: float = 8.0

    def __post_init__(self) -> None:
        least = 2 * (FADE_SECONDS + 2 * MARGIN_SECONDS)
        if not self.window_seconds > least:
            raise ValueError(
                f"window_seconds is {self.window_seconds}: use more than {least}, twice what neighbours share"
            )


def enhance(
    model: nn.Module,
    noisy: np.ndarray,
    sample_rate: int = SAMPLE_RATE,
    *,
    windowing: Windowing = Windowing(),
) -> np.ndarray:
    """Enhanced waveform of the same shape as `noisy`, float32, at its level and sample rate.

    noisy: floating point (N,) or (N, channels), scale ±1, `sample_rate` Hz; each channel is enhanced by itself.
    model: a generator from compressed spectra (B, 2, T, F) to (real, imaginary), each (B, 1, T, F). One with
    other arguments, as MPSENet, gives that mapping as a method `estimate_spectrum`; one with another transform
    than CMGAN's names it in an attribute `stft_settings`.

    One gain for the whole recording brings it to RMS 1. Up to 16 s it is one input, wrapped at its end to a
    multiple of the hop; a longer one is cut into windows of equal length whose overlaps are cross-faded, so that
    the model's memory does not grow with the recording (the public evaluation reshapes into rows that do not
    overlap). Another sample rate is resampled to 16 kHz and back: nothing above 8 kHz is left. Silence stays
    silence. The model works in evaluation mode without gradients and gets its modes back.

    Raises ValueError for integer, empty, NaN or infinite samples, an unusual shape or rate, or an estimate
    that is not finite.
    Source: public code fact, "Signal" and "Evaluation: whole files".
    """
    samples = _checked_samples(noisy, sample_rate)
    settings = getattr(model, "stft_settings", CMGAN_STFT)
    channels = samples.reshape(len(samples), -1)
    with _evaluating(model):
        enhanced = [
            _enhance_channel(model, channel, sample_rate, windowing, settings) for channel in channels.T
        ]
    return np.stack(enhanced, axis=1).reshape(samples.shape)


def window_starts(hops: int, longest: int, overlap: int) -> tuple[list[int], int]:
    """First hops of the windows that cover `hops`, and their common length; all counted in hops.

    No window is longer than `longest`; neighbours share at least `overlap`, which is less than half of `longest`.
    """
    if hops <= longest:
        return [0], hops
    windows = -(-(hops - overlap) // (longest - overlap))
    length = -(-(hops + (windows - 1) * overlap) // windows)
    return [index * (hops - length) // (windows - 1) for index in range(windows)], length


def _enhance_channel(
    model: nn.Module, noisy: np.ndarray, sample_rate: int, windowing: Windowing, settings: StftSettings
) -> np.ndarray:
    # Reflect padding needs more than half a frame of samples.
    shortest = -(-(settings.n_fft // 2 + 1) * sample_rate // SAMPLE_RATE) + 1
    lengthened = np.resize(noisy, max(len(noisy), shortest))
    resampled = _resample(lengthened, sample_rate, SAMPLE_RATE)
    gain = rms_gain(torch.from_numpy(resampled.astype(np.float64))[None]).item()
    estimate = _estimate(model, resampled, gain, windowing, settings)
    restored = _resample(estimate, SAMPLE_RATE, sample_rate)[: len(noisy)]
    return np.pad(restored, (0, len(noisy) - len(restored)))


def _estimate(
    model: nn.Module, noisy: np.ndarray, gain: float, windowing: Windowing, settings: StftSettings
) -> np.ndarray:
    hop = settings.hop
    hops = -(-len(noisy) // hop)
    per_second = SAMPLE_RATE / hop
    fade, margin = round(FADE_SECONDS * per_second) * hop, round(MARGIN_SECONDS * per_second) * hop
    if hops <= windowing.whole_seconds * per_second:
        starts, length = [0], hops
    else:
        starts, length = window_starts(
            hops, int(windowing.window_seconds * per_second), (fade + 2 * margin) // hop
        )
    enhanced = np.zeros(hops * hop, np.float32)
    for index, start in enumerate(starts):
        span = np.arange(start * hop, (start + length) * hop)
        # In float64 a gain for samples near float32's smallest does not overflow.
        levelled = np.take(noisy, span, mode="wrap").astype(np.float64) * gain
        window = _estimate_window(model, levelled, settings).astype(np.float64) / gain
        if index == 0:
            enhanced[span] = window
            continue
        # What the windows before this one left stays up to the fade; this window takes over behind it.
        shared = (starts[index - 1] + length - start) * hop
        first = (shared - fade) // 2
        rising = _fade_in(fade)
        faded = slice(start * hop + first, start * hop + first + fade)
        enhanced[faded] += rising * (window[first : first + fade] - enhanced[faded])
        enhanced[faded.stop : (start + length) * hop] = window[first + fade :]
    return enhanced[: len(noisy)]


def _estimate_window(model: nn.Module, noisy: np.ndarray, settings: StftSettings) -> np.ndarray:
    """Enhanced (N,) float32 of gain-normalised (N,), N a multiple of the hop."""
    waveform = torch.from_numpy(noisy.astype(np.float32))[None].to(_device_of(model))
    if not waveform.any():
        return np.zeros(len(noisy), np.float32)
    estimate = _spectrum_estimate(model, compressed_spectrum(waveform, settings))
    enhanced = waveform_of(estimate, settings, length=len(noisy))[0].cpu().numpy()
    if not np.isfinite(enhanced).all():
        raise ValueError("the model's estimate holds NaN or infinite values: check its weights")
    return enhanced


def _spectrum_estimate(model: nn.Module, noisy_spectrum: Tensor) -> Tensor:
    estimate = getattr(model, "estimate_spectrum", model)
    return torch.cat(estimate(noisy_spectrum), dim=1).float()


def _fade_in(samples: int) -> np.ndarray:
    """Raised cosine from 0 to 1; with its mirror image it sums to 1 everywhere."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(np.float32)


def _resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    return samples if rate == new_rate else soxr.resample(samples, rate, new_rate, quality="VHQ")


def _checked_samples(noisy: np.ndarray, sample_rate: int) -> np.ndarray:
    samples = np.asarray(noisy)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"noisy is {samples.dtype}: pass floating point of scale ±1 (int16 samples divided by 32768)"
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= MAXIMUM_CHANNELS):
        raise ValueError(
            f"noisy has shape {samples.shape}: pass (samples,) or (samples, channels), "
            f"at most {MAXIMUM_CHANNELS} channels"
        )
    if len(samples) == 0:
        raise ValueError("noisy holds no samples: pass at least one")
    with np.errstate(over="ignore"):
        samples = samples.astype(np.float32)
    bad = int((~np.isfinite(samples)).sum())
    if bad:
        raise ValueError(f"noisy holds {bad} NaN or infinite samples: repair the recording first")
    if not (isinstance(sample_rate, int | np.integer) and sample_rate > 0):
        raise ValueError(f"sample_rate is {sample_rate!r}: use a positive whole number of Hz")
    return samples


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    # Flag by flag: a module that was frozen in evaluation mode inside a training model stays frozen.
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        # Not inference_mode: the analysis window is cached, and an inference tensor would break later training.
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
