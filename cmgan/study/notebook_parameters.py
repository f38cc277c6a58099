"""The parameters of each notebook: which there are, and how a notebook and a job come by their values.

A parameters cell holds plain literals, for papermill. Where one is None, nothing was given, and the run that the
notebook shows says the value; a job of the pipeline is given every one.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeVar

from cmgan.recipe import Budget, LossWeights
from cmgan.settings import Setting, check_settings, declared
from cmgan.study.paths import repository_root
from cmgan.study.profile import DEFAULT, Corpus, Profile, profile_of_run

# Left in a namespace whose names were checked: from then on it also holds what later cells made.
CHECKED = "_parameters_checked"


@dataclass(frozen=True, kw_only=True)
class NotebookParameters:
    """What every notebook is asked. Raises ValueError for a value of the wrong type or none of the choices.

    A parameter without a default is the run's; the others are of the notebook alone, whose parameters cell says what
    they mean.
    """

    run: Annotated[str, Setting("results/RUN; None takes the newest finished run")]

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork(NotebookParameters):
    """One training of a run."""

    arm: Annotated[str, Setting("arm of the study, a name in cmgan/study/arms.py")]
    seed: Annotated[int, Setting("seed of weights, crops, order and dropout")]


@dataclass(frozen=True, kw_only=True)
class DataParameters(NotebookParameters):
    """01_data_preparation."""

    corpus: Corpus
    corpus_path: str
    speaker_pattern: str
    corpus_seed: int
    train_utterances: int
    validation_utterances: int
    test_utterances: int


@dataclass(frozen=True, kw_only=True)
class SilenceParameters(NotebookParameters):
    """02_silence_analysis."""

    corpus_seed: int
    survey_crop_seconds: list[float]
    survey_batch_sizes: list[int]
    survey_crops: int
    survey_doses_ms: list[float]
    validated_utterances: int


@dataclass(frozen=True, kw_only=True)
class ObjectiveParameters(NotebookParameters):
    """03_objective."""

    recordings: str = ""
    objective_clips: int
    objective_seconds: float
    objective_sweep_seconds: float
    objective_targets: list[str]
    objective_gains: list[float]
    objective_weights: list[float]
    objective_iterations: int
    objective_discriminators: Annotated[
        list[str], Setting("ARM-SEED of trainings whose discriminators are tried")
    ]
    threads: int


@dataclass(frozen=True, kw_only=True)
class TrainingParameters(Budget, TrainedNetwork):
    """04_training: run, arm and seed, then the budget, which is the run's too.

    trunk: arm of the run from whose last epoch this training goes on; epochs then counts the trunk's too.
    """

    trunk: str = ""
    tracker: str


def of_training(name: str, profile: Profile) -> dict[str, str | int]:
    """What 04_training and 05_evaluation are given for ARM-SEED or, of a branch, TRUNK-to-ARM-SEED."""
    path, _, seed = name.rpartition("-")
    trunk, branched, arm = path.rpartition("-to-")
    branch = {"trunk": trunk, "epochs": profile.epochs + profile.branch_epochs} if branched else {}
    return {"arm": arm, "seed": int(seed)} | branch


@dataclass(frozen=True, kw_only=True)
class EvaluationParameters(TrainedNetwork):
    """05_evaluation."""

    checkpoint: str = "generator.pt"
    threads: int
    audio_files: int


@dataclass(frozen=True, kw_only=True)
class LogsParameters(NotebookParameters):
    """06_published_logs."""

    training_logs: str = ""
    results: str = ""
    rated_utterances: int


@dataclass(frozen=True, kw_only=True)
class ReportParameters(NotebookParameters):
    """07_comparison_report."""

    arms: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DiagnosisParameters(NotebookParameters):
    """08_diagnose."""

    logs: list[str] = field(default_factory=list)
    model_code: list[str] = field(default_factory=list)
    loss_weights: list[float] = field(default_factory=lambda: [*vars(LossWeights()).values()])


@dataclass(frozen=True, kw_only=True)
class ListeningParameters(NotebookParameters):
    """09_listen: the choice that is shown first; it needs networks and recordings."""

    arms: list[str] = field(default_factory=list)
    seed: Annotated[int, Setting("seed the arms were trained with")]
    utterance: str = ""
    same_level: bool = False


Parameters = TypeVar("Parameters", bound=NotebookParameters)


def job_parameters(kind: type[NotebookParameters], profile: Profile, **of_the_job: str | int) -> dict:
    """Every parameter of a notebook for a job of the profile, as JSON takes them; of_the_job: its arm and seed."""
    values = {name: getattr(profile, name, field.default) for name, field in declared(kind).items()}
    return values | of_the_job


def read_parameters(
    kind: type[Parameters],
    namespace: MutableMapping[str, object],
    report: Callable[[str], None] = print,
) -> Parameters:
    """A notebook's parameters from its globals right after the parameters cells; what was not given is the run's.

    Without a run it is the newest finished one (laptop without any). What was taken from results/RUN/profile.yaml is
    reported: a notebook opened after a run shows that run instead of making another under its name.
    papermill injects any name it is given, so a misspelt parameter would silently keep its default: every name that
    is neither a field of `kind` nor a module, function or class raises ValueError, as does a wrong type. Names are
    checked on the first call with a namespace, values on every one: cells may be run again.
    """
    root = repository_root()
    given = _given(kind, namespace)
    newest = newest_run(root / "results")
    run = given["run"] or newest or DEFAULT
    own = job_parameters(kind, profile_of_run(run, root))
    taken = {name: own[name] for name, value in given.items() if value is None and name != "run"}
    if taken or not given["run"]:
        which = "" if given["run"] else " (the newest finished one)" if newest else " (none is finished yet)"
        values = ", ".join(f"{name} {value!r}" for name, value in taken.items())
        report(f"Run {run}{which}{', with its own ' if taken else ''}{values}")
    return kind(**given | taken | {"run": run})


def newest_run(results: Path) -> str | None:
    """The run under `results` that was trained last, of those with a report and networks; None without any.

    A run that came without its networks, as the committed one, is not chosen: it cannot be shown whole.
    """
    trained = {
        report.parents[1].name: max(network.stat().st_mtime for network in networks)
        for report in results.glob("*/report/index.html")
        if (networks := list(report.parents[1].glob("training/*/generator.pt")))
    }
    return max(trained, key=trained.__getitem__, default=None)


def _given(kind: type[NotebookParameters], namespace: MutableMapping[str, object]) -> dict[str, object]:
    names = list(declared(kind))
    unknown = [
        name
        for name, value in namespace.items()
        # In and Out are IPython's.
        if name not in (*names, "In", "Out")
        and not (name.startswith("_") or callable(value) or isinstance(value, ModuleType))
    ]
    if unknown and CHECKED not in namespace:
        raise ValueError(f"unknown parameter {', '.join(unknown)}: this notebook has {', '.join(names)}")
    if missing := [name for name in names if name not in namespace]:
        raise ValueError(f"missing parameter {', '.join(missing)}")
    namespace[CHECKED] = True
    return {name: namespace[name] for name in names}
