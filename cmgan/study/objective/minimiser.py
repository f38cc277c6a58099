"""Minimise a training objective directly: the unknown is the estimate's spectrum, not a network's weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cmgan.dataset import UtterancePair
from cmgan.forward import Forward, metric_magnitudes
from cmgan.metrics.pesq_workers import PesqWorkers
from cmgan.models.systems import objective, stft_settings
from cmgan.recipe import Budget, Recipe
from cmgan.signal import SAMPLE_RATE, StftSettings, compressed_spectrum, rms_gain, waveform_of
from cmgan.training.validation import listening_measures

Start = Literal["noisy", "clean"]

# The step size rises from the first to the highest over a fifth of the iterations, so that the way down is seen, and
# then falls to the last. Compressed magnitudes are about 1, so these are in units of the spectrum itself. Forgetting
# squared gradients after 20 iterations (0.95) reached in 400 what Adam's usual 0.999 reaches in 800.
FIRST_STEP, HIGHEST_STEP, LAST_STEP = 0.05, 0.7, 0.01
RISING_SHARE = 0.2
BETAS = (0.9, 0.95)
# A descent has converged when its last quarter of iterations lowered the objective by less than this, as a share of
# what it was at the start of that quarter, or as a share of the clean speech's own compressed power.
SETTLED = 0.02
NEGLIGIBLE = 0.002
LEAST_SECONDS = 0.25


@dataclass(frozen=True)
class Clips:
    """Clips of one length at the scale where the noisy signal has RMS 1, and the gain that brought them there.

    names of B clips; clean, noisy (B, N) float32; gains (B, 1), dimensionless.
    """

    names: tuple[str, ...]
    clean: Tensor
    noisy: Tensor
    gains: Tensor

    def with_gain(self, gain: float) -> "Clips":
        """The same clips as if the loader had applied `gain` to files that much quieter. ValueError unless > 0."""
        if not gain > 0 or not math.isfinite(gain):
            raise ValueError(f"gain is {gain:g}: use a positive number, 1 for files of RMS 1")
        return replace(self, gains=torch.full_like(self.gains, gain))

    def part(self, index: int) -> "Clips":
        """One clip, B = 1."""
        one = slice(index, index + 1)
        return Clips(self.names[one], self.clean[one], self.noisy[one], self.gains[one])


@dataclass(frozen=True)
class Snapshot:
    """Where a descent stands after `iteration` steps: estimate (B, 2, T, F) compressed."""

    iteration: int
    estimate: Tensor


def clips_of(pairs: Sequence[UtterancePair], seconds: float = 0.0, hop: int = 100) -> Clips:
    """The middle `seconds` of every pair (0: as much as the shortest has), normalised as the public loader does.

    Lengths are cut to a multiple of `hop`. Raises ValueError, naming the clip, for a pair of different lengths, a
    silent or too short clip, or samples that are not finite.
    """
    if not pairs:
        raise ValueError("there are no clips: give at least one pair of clean and noisy speech")
    for pair in pairs:
        _check_pair(pair)
    shortest = min(len(pair.clean) for pair in pairs)
    samples = min(round(seconds * SAMPLE_RATE), shortest) if seconds else shortest
    samples = samples // hop * hop
    cut = [_middle(pair, samples) for pair in pairs]
    for pair in cut:
        if not (pair.clean.any() and pair.noisy.any()):
            raise ValueError(f"{pair.id}: the clip is silent, choose one that holds speech")
    clean, noisy = (
        torch.from_numpy(np.stack([getattr(pair, side) for pair in cut])) for side in ("clean", "noisy")
    )
    gains = rms_gain(noisy)
    return Clips(tuple(pair.id for pair in cut), gains * clean, gains * noisy, gains)


def state_of(clips: Clips, estimate: Tensor, stft: StftSettings) -> Forward:
    """What the losses and measures need to know of an estimate (B, 2, T, F), as after a network's forward pass."""
    waveform = waveform_of(estimate, stft, length=clips.clean.shape[-1])
    clean_spectrum = compressed_spectrum(clips.clean, stft)
    return Forward(clips.clean / clips.gains, clips.clean, clean_spectrum, estimate, waveform, stft)


def minimise(
    clips: Clips,
    recipe: Recipe,
    start: Start,
    iterations: int,
    seen: Sequence[int] = (),
    judge: nn.Module | None = None,
) -> list[Snapshot]:
    """Follow the recipe's generator objective down from the noisy or the clean spectrum, without a network.

    The estimate's compressed spectrum is the unknown, as the generator writes it; each of the B clips goes its own
    way, since Adam treats every element by itself. judge: a frozen discriminator for the metric loss; without one, or
    with a weight of 0, that term is left out. Returns snapshots after the iterations `seen`, and after the last one.
    Raises ValueError for fewer than 10 iterations, or an objective that is not finite.
    """
    if iterations < 10:
        raise ValueError(f"iterations is {iterations}: use at least 10, and some hundreds to converge")
    stft = stft_settings(recipe.generator, Budget())
    first = clips.noisy if start == "noisy" else clips.clean
    unknown = compressed_spectrum(first, stft).contiguous().requires_grad_(True)
    fixed = state_of(clips, unknown.detach(), stft)
    adam = torch.optim.Adam([unknown], betas=BETAS, eps=1e-12)
    wanted, snapshots = {*seen, iterations}, []
    for iteration, size in enumerate([*step_sizes(iterations), 0.0]):
        if iteration in wanted:
            snapshots.append(Snapshot(iteration, unknown.detach().clone()))
        if iteration == iterations:
            break
        state = replace(
            fixed, estimate=unknown, waveform=waveform_of(unknown, stft, length=clips.clean.shape[-1])
        )
        score = None
        if judge is not None and recipe.loss_weights.metric:
            score = judge(*metric_magnitudes(state, recipe.metric_input))
        adam.zero_grad()
        total = objective(state, score, recipe).total
        if not torch.isfinite(total):
            raise ValueError(
                f"{', '.join(clips.names)}: the objective is not finite after {iteration} iterations"
            )
        total.backward()
        adam.param_groups[0]["lr"] = size
        adam.step()
    return snapshots


def step_sizes(iterations: int) -> list[float]:
    """Adam's step size for every iteration: a geometric rise, then a geometric fall."""
    rising = max(round(RISING_SHARE * iterations), 1)
    sizes = np.concatenate(
        [
            np.geomspace(FIRST_STEP, HIGHEST_STEP, rising, endpoint=False),
            np.geomspace(HIGHEST_STEP, LAST_STEP, iterations - rising),
        ]
    )
    return [float(size) for size in sizes]


def watched_iterations(iterations: int, points: int = 15) -> list[int]:
    """The start, then iterations spread evenly over their logarithm, three quarters of the way, and the last."""
    spread = np.geomspace(1, iterations, points).round().astype(int)
    return sorted({0, *map(int, spread), settling_from(iterations)})


def settling_from(iterations: int) -> int:
    """The iteration from which on a converged descent hardly lowers the objective any more."""
    return iterations - iterations // 4


@torch.no_grad()
def measure(
    clips: Clips,
    recipe: Recipe,
    snapshots: Sequence[Snapshot],
    scorer: PesqWorkers,
    judge: nn.Module | None = None,
) -> list[dict[str, float | int | str]]:
    """A row per snapshot and clip: iteration, clip, every loss term and the objective, and what a listener gets.

    Columns beside the terms: published_time (the time loss against the published target, whatever the recipe's),
    score (of the judge), those of `cmgan.training.validation.listening_measures`, pesq and pesq_reason.
    """
    rows, pending = [], []
    stft = stft_settings(recipe.generator, Budget())
    for snapshot in snapshots:
        for index, name in enumerate(clips.names):
            state = state_of(clips.part(index), snapshot.estimate[index : index + 1], stft)
            score = (
                judge(*metric_magnitudes(state, recipe.metric_input))
                if judge and recipe.loss_weights.metric
                else None
            )
            pending.append(scorer.submit(state.clean.numpy(), state.waveform.numpy()))
            rows.append(
                {"clip": name, "iteration": snapshot.iteration, "gain_of_loader": float(clips.gains[index])}
                | terms_of(state, score, recipe)
                | {"published_time": objective(state, score, recipe, "published").time.item()}
                | listening_measures(state)
                | {"score": float("nan") if score is None else score.item()}
            )
    for row, scores in zip(rows, pending, strict=True):
        (one,) = scores.result()
        row |= {"pesq": one.value, "pesq_reason": one.reason}
    return rows


def terms_of(state: Forward, score: Tensor | None, recipe: Recipe) -> dict[str, float]:
    """The objective and its terms, for one clip; a term that the recipe's system lacks is NaN."""
    losses = objective(state, score, recipe)
    terms = ("real_imaginary", "magnitude", "time", "metric", "phase", "consistency", "total")
    values = {name: getattr(losses, name) for name in terms}
    return {f"loss_{name}": float("nan") if value is None else value.item() for name, value in values.items()}


def has_settled(before: float, end: float, speech: float) -> bool:
    """Whether the last quarter of a descent hardly lowered its objective (see `SETTLED`).

    before, end: the objective at `settling_from` and at the end; speech: mean compressed power of the clean clip.
    """
    return before - end <= max(SETTLED * before, NEGLIGIBLE * speech)


def speech_power(clips: Clips, stft: StftSettings) -> list[float]:
    """Mean over bins of the clean clip's squared compressed magnitude, a number a clip."""
    return [float(power) for power in compressed_spectrum(clips.clean, stft).square().sum(1).mean((1, 2))]


def _check_pair(pair: UtterancePair) -> None:
    if len(pair.clean) != len(pair.noisy):
        raise ValueError(
            f"{pair.id}: clean has {len(pair.clean)} samples and noisy {len(pair.noisy)}, cut both to one length"
        )
    if len(pair.clean) < LEAST_SECONDS * SAMPLE_RATE:
        raise ValueError(
            f"{pair.id}: {len(pair.clean) / SAMPLE_RATE:.2f} s are too short, PESQ needs {LEAST_SECONDS:g} s"
        )
    for side in ("clean", "noisy"):
        if not np.isfinite(getattr(pair, side)).all():
            raise ValueError(f"{pair.id}: {side} has samples that are NaN or infinite; repair or drop it")


def _middle(pair: UtterancePair, samples: int) -> UtterancePair:
    first = (len(pair.clean) - samples) // 2
    return UtterancePair(pair.id, pair.clean[first : first + samples], pair.noisy[first : first + samples])
