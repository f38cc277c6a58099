"""What a training run is made of: the recipe that an arm varies and the budget that a profile sets."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cmgan.settings import Setting, check_settings

TimeTarget = Literal["published", "normalised"]
LabelPolicy = Literal["skip_batch", "batch_mean", "mask", "fill"]
MetricInput = Literal["estimated", "reanalysed"]
GeneratorName = Literal["tscnet", "mpsenet"]
Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's loss terms (public code: 0.1, 0.9, 0.2, 0.05)."""

    real_imaginary: float = 0.1
    magnitude: float = 0.9
    time: float = 0.2
    metric: float = 0.05

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not 0 <= weight < float("inf"):
                raise ValueError(f"weight of the {name} loss is {weight:g}: use 0 or a positive number")


@dataclass(frozen=True)
class Recipe:
    """One way to train: every field is something that a claim is about.

    time_target: `published` compares the gain-normalised estimate with the clean signal before the gain,
        `normalised` after it.
    labels: what the discriminator learns from when a sample's PESQ fails (see `cmgan.labels`).
    shuffled_labels: it learns scores of other samples instead of their own, a control (see `cmgan.labels`).
    injected_failure_rate: share of batches in which one sample's PESQ is made to fail, 0…1.
    metric_input: the discriminator sees the estimated magnitude or that of the estimated waveform.
    gradient_clip: largest L2 norm of each network's gradient; 0 leaves gradients alone.
    reshuffle: a new order of utterances every epoch, or the same order in all of them.
    patience: epochs without a lower validation loss after which training stops; 0 never stops.
    batch_size: crops a batch, where that is what sets an arm apart; 0 takes the budget's.
    recording_rms: recordings are scaled so that the noisy one has this RMS; 0 leaves them as they are. The loader's
        gain is about its inverse.
    """

    time_target: TimeTarget = "normalised"
    labels: LabelPolicy = "mask"
    injected_failure_rate: Annotated[float, Setting("share of batches", least=0)] = 0.0
    metric_input: MetricInput = "estimated"
    loss_weights: LossWeights = field(default_factory=LossWeights)
    gradient_clip: float = 0.0
    reshuffle: bool = True
    generator: GeneratorName = "tscnet"
    patience: int = 0
    minimum_improvement: float = 1e-4
    shuffled_labels: bool = False
    batch_size: Annotated[int, Setting("0 takes the budget's", least=0)] = 0
    recording_rms: Annotated[float, Setting("0 leaves recordings as they are", least=0)] = 0.0

    def __post_init__(self) -> None:
        check_settings(self)
        if self.injected_failure_rate > 1:
            raise ValueError(
                f"injected_failure_rate is {self.injected_failure_rate}: use a share from 0 to 1"
            )


@dataclass(frozen=True)
class Budget:
    """Size and length of a run: the same for every arm of a profile. Defaults are the published ones.

    With gradient_accumulation, labels and batch norms stay those of each step.
    Raises ValueError with one line that names the setting and what to use.
    """

    channels: Annotated[int, Setting("width of the generator, a multiple of 4", least=4)] = 64
    blocks: Annotated[int, Setting("two-stage conformer blocks, 4 in the paper", least=1)] = 4
    discriminator_width: Annotated[int, Setting("filters of its first layer, 16 in the paper", least=1)] = 16
    epochs: Annotated[int, Setting("passes over the training utterances, 120 in the paper", least=1)] = 120
    batch_size: Annotated[int, Setting("crops a step and process, 4 in the paper", least=1)] = 4
    crop_seconds: Annotated[
        float, Setting("seconds of a training crop; PESQ needs at least 0.25", least=0.25)
    ] = 2.0
    n_fft: Annotated[int, Setting("samples (16 kHz) of a frame, divisible by 4", least=4)] = 400
    hop: Annotated[int, Setting("samples between frames, at most half a frame", least=1)] = 100
    generator_learning_rate: Annotated[float, Setting("learning rate of the generator (AdamW)")] = 5e-4
    discriminator_learning_rate: Annotated[float, Setting("learning rate of the discriminator")] = 1e-3
    decay_epochs: Annotated[int, Setting("epochs between two drops of the learning rates", least=1)] = 30
    decay_factor: Annotated[float, Setting("what both learning rates are multiplied by")] = 0.5
    validated_utterances: Annotated[
        int, Setting("utterances scored every epoch, 0 takes the split", least=0)
    ] = 0
    mixed_precision: Annotated[Precision, Setting("number format: no (float32), bf16 or fp16")] = "no"
    threads: Annotated[int, Setting("torch threads of a job, 0 takes all cores", least=0)] = 0
    pesq_workers: Annotated[
        int, Setting("processes that score PESQ during the backward pass, 0 for none", least=0)
    ] = 0
    pesq_time_limit: Annotated[
        float, Setting("seconds after which PESQ in a worker counts as failed, 0 takes 600", least=0)
    ] = 0.0
    processes: Annotated[
        int, Setting("processes that train one arm, on a GPU each where there are", least=1)
    ] = 1
    gradient_accumulation: Annotated[
        int, Setting("steps whose gradients make one update of the weights", least=1)
    ] = 1
    compile_backend: Annotated[
        str, Setting("backend of torch.compile, such as inductor; empty does not compile")
    ] = ""

    def __post_init__(self) -> None:
        check_settings(self)
        if self.channels % 4:
            raise ValueError(
                f"channels is {self.channels}: use a multiple of 4, one share for each attention head"
            )
        if self.n_fft % 4 or self.hop > self.n_fft // 2:
            raise ValueError(
                f"n_fft is {self.n_fft} and hop {self.hop}: use an n_fft divisible by 4 and at most half of it as hop"
            )

    def budget(self) -> "Budget":
        """The budget alone, of a class that adds to it."""
        return Budget(**{entry.name: getattr(self, entry.name) for entry in dataclasses.fields(Budget)})


def recorded_budget(config: Mapping[str, Any]) -> Budget:
    """The budget of a training folder's config.json, also of one written by an earlier version."""
    recorded = dict(config["budget"])
    if "validation_utterances" in recorded:
        recorded["validated_utterances"] = recorded.pop("validation_utterances")
    return Budget(**recorded)


def budget_for(recipe: Recipe, budget: Budget) -> Budget:
    """The budget with the recipe's own batch size, where it has one."""
    return dataclasses.replace(budget, batch_size=recipe.batch_size or budget.batch_size)
