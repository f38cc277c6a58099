"""One adversarial step: generator, PESQ labels scored meanwhile, discriminator."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import extract_model_from_parallel

from cmgan.dataset import Batch
from cmgan.forward import Forward, forward, gain_of, metric_magnitudes
from cmgan.labels import Labels, LabelSource
from cmgan.losses import discriminator_loss
from cmgan.metrics.pesq_workers import PendingScores, PesqWorkers
from cmgan.models.systems import objective
from cmgan.recipe import Recipe
from cmgan.signal import CMGAN_STFT, StftSettings
from cmgan.training.checkpoints import TrainingState
from cmgan.training.processes import averaged, collected, gathered

MISSING = float("nan")


@dataclass(frozen=True)
class Accumulation:
    """How many steps' gradients make one update of the weights, and whether this step is the last of them."""

    steps: int = 1
    update: bool = True


@dataclass(frozen=True)
class GeneratorStep:
    """Loss terms of one step, gradient norm before clipping, gain of estimate against clean; all dimensionless.

    Phase and consistency loss are MP-SENet's, missing for CMGAN; the norm is missing where no update was due.
    """

    loss_real_imaginary: float
    loss_magnitude: float
    loss_time: float
    loss_metric: float
    loss_phase: float
    loss_consistency: float
    loss_total: float
    gradient_norm_generator: float
    gain: float


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


@dataclass(frozen=True)
class StepRecord:
    """What one step logs."""

    generator: GeneratorStep
    discriminator: DiscriminatorStep

    def row(self) -> dict[str, float | int | bool | str]:
        """One row of steps.csv."""
        return vars(self.generator) | vars(self.discriminator)


def training_step(
    batch: Batch,
    state: TrainingState,
    recipe: Recipe,
    accelerator: Accelerator,
    scorer: PesqWorkers,
    label_source: LabelSource,
    stft: StftSettings = CMGAN_STFT,
    accumulation: Accumulation = Accumulation(),
) -> StepRecord:
    """Generator step, then discriminator step with PESQ labels: the public order.

    Scoring starts as soon as the estimate exists and is joined after the generator's step, so that its time
    is hidden behind the backward pass. Without a metric loss (weight 0) the discriminator is left alone.
    Several processes make one step together: labels are those of the global batch, logged values its means.
    """
    adversarial = recipe.loss_weights.metric > 0
    # It judges without learning here; its wrapper for several processes would wait for its gradients.
    judge = extract_model_from_parallel(state.discriminator).requires_grad_(False)
    result = forward(state.generator, batch, stft)
    pending = _start_scoring(result, scorer) if adversarial else None
    clean_magnitude, estimated_magnitude = metric_magnitudes(result, recipe.metric_input)
    score = judge(clean_magnitude, estimated_magnitude) if adversarial else None
    losses = objective(result, score, recipe)
    accelerator.backward(losses.total / accumulation.steps)
    generator_norm = _update(state.generator, state.generator_optimiser, recipe, accelerator, accumulation)
    judge.requires_grad_(True)
    generator_step = GeneratorStep(
        loss_real_imaginary=losses.real_imaginary.item(),
        loss_magnitude=losses.magnitude.item(),
        loss_time=losses.time.item(),
        loss_metric=losses.metric.item() if adversarial else MISSING,
        loss_phase=MISSING if losses.phase is None else losses.phase.item(),
        loss_consistency=MISSING if losses.consistency is None else losses.consistency.item(),
        loss_total=losses.total.item(),
        gradient_norm_generator=generator_norm,
        gain=gain_of(result.waveform.detach(), result.clean).nanmean().item(),
    )
    generator_step = GeneratorStep(**averaged(vars(generator_step), accelerator))
    if pending is None:
        return StepRecord(generator_step, DiscriminatorStep())
    return StepRecord(
        generator_step,
        _discriminator_step(
            clean_magnitude,
            estimated_magnitude.detach(),
            pending,
            state,
            recipe,
            accelerator,
            label_source,
            accumulation,
        ),
    )


def _start_scoring(result: Forward, scorer: PesqWorkers) -> PendingScores:
    return scorer.submit(result.clean.cpu().numpy(), result.waveform.detach().cpu().numpy())


def _discriminator_step(
    clean_magnitude: torch.Tensor,
    estimated_magnitude: torch.Tensor,
    pending: PendingScores,
    state: TrainingState,
    recipe: Recipe,
    accelerator: Accelerator,
    label_source: LabelSource,
    accumulation: Accumulation,
) -> DiscriminatorStep:
    scores = pending.result()
    pesq = gathered(np.array([score.value for score in scores]), accelerator)
    reasons = Counter(collected([score.reason for score in scores if score.reason], accelerator))
    labelled = label_source.label(pesq)
    labels = labelled.labels
    kept = labels.values[labels.kept & np.isfinite(labels.values)]
    first = accelerator.process_index * len(scores)
    own = labels.part(first, first + len(scores))
    values = dict.fromkeys(("loss_discriminator", "discriminator_clean", "discriminator_estimate"), MISSING)
    if not labels.skip:
        on_estimate = state.discriminator(clean_magnitude, estimated_magnitude)
        on_clean = state.discriminator(clean_magnitude, clean_magnitude)
        objective = discriminator_loss(on_clean, on_estimate, own, _share(own, labels))
        accelerator.backward(objective / accumulation.steps)
        means = (each.mean().item() for each in (objective, on_clean, on_estimate))
        values = averaged(dict(zip(values, means, strict=True)), accelerator)
    norm = _update(state.discriminator, state.discriminator_optimiser, recipe, accelerator, accumulation)
    return DiscriminatorStep(
        **values,
        discriminator_skipped=labels.skip,
        pesq_mean=float(np.nanmean(pesq)) if np.isfinite(pesq).any() else MISSING,
        label_mean=float(kept.mean()) if len(kept) else MISSING,
        label_std=float(kept.std()) if len(kept) else MISSING,
        pesq_failures=int(np.isnan(labelled.pesq).sum()),
        failure_reasons=";".join(f"{reason}:{count}" for reason, count in sorted(reasons.items())),
        failure_injected=labelled.injected,
        gradient_norm_discriminator=norm,
    )


def _share(own: Labels, all_labels: Labels) -> float:
    """How many of the kept samples are this process's, against an equal share."""
    if not all_labels.kept.any():
        return 1.0
    return own.kept.mean() / all_labels.kept.mean()


def _update(
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    accelerator: Accelerator,
    accumulation: Accumulation,
) -> float:
    """Change the weights where that is due; norm of the gradient before clipping, missing where there is none."""
    learnt = any(parameter.grad is not None for parameter in network.parameters())
    if not (learnt and accumulation.update):
        return MISSING
    norm = accelerator.clip_grad_norm_(network.parameters(), recipe.gradient_clip or float("inf"))
    optimiser.step()
    optimiser.zero_grad()
    return float(norm)
