"""One adversarial step: generator, PESQ labels scored meanwhile, discriminator."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import extract_model_from_parallel
from torch import Tensor

from cmgan.dataset import Batch
from cmgan.forward import Forward, forward, gain_of, metric_magnitudes
from cmgan.labels import Labels, LabelSource
from cmgan.losses import GeneratorLosses, discriminator_loss
from cmgan.metrics.pesq import PendingScores, PesqWorkers
from cmgan.models.systems import objective
from cmgan.recipe import Recipe
from cmgan.signal import CMGAN_STFT, StftSettings
from cmgan.training.accelerator import averaged, collected, gathered
from cmgan.training.checkpoints import DivergenceError, TrainingState

MISSING = float("nan")


@dataclass(frozen=True)
class TrainingContext:
    """What every step of a run works with; only `state` changes."""

    state: TrainingState
    recipe: Recipe
    accelerator: Accelerator
    scorer: PesqWorkers
    stft: StftSettings = CMGAN_STFT


@dataclass(frozen=True)
class Accumulation:
    """How many steps' gradients make one update of the weights, and whether this step is the last of them."""

    steps: int = 1
    update: bool = True


@dataclass(frozen=True)
class DiscriminatorStep:
    """The discriminator's half of a step; NaN (an empty cell) where nothing was computed.

    loss_discriminator is missing, not 0, when the step was skipped. discriminator_clean and _estimate are mean
    outputs on (clean, clean) and (clean, estimate); label_mean and label_std describe the labels kept;
    pesq_failures counts injected failures too, failure_reasons ("reason:count;…") only real ones.
    """

    loss_discriminator: float = MISSING
    discriminator_skipped: bool = False
    discriminator_clean: float = MISSING
    discriminator_estimate: float = MISSING
    gradient_norm_discriminator: float = MISSING
    pesq_mean: float = MISSING
    label_mean: float = MISSING
    label_std: float = MISSING
    pesq_failures: int = 0
    failure_reasons: str = ""
    failure_injected: bool = False


def training_step(
    batch: Batch, context: TrainingContext, labels: LabelSource, accumulation: Accumulation = Accumulation()
) -> dict[str, float | int | bool | str]:
    """Generator step, then discriminator step with PESQ labels: the public order; returns a row of steps.csv.

    The row: `GeneratorLosses.values`, the generator's gradient norm (before clipping; missing where no update was
    due), the gain of estimate against clean, and the fields of DiscriminatorStep; none of them has a unit.
    Scoring starts as soon as the estimate exists and is joined after the generator's step, so that its time
    is hidden behind the backward pass. Without a metric loss (weight 0) the discriminator is left alone.
    Several processes make one step together: labels are those of the global batch, logged values its means.
    Raises DivergenceError, before weights change, for a loss or a gradient that is not finite (but for a gradient of
    fp16, which the scaler takes care of).
    """
    state, recipe, accelerator = context.state, context.recipe, context.accelerator
    adversarial = recipe.loss_weights.metric > 0
    # Frozen and unwrapped: DDP would wait for its gradients.
    discriminator = extract_model_from_parallel(state.discriminator).requires_grad_(False)
    result = forward(state.generator, batch, context.stft)
    pending = score = None
    clean_magnitude, estimated_magnitude = metric_magnitudes(result, recipe.metric_input)
    if adversarial:
        pending = context.scorer.submit(result.clean.cpu().numpy(), result.waveform.detach().cpu().numpy())
        score = discriminator(clean_magnitude, estimated_magnitude)
    losses = objective(result, score, recipe)
    accelerator.backward(losses.total / accumulation.steps)
    _check_losses(losses, batch, result)
    norm = update(state.generator, state.generator_optimiser, context, accumulation)
    discriminator.requires_grad_(True)
    gain = gain_of(result.waveform.detach(), result.clean).nanmean().item()
    row = losses.values() | {"gradient_norm_generator": norm, "gain": gain}
    row = averaged(row if adversarial else row | {"loss_metric": MISSING}, accelerator)
    if pending is None:
        return row | vars(DiscriminatorStep())
    magnitudes = clean_magnitude, estimated_magnitude.detach()
    return row | vars(_discriminator_step(magnitudes, pending, context, labels, accumulation))


def _discriminator_step(
    magnitudes: tuple[Tensor, Tensor],
    pending: PendingScores,
    context: TrainingContext,
    label_source: LabelSource,
    accumulation: Accumulation,
) -> DiscriminatorStep:
    state, accelerator = context.state, context.accelerator
    scores = pending.result()
    pesq = gathered(np.array([score.value for score in scores]), accelerator)
    reasons = Counter(collected([score.reason for score in scores if score.reason], accelerator))
    labelled = label_source.label(pesq)
    labels = labelled.labels
    kept = labels.values[labels.kept & np.isfinite(labels.values)]
    means = {}
    if not labels.skip:
        first = accelerator.process_index * len(scores)
        own = labels.part(first, first + len(scores))
        on_estimate = state.discriminator(*magnitudes)
        on_clean = state.discriminator(magnitudes[0], magnitudes[0])
        loss = discriminator_loss(on_clean, on_estimate, own, _share(own, labels))
        accelerator.backward(loss / accumulation.steps)
        if not torch.isfinite(loss):
            raise DivergenceError(f"the discriminator's loss is {loss.item()}")
        outputs = {"discriminator_clean": on_clean, "discriminator_estimate": on_estimate}
        means = {name: each.mean().item() for name, each in outputs.items()}
        means = averaged(means | {"loss_discriminator": loss.item()}, accelerator)
    return DiscriminatorStep(
        **means,
        discriminator_skipped=labels.skip,
        gradient_norm_discriminator=update(
            state.discriminator, state.discriminator_optimiser, context, accumulation
        ),
        pesq_mean=float(np.nanmean(pesq)) if np.isfinite(pesq).any() else MISSING,
        label_mean=float(kept.mean()) if len(kept) else MISSING,
        label_std=float(kept.std()) if len(kept) else MISSING,
        pesq_failures=int(np.isnan(labelled.pesq).sum()),
        failure_reasons=";".join(f"{reason}:{count}" for reason, count in sorted(reasons.items())),
        failure_injected=labelled.injected,
    )


def _share(own: Labels, all_labels: Labels) -> float:
    """How many of the kept samples are this process's, against an equal share."""
    if not all_labels.kept.any():
        return 1.0
    return own.kept.mean() / all_labels.kept.mean()


def update(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    context: TrainingContext,
    accumulation: Accumulation,
) -> float:
    """Change the weights where that is due; norm of the gradient before clipping, NaN where nothing was learnt."""
    learnt = any(parameter.grad is not None for parameter in network.parameters())
    if not (learnt and accumulation.update):
        return MISSING
    limit = context.recipe.gradient_clip or float("inf")
    norm = float(context.accelerator.clip_grad_norm_(network.parameters(), limit))
    if context.accelerator.scaler is None and not math.isfinite(norm):
        whose = "generator" if network is context.state.generator else "discriminator"
        raise DivergenceError(f"the norm of the {whose}'s gradient is {norm}")
    optimiser.step()
    optimiser.zero_grad()
    return norm


def _check_losses(losses: GeneratorLosses, batch: Batch, result: Forward) -> None:
    if torch.isfinite(losses.total):
        return
    terms = {name: term.item() for name, term in vars(losses).items() if term is not None}
    odd = {name: value for name, value in terms.items() if not math.isfinite(value)}
    # Batch norm spreads one sample's NaN over the batch: what went in tells more than what came out.
    for signals in ((batch.clean, batch.noisy), (result.estimate, result.waveform)):
        whole = torch.stack([torch.isfinite(each).flatten(1).all(1) for each in signals]).all(0).tolist()
        ids = [name for name, finite in zip(batch.ids, whole, strict=True) if not finite]
        if ids:
            break
    name, value = next(iter(odd.items()))
    samples = f", from {', '.join(ids)}" if ids else ""
    raise DivergenceError(f"the generator's {name.replace('_', ' and ')} loss is {value}{samples}")
