"""A profile: everything that one call of the study runs, read from YAML and checked before anything starts."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml

from cmgan.recipe import Budget
from cmgan.settings import Setting
from cmgan.study.arms import arm

Corpus = Literal["synthetic", "folder", "voicebank"]
DEFAULT = "laptop"
FOLDER_NAME = re.compile(r"[\w-][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Profile(Budget):
    """Corpus, surveys, arms × seeds and training budget (inherited) of one run.

    Raises ValueError with one line that names the setting and what to use.
    """

    run: Annotated[str, Setting("the run's folder under results/")]
    corpus: Annotated[Corpus, Setting("synthetic, folder or voicebank")]
    corpus_path: Annotated[
        str, Setting("folder with clean/ and noisy/, or VoiceBank+DEMAND (downloaded where none is given)")
    ]
    speaker_pattern: Annotated[
        str, Setting("regular expression whose group is the speaker in a file's path; empty guesses")
    ]
    corpus_seed: Annotated[int, Setting("seed of the corpus, its split and what is drawn from it", least=0)]
    train_utterances: Annotated[
        int, Setting("utterances to train on, 0 takes all that a corpus has", least=0)
    ]
    validation_utterances: Annotated[int, Setting("utterances of the validation split, 0 takes all", least=0)]
    test_utterances: Annotated[int, Setting("utterances for the final evaluation, 0 takes all", least=0)]
    survey_crop_seconds: Annotated[list[float], Setting("crop lengths in seconds, 2 in the public code")]
    survey_batch_sizes: Annotated[list[int], Setting("crops in a batch, 4 in the public code")]
    survey_crops: Annotated[int, Setting("crops of each length", least=1)]
    survey_doses_ms: Annotated[list[float], Setting("speech left in a crop of 2 s, in milliseconds")]
    rated_utterances: Annotated[
        int, Setting("noisy test files rated as the public evaluation does, 0 takes all", least=0)
    ]
    objective_clips: Annotated[int, Setting("clips whose objective is minimised, 0 takes all", least=0)]
    objective_seconds: Annotated[
        float, Setting("the middle of each clip that is minimised, 0 takes all of it", least=0)
    ]
    objective_sweep_seconds: Annotated[float, Setting("the same for doses and other objectives", least=0)]
    objective_targets: Annotated[list[str], Setting("time targets, each minimised from two starts")]
    objective_gains: Annotated[list[float], Setting("gains of the normalisation")]
    objective_weights: Annotated[list[float], Setting("weights of the time loss, 0.2 in the public code")]
    objective_iterations: Annotated[int, Setting("iterations of every descent", least=10)]
    arms: Annotated[list[str], Setting("arms of the study, names in cmgan/study/arms.py")]
    seeds: Annotated[list[int], Setting("seeds of weights, crops, order and dropout", least=0)]
    branches: Annotated[
        list[str],
        Setting("TRUNK-to-ARM: trainings that go on from an arm's end under another, for trunks in arms"),
    ]
    branch_epochs: Annotated[int, Setting("passes that a branch adds to its trunk's", least=1)]
    tracker: Annotated[str, Setting("tensorboard or another tracker of Accelerate's; empty for none")]
    audio_files: Annotated[
        int, Setting("enhanced utterances kept for listening, for each arm and seed", least=0)
    ]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not FOLDER_NAME.fullmatch(self.run):
            raise ValueError(
                f"run is {self.run!r}: it names a folder, so use letters, digits, '_', '-' and '.'"
            )
        if self.corpus == "folder" and not self.corpus_path:
            raise ValueError("corpus 'folder' needs one: call make study CORPUS=<folder>")
        if not self.arms or not self.seeds:
            raise ValueError("arms and seeds may not be empty")
        for name in ("arms", "seeds", "branches"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise ValueError(f"{name} is {given!r}: name each once")
        for name in self.arms:
            arm(name)
        for branch in self.branches:
            trunk, separator, name = branch.partition("-to-")
            if not separator:
                raise ValueError(f"branch {branch!r} is not of the form TRUNK-to-ARM")
            arm(trunk), arm(name)

    def as_yaml(self) -> str:
        """The text of results/RUN/profile.yaml."""
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)

    @property
    def trainings(self) -> list[str]:
        """ARM-SEED of every training."""
        return [f"{arm}-{seed}" for arm in self.arms for seed in self.seeds]

    @property
    def branch_trainings(self) -> list[str]:
        """TRUNK-to-ARM-SEED of every branch whose trunk is trained."""
        grown = [branch for branch in self.branches if branch.partition("-to-")[0] in self.arms]
        return [f"{branch}-{seed}" for branch in grown for seed in self.seeds]

    @property
    def arm(self) -> str:
        """The arm that a notebook on one training shows unless told otherwise: the first."""
        return self.arms[0]

    @property
    def seed(self) -> int:
        """The same for its seed."""
        return self.seeds[0]

    @property
    def objective_discriminators(self) -> list[str]:
        """ARM-SEED of the trainings whose discriminators the objective is tried with: the first."""
        return self.trainings[:1]


def profile_from(settings: Mapping[str, object]) -> Profile:
    """A profile from plain settings; ValueError names a setting that is unknown, missing or impossible."""
    defaults = {entry.name: entry.default for entry in dataclasses.fields(Profile)}
    if unknown := sorted(set(settings) - set(defaults)):
        raise ValueError(f"unknown setting {', '.join(unknown)}: a profile has {', '.join(defaults)}")
    missing = [name for name, default in defaults.items() if default is dataclasses.MISSING]
    if missing := sorted(set(missing) - set(settings)):
        raise ValueError(f"the profile lacks {', '.join(missing)}")
    return Profile(**settings)


def profile_of_run(run: str, root: Path) -> Profile:
    """The profile that results/RUN was made with, or the default one where nothing tells; root: the checkout.

    A run of an earlier version takes settings that it lacks from the default profile; those gone since are left out.
    """
    standard = read_settings(DEFAULT, root / "notebooks" / "profiles", {})
    recorded = root / "results" / run / "profile.yaml"
    there = yaml.safe_load(recorded.read_text()) if recorded.is_file() else {"run": run}
    return profile_from(standard | {name: value for name, value in there.items() if name in standard})


def read_settings(name: str, folder: Path, overrides: Mapping[str, object]) -> dict[str, object]:
    """Settings of the profile `folder/name.yaml` with overrides; ValueError lists the profiles when absent."""
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise ValueError(f"unknown profile {name!r}: use one of {known}")
    settings = _plain_yaml(path.read_text(), str(path))
    if not isinstance(settings, dict):
        raise ValueError(f"{path}: holds no settings; write one on each line, such as epochs: 2")
    if "inherits" in settings:
        settings = read_settings(settings.pop("inherits"), folder, settings)
    return settings | overrides


def parse_override(text: str) -> tuple[str, object]:
    """`setting=value` with a YAML value, e.g. `seeds=[0,1]` or `generator_learning_rate=5.0e-4`."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValueError(f"{text!r} is not of the form setting=value")
    return name, _plain_yaml(value, text)


def _plain_yaml(text: str, where: str) -> object:
    """Numbers, texts, lists and settings; ValueError in one line for other YAML, such as tags, and what is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or str(error)
        raise ValueError(
            f"{where}: not a plain YAML value ({reason}); write numbers, words and lists of them"
        ) from error
