"""Enhance recordings of any length, sample rate and channel count with a trained generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, StftSettings, compressed_spectrum, rms_gain, waveform_of
from data_prep.audio import resample

# Up to 16 s, as in the public evaluation, a model sees the whole recording, beyond that windows of at most 8 s:
# attention along time costs time and memory that grow with the square of the length.
WHOLE_SECONDS = 16.0
WINDOW_SECONDS = 8.0
# Neighbouring windows share 2 s: the outer half second of each, where context is cut off, is thrown away and
# the second in the middle is cross-faded.
MARGIN_SECONDS = 0.5
FADE_SECONDS = 1.0
MAXIMUM_CHANNELS = 32


def enhance(model: nn.Module, noisy: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
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
    that is not finite. Source: the evaluation of whole files in CMGAN's repository.
    """
    samples = _checked_samples(noisy, sample_rate)
    channels = samples.reshape(len(samples), -1)
    with _evaluating(model):
        enhanced = [_enhance_channel(model, channel, sample_rate) for channel in channels.T]
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


def _enhance_channel(model: nn.Module, noisy: np.ndarray, sample_rate: int) -> np.ndarray:
    settings = getattr(model, "stft_settings", CMGAN_STFT)
    # Reflect padding needs more than half a frame of samples.
    shortest = -(-(settings.n_fft // 2 + 1) * sample_rate // SAMPLE_RATE) + 1
    lengthened = np.resize(noisy, max(len(noisy), shortest))
    estimate = _estimate(model, resample(lengthened, sample_rate, SAMPLE_RATE), settings)
    restored = resample(estimate, SAMPLE_RATE, sample_rate)[: len(noisy)]
    return np.pad(restored, (0, len(noisy) - len(restored)))


def _estimate(model: nn.Module, noisy: np.ndarray, settings: StftSettings) -> np.ndarray:
    """Enhanced (N,) float32 of (N,) at 16 kHz, from one window or several that are cross-faded."""
    gain = rms_gain(torch.from_numpy(noisy.astype(np.float64))[None]).item()
    hop = settings.hop
    hops = -(-len(noisy) // hop)
    per_second = SAMPLE_RATE / hop
    fade, margin = round(FADE_SECONDS * per_second) * hop, round(MARGIN_SECONDS * per_second) * hop
    longest = WHOLE_SECONDS if hops <= WHOLE_SECONDS * per_second else WINDOW_SECONDS
    starts, length = window_starts(hops, int(longest * per_second), (fade + 2 * margin) // hop)
    # A raised cosine: with its mirror image it sums to 1 everywhere.
    rising = (0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)).astype(np.float32)
    enhanced = np.zeros(hops * hop, np.float32)
    joined = 0
    for start in starts:
        span = np.arange(start * hop, (start + length) * hop)
        # In float64 a gain for samples near float32's smallest does not overflow.
        levelled = np.take(noisy, span, mode="wrap").astype(np.float64) * gain
        window = _estimate_window(model, levelled, settings).astype(np.float64) / gain
        if start == 0:
            enhanced[span] = window
        else:
            # What the windows before this one left stays up to the fade; this window takes over behind it.
            first = (joined - span[0] - fade) // 2
            faded = slice(span[0] + first, span[0] + first + fade)
            enhanced[faded] += rising * (window[first : first + fade] - enhanced[faded])
            enhanced[faded.stop : span[-1] + 1] = window[first + fade :]
        joined = span[-1] + 1
    return enhanced[: len(noisy)]


def _estimate_window(model: nn.Module, noisy: np.ndarray, settings: StftSettings) -> np.ndarray:
    """Enhanced (N,) float32 of gain-normalised (N,), N a multiple of the hop."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    waveform = torch.from_numpy(noisy.astype(np.float32))[None].to(device)
    if not waveform.any():
        return np.zeros(len(noisy), np.float32)
    estimate = getattr(model, "estimate_spectrum", model)(compressed_spectrum(waveform, settings))
    spectrum = torch.cat(estimate, dim=1).float()
    enhanced = waveform_of(spectrum, settings, length=len(noisy))[0].cpu().numpy()
    if not np.isfinite(enhanced).all():
        raise ValueError("the model's estimate holds NaN or infinite values: check its weights")
    return enhanced
