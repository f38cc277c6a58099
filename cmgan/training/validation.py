"""How good the generator is on a fixed set of whole utterances, in losses and in what a listener gets."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cmgan.dataset import Batch, UtterancePair, crop
from cmgan.forward import Forward, forward, gain_of, metric_magnitudes, phase_error
from cmgan.metrics.pesq import PesqWorkers
from cmgan.metrics.snr import segmental_snr, si_sdr
from cmgan.models.systems import objective
from cmgan.recipe import Recipe
from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, StftSettings, inconsistency, rms_gain

RANDOM_CROP_SECONDS = 2.0


@torch.no_grad()
def validate(
    generator: nn.Module,
    discriminator: nn.Module,
    pairs: Sequence[UtterancePair],
    recipe: Recipe,
    scorer: PesqWorkers,
    crop_seed: Sequence[int],
    stft: StftSettings = CMGAN_STFT,
    process: int = 0,
    processes: int = 1,
) -> list[dict]:
    """A row per utterance: every loss term, PESQ, SSNR (dB), SI-SDR (dB), gain, inconsistency, phase error (rad).

    Of `processes` that share the work, `process` takes every `processes`-th utterance. `pesq_random_crop` scores one
    random 2 s crop of the same estimate, as the public validation would see it, placed by crop_seed and utterance.
    Losses are those of `recipe`, on whole utterances; a failed PESQ is NaN with its reason in `pesq_reason`.
    Networks are put in evaluation mode and back.
    """
    modes = [(network, network.training) for network in (generator, discriminator)]
    for network, _ in modes:
        network.eval()
    rows, pending = [], []
    device = next(generator.parameters()).device
    for number in range(process, len(pairs), processes):
        pair = pairs[number]
        result = forward(generator, whole_utterance(pair, device, stft.hop), stft)
        clean, estimate = (wave[0].cpu().numpy() for wave in (result.clean, result.waveform))
        samples, place = round(RANDOM_CROP_SECONDS * SAMPLE_RATE), np.random.default_rng([*crop_seed, number])
        crops = crop(UtterancePair(pair.id, clean, estimate), samples, place)
        pending.append(
            (scorer.submit(clean[None], estimate[None]), scorer.submit(crops[0][None], crops[1][None]))
        )
        rows.append({"id": pair.id} | _losses(result, discriminator, recipe) | listening_measures(result))
    for row, (whole, cropped) in zip(rows, pending, strict=True):
        score = whole.result()[0]
        row["pesq"], row["pesq_reason"] = score.value, score.reason
        row["pesq_random_crop"] = cropped.result()[0].value
    for network, training in modes:
        network.train(training)
    return rows


def listening_measures(result: Forward) -> dict[str, float]:
    """What a listener gets of one utterance, B = 1: ssnr, si_sdr (dB), gain, inconsistency, phase_error (rad)."""
    clean, estimate = (wave[0].cpu().numpy() for wave in (result.clean, result.waveform))
    return {
        "ssnr": segmental_snr(clean, estimate),
        "si_sdr": si_sdr(clean, estimate),
        "gain": gain_of(result.waveform, result.clean).item(),
        "inconsistency": inconsistency(result.estimate, result.stft).item(),
        "phase_error": phase_error(result.estimate, result.clean_spectrum).item(),
    }


def whole_utterance(pair: UtterancePair, device: torch.device, hop: int) -> Batch:
    """A batch of one utterance, wrapped at its end to a multiple of the hop (public evaluation)."""
    samples = -(-len(pair.clean) // hop) * hop
    clean, noisy = (torch.from_numpy(np.resize(wave, samples))[None] for wave in (pair.clean, pair.noisy))
    return Batch(clean.to(device), noisy.to(device), (pair.id,))


@torch.no_grad()
def resynthesised(generator: nn.Module, pair: UtterancePair, stft: StftSettings) -> Tensor:
    """An utterance as the generator enhances it, at the level of its recording: (1, N); evaluation mode and back."""
    training = generator.training
    generator.eval()
    batch = whole_utterance(pair, next(generator.parameters()).device, stft.hop)
    waveform = forward(generator, batch, stft).waveform / rms_gain(batch.noisy)
    generator.train(training)
    return waveform


def _losses(result: Forward, discriminator: nn.Module, recipe: Recipe) -> dict[str, float]:
    clean_magnitude, estimated_magnitude = metric_magnitudes(result, recipe.metric_input)
    estimate_score = discriminator(clean_magnitude, estimated_magnitude)
    published, normalised = (
        objective(result, estimate_score, recipe, target) for target in ("published", "normalised")
    )
    trained = normalised if recipe.time_target == "normalised" else published
    terms = trained.values()
    # The time loss against either target, whichever was trained on, and none of MP-SENet's own terms.
    names = ("loss_real_imaginary", "loss_magnitude", "loss_time_published", "loss_time_normalised")
    terms |= {"loss_time_published": published.time.item(), "loss_time_normalised": normalised.time.item()}
    return {name: terms[name] for name in (*names, "loss_metric", "loss_total")} | {
        "discriminator_estimate": estimate_score.item(),
        "discriminator_clean": discriminator(clean_magnitude, clean_magnitude).item(),
    }
