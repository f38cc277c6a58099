"""What a training run is made of: the recipe that an arm varies and the budget that a profile sets."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

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
    injected_failure_rate: float = 0.0
    metric_input: MetricInput = "estimated"
    loss_weights: LossWeights = field(default_factory=LossWeights)
    gradient_clip: float = 0.0
    reshuffle: bool = True
    generator: GeneratorName = "tscnet"
    patience: int = 0
    minimum_improvement: float = 1e-4
    shuffled_labels: bool = False
    batch_size: int = 0
    recording_rms: float = 0.0

    def __post_init__(self) -> None:
        _check_choice("time_target", self.time_target, TimeTarget)
        _check_choice("labels", self.labels, LabelPolicy)
        _check_choice("metric_input", self.metric_input, MetricInput)
        _check_choice("generator", self.generator, GeneratorName)
        if not 0 <= self.injected_failure_rate <= 1:
            raise ValueError(
                f"injected_failure_rate is {self.injected_failure_rate}: use a share from 0 to 1"
            )
        if not 0 <= self.recording_rms < float("inf"):
            raise ValueError(
                f"recording_rms is {self.recording_rms:g}: use a positive number, or 0 for as it is"
            )
        if self.batch_size < 0:
            raise ValueError(f"batch_size is {self.batch_size}: use at least 1, or 0 for the budget's")


@dataclass(frozen=True)
class Budget:
    """Size and length of a run: the same for every arm of a profile.

    crop_seconds and pesq_time_limit in seconds (0: no limit), n_fft and hop in samples at 16 kHz;
    batch_size counts crops a step and process; validation_utterances 0 takes all, threads 0 leaves torch's choice.
    gradient_accumulation: steps whose gradients make one update of the weights; labels and batch norms stay those of
    each step. compile_backend: of torch.compile for the generator, such as inductor; "" does not compile.
    """

    channels: int = 64
    blocks: int = 4
    discriminator_width: int = 16
    epochs: int = 120
    batch_size: int = 4
    crop_seconds: float = 2.0
    n_fft: int = 400
    hop: int = 100
    generator_learning_rate: float = 5e-4
    discriminator_learning_rate: float = 1e-3
    decay_epochs: int = 30
    decay_factor: float = 0.5
    validation_utterances: int = 0
    mixed_precision: Precision = "no"
    threads: int = 0
    pesq_workers: int = 0
    pesq_time_limit: float = 0.0
    processes: int = 1
    gradient_accumulation: int = 1
    compile_backend: str = ""

    def __post_init__(self) -> None:
        for name in (
            "channels",
            "blocks",
            "discriminator_width",
            "epochs",
            "batch_size",
            "decay_epochs",
            "processes",
            "gradient_accumulation",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: use at least 1")
        _check_choice("mixed_precision", self.mixed_precision, Precision)
        if self.channels % 4:
            raise ValueError(
                f"channels is {self.channels}: use a multiple of 4, one share for each attention head"
            )
        if self.n_fft % 4 or not 0 < self.hop <= self.n_fft // 2:
            raise ValueError(
                f"n_fft is {self.n_fft} and hop {self.hop}: use an n_fft divisible by 4 and at most half of it as hop"
            )
        if self.crop_seconds < 0.25:
            raise ValueError(f"crop_seconds is {self.crop_seconds}: PESQ needs at least 0.25 s")


def budget_for(recipe: Recipe, budget: Budget) -> Budget:
    """The budget with the recipe's own batch size, where it has one."""
    return dataclasses.replace(budget, batch_size=recipe.batch_size or budget.batch_size)


def as_dictionary(settings: Recipe | Budget) -> dict:
    """Plain nested dictionary of a recipe or budget, for JSON."""
    return dataclasses.asdict(settings)


def _check_choice(name: str, value: str, choices: type) -> None:
    allowed = choices.__args__
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}: use one of {', '.join(allowed)}")
