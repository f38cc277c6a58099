"""A profile: everything that one call of the study runs, read from YAML and checked before anything starts."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cmgan.recipe import Budget
from cmgan.study.arms import arm

CORPORA = ("synthetic", "folder", "voicebank")
FOLDER_NAME = re.compile(r"[\w-][\w.-]*")


@dataclass(frozen=True)
class Profile:
    """Corpus, silence survey, arms × seeds and training budget of one run.

    Lengths in seconds or milliseconds as named; a limit of 0 utterances takes all there are.
    """

    run: str
    corpus: str
    corpus_path: str
    corpus_seed: int
    train_utterances: int
    validation_utterances: int
    test_utterances: int
    survey_crop_seconds: list
    survey_batch_sizes: list
    survey_crops: int
    survey_doses_ms: list
    rated_utterances: int
    arms: list
    seeds: list
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
    validated_utterances: int
    mixed_precision: str
    threads: int
    pesq_workers: int
    pesq_time_limit: float
    audio_files: int
    processes: int = 1
    gradient_accumulation: int = 1
    compile_backend: str = ""
    tracker: str = ""
    objective_clips: int = 4
    objective_seconds: float = 2.0
    objective_sweep_seconds: float = 2.0
    objective_targets: list = field(default_factory=lambda: ["published", "normalised"])
    objective_gains: list = field(default_factory=lambda: [1, 4, 16])
    objective_weights: list = field(default_factory=lambda: [0.0, 0.02, 0.2])
    objective_iterations: int = 200

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            _check_type(entry.name, getattr(self, entry.name), entry.type)
        if not FOLDER_NAME.fullmatch(self.run):
            raise ValueError(
                f"run is {self.run!r}: it names a folder, so use letters, digits, '_', '-' and '.'"
            )
        if self.corpus not in CORPORA:
            raise ValueError(f"corpus is {self.corpus!r}: use one of {', '.join(CORPORA)}")
        if self.corpus == "folder" and not self.corpus_path:
            raise ValueError("corpus 'folder' needs one: call make study CORPUS=<folder>")
        if not self.arms or not self.seeds:
            raise ValueError("arms and seeds may not be empty")
        for name in self.arms:
            arm(name)
        self.budget()

    def budget(self) -> Budget:
        """The training budget; its field `validation_utterances` is this profile's `validated_utterances`."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(Budget) if f.name in _FIELDS}
        return Budget(**shared | {"validation_utterances": self.validated_utterances})

    def data_parameters(self) -> dict:
        """Parameters of 01_data_preparation."""
        return _pick(self, ("run", "corpus", "corpus_path")) | {
            "seed": self.corpus_seed,
            "train_utterances": self.train_utterances,
            "validation_utterances": self.validation_utterances,
            "test_utterances": self.test_utterances,
        }

    def silence_parameters(self) -> dict:
        """Parameters of 02_silence_analysis."""
        return {
            "run": self.run,
            "seed": self.corpus_seed,
            "crop_seconds": self.survey_crop_seconds,
            "batch_sizes": self.survey_batch_sizes,
            "crops": self.survey_crops,
            "doses_ms": self.survey_doses_ms,
            "validated_utterances": self.validated_utterances,
        }

    def objective_parameters(self) -> dict:
        """Parameters of 03_objective, with the discriminators of the first arm's first seed."""
        names = ("clips", "seconds", "sweep_seconds", "targets", "gains", "weights", "iterations")
        settings = {name: getattr(self, f"objective_{name}") for name in names}
        judges = [f"{self.arms[0]}-{self.seeds[0]}"]
        return {
            "run": self.run,
            "recordings": "",
            **settings,
            "discriminators": judges,
            "threads": self.threads,
        }

    def training_parameters(self, arm: str, seed: int) -> dict:
        """Parameters of 04_training for one arm and seed."""
        named = {"run": self.run, "arm": arm, "seed": seed, "tracker": self.tracker}
        return named | dataclasses.asdict(self.budget())

    def evaluation_parameters(self, arm: str, seed: int) -> dict:
        """Parameters of 05_evaluation for one arm and seed."""
        return {
            "run": self.run,
            "arm": arm,
            "seed": seed,
            "checkpoint": "generator.pt",
            "threads": self.threads,
            "audio_files": self.audio_files,
        }

    def logs_parameters(self) -> dict:
        """Parameters of 06_published_logs."""
        return _pick(self, ("run", "rated_utterances"))

    def report_parameters(self) -> dict:
        """Parameters of 07_comparison_report."""
        return _pick(self, ("run", "arms", "seeds"))


_FIELDS = {entry.name for entry in dataclasses.fields(Profile)} - {"validation_utterances"}


def profile_from(settings: Mapping[str, object]) -> Profile:
    """A profile from plain settings; ValueError names a setting that is unknown, missing or of the wrong type."""
    fields = dataclasses.fields(Profile)
    names = [entry.name for entry in fields]
    unknown = sorted(set(settings) - set(names))
    if unknown:
        raise ValueError(f"unknown setting {', '.join(unknown)}: a profile has {', '.join(names)}")
    # A setting that came later has a default, so that profiles of earlier runs stay readable.
    missing = [f.name for f in fields if f.name not in settings and _is_required(f)]
    if missing:
        raise ValueError(f"the profile lacks {', '.join(missing)}")
    return Profile(**settings)


def read_settings(name: str, folder: Path, overrides: Mapping[str, object]) -> dict[str, object]:
    """Settings of the profile `folder/name.yaml` with overrides; ValueError lists the profiles when absent."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ValueError(f"unknown profile {name!r}: use one of {known}")
    settings = yaml.safe_load(path.read_text())
    if "inherits" in settings:
        settings = read_settings(settings.pop("inherits"), folder, settings)
    return settings | overrides


def _is_required(setting: dataclasses.Field) -> bool:
    return setting.default is dataclasses.MISSING and setting.default_factory is dataclasses.MISSING


def parse_override(text: str) -> tuple[str, object]:
    """`key=value` with a YAML value, e.g. `seeds=[0,1]` or `generator_learning_rate=5.0e-4`."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValueError(f"{text!r} is not of the form setting=value")
    return name, yaml.safe_load(value)


def _check_type(name: str, value: object, expected: type) -> None:
    allowed = (int, float) if expected is float else (expected,)
    if not isinstance(value, allowed) or isinstance(value, bool):
        hint = " (YAML reads 5e-4 as text: write 5.0e-4)" if isinstance(value, str) else ""
        raise ValueError(f"{name} is {value!r}: use a {expected.__name__}{hint}")


def _pick(profile: Profile, names: tuple[str, ...]) -> dict:
    return {name: getattr(profile, name) for name in names}
