"""The parameters of each notebook, one data class a notebook, in the order of its parameters cell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataParameters:
    """01_data_preparation."""

    run: str
    corpus: str
    corpus_path: str
    seed: int
    train_utterances: int
    validation_utterances: int
    test_utterances: int


@dataclass(frozen=True)
class SilenceParameters:
    """02_silence_analysis: crop_seconds and doses_ms are lists of lengths, crops is the number for each.

    validated_utterances: as many as training validates on, 0 for the whole split.
    """

    run: str
    seed: int
    crop_seconds: list
    batch_sizes: list
    crops: int
    doses_ms: list
    validated_utterances: int


@dataclass(frozen=True)
class ObjectiveParameters:
    """03_objective: recordings is a folder with clean/ and noisy/, empty for the run's test utterances.

    clips: how many of them, 0 for all; seconds and sweep_seconds: the middle of each that is minimised, 0 for all;
    targets, gains, weights (of the time loss) are lists; discriminators: ARM-SEED of trainings of the run.
    """

    run: str
    recordings: str
    clips: int
    seconds: float
    sweep_seconds: float
    targets: list
    gains: list
    weights: list
    iterations: int
    discriminators: list
    threads: int


@dataclass(frozen=True)
class TrainingParameters:
    """04_training: after the seed, the fields of `cmgan.recipe.Budget`, and a tracker (`cmgan.training.tracking`)."""

    run: str
    arm: str
    seed: int
    channels: int
    blocks: int
    discriminator_width: int
    epochs: int
    batch_size: int
    crop_seconds: float
    n_fft: int
    hop: int
    generator_learning_rate: float
    discriminator_learning_rate: float
    decay_epochs: int
    decay_factor: float
    validation_utterances: int
    mixed_precision: str
    threads: int
    pesq_workers: int
    pesq_time_limit: float
    processes: int
    gradient_accumulation: int
    compile_backend: str
    tracker: str


@dataclass(frozen=True)
class EvaluationParameters:
    """05_evaluation."""

    run: str
    arm: str
    seed: int
    checkpoint: str
    threads: int
    audio_files: int


@dataclass(frozen=True)
class LogsParameters:
    """06_published_logs: an empty path means the table that comes with the package.

    rated_utterances: noisy test files rated at both scales, 0 for all.
    """

    run: str
    training_logs: str
    results: str
    rated_utterances: int


@dataclass(frozen=True)
class DiagnosisParameters:
    """08_diagnose: logs and model_code are lists of paths; without logs, those of the run's own trainings.

    loss_weights: those of the RI, magnitude, time and metric loss that the runs had.
    """

    run: str
    logs: list
    model_code: list
    loss_weights: list


@dataclass(frozen=True)
class ReportParameters:
    """07_comparison_report."""

    run: str
    arms: list
    seeds: list


@dataclass(frozen=True)
class ListeningParameters:
    """09_listen: the choice that is shown first; it needs networks and recordings."""

    run: str
    arms: list
    seed: int
    utterance: str
    same_level: bool
