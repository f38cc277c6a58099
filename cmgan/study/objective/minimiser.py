"""Minimise a training objective directly: the unknown is the estimate's spectrum, not a network's weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from cmgan.forward import Forward, metric_magnitudes
from cmgan.memory import keep_freed_memory
from cmgan.metrics.pesq import PesqWorkers
from cmgan.models.systems import objective, stft_settings
from cmgan.recipe import Budget, Recipe
from cmgan.signal import StftSettings, compressed_spectrum, waveform_of
from cmgan.study.objective.clips import Clips
from cmgan.study.objective.minima import settling_from
from cmgan.training.validation import listening_measures

Start = Literal["noisy", "clean"]

# The step size rises from the first to the highest over a fifth of the iterations, so that the way down is seen, and
# then falls to the last. Compressed magnitudes are about 1, so these are in units of the spectrum itself. Forgetting
# squared gradients after 20 iterations (0.95) reached in 400 what Adam's usual 0.999 reaches in 800.
FIRST_STEP, HIGHEST_STEP, LAST_STEP = 0.05, 0.7, 0.01
RISING_SHARE = 0.2
BETAS = (0.9, 0.95)
WATCHED = 15  # iterations of a descent


@dataclass(frozen=True)
class Snapshot:
    """Where a descent stands after `iteration` steps: estimate (B, 2, T, F) compressed."""

    iteration: int
    estimate: Tensor


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
    keep_freed_memory()
    if iterations < 10:
        raise ValueError(f"iterations is {iterations}: use at least 10, and some hundreds to converge")
    stft = stft_settings(recipe.generator, Budget())
    first = clips.noisy if start == "noisy" else clips.clean
    unknown = compressed_spectrum(first, stft).contiguous().requires_grad_(True)
    fixed = state_of(clips, unknown.detach(), stft)
    adam = torch.optim.Adam([unknown], betas=BETAS, eps=1e-12)
    snapshots = []
    for iteration, size in enumerate(step_sizes(iterations)):
        if iteration in seen:
            snapshots.append(Snapshot(iteration, unknown.detach().clone()))
        waveform = waveform_of(unknown, stft, length=clips.clean.shape[-1])
        state = replace(fixed, estimate=unknown, waveform=waveform)
        adam.zero_grad()
        total = objective(state, _score(state, recipe, judge), recipe).total
        if not torch.isfinite(total):
            raise ValueError(
                f"{', '.join(clips.names)}: the objective is not finite after {iteration} iterations"
            )
        total.backward()
        adam.param_groups[0]["lr"] = size
        adam.step()
    return [*snapshots, Snapshot(iterations, unknown.detach())]


def step_sizes(iterations: int) -> list[float]:
    """Adam's step size for every iteration: a geometric rise, then a geometric fall."""
    rising = max(round(RISING_SHARE * iterations), 1)
    rise = np.geomspace(FIRST_STEP, HIGHEST_STEP, rising, endpoint=False)
    fall = np.geomspace(HIGHEST_STEP, LAST_STEP, iterations - rising)
    return [*rise.tolist(), *fall.tolist()]


def watched_iterations(iterations: int) -> list[int]:
    """The start, then iterations spread evenly over their logarithm, three quarters of the way, and the last."""
    spread = np.geomspace(1, iterations, WATCHED).round().astype(int)
    return sorted({0, *map(int, spread), settling_from(iterations)})


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
            score = _score(state, recipe, judge)
            pending.append(scorer.submit(state.clean.numpy(), state.waveform.numpy()))
            rows.append(
                {"clip": name, "iteration": snapshot.iteration, "gain_of_loader": float(clips.gains[index])}
                | objective(state, score, recipe).values()
                | {"published_time": objective(state, score, recipe, "published").time.item()}
                | listening_measures(state)
                | {"score": float("nan") if score is None else score.item()}
            )
    for row, scores in zip(rows, pending, strict=True):
        (one,) = scores.result()
        row |= {"pesq": one.value, "pesq_reason": one.reason}
    return rows


def speech_power(clips: Clips, stft: StftSettings) -> list[float]:
    """Mean over bins of the clean clip's squared compressed magnitude, a number a clip."""
    return [float(power) for power in compressed_spectrum(clips.clean, stft).square().sum(1).mean((1, 2))]


def _score(state: Forward, recipe: Recipe, judge: nn.Module | None) -> Tensor | None:
    if judge is None or not recipe.loss_weights.metric:
        return None
    return judge(*metric_magnitudes(state, recipe.metric_input))
