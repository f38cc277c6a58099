"""Which run a notebook shows, and with which settings, when it is opened and nothing is said about either."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

from cmgan.study import notebook_parameters as kinds
from cmgan.study.paths import repository_root
from cmgan.study.pipeline.profile import Profile, profile_from, read_settings

Parameters = TypeVar("Parameters")
DEFAULT = "laptop"
PARAMETERS_OF: dict[type, Callable[..., dict]] = {
    kinds.DataParameters: Profile.data_parameters,
    kinds.SilenceParameters: Profile.silence_parameters,
    kinds.ObjectiveParameters: Profile.objective_parameters,
    kinds.TrainingParameters: Profile.training_parameters,
    kinds.EvaluationParameters: Profile.evaluation_parameters,
    kinds.LogsParameters: Profile.logs_parameters,
}

SHOW_A_TRAINING = (kinds.TrainingParameters, kinds.EvaluationParameters, kinds.ListeningParameters)


def of_run(
    parameters: Parameters, report: Callable[[str], None] = print, root: Path | None = None
) -> Parameters:
    """A notebook's parameters with their run settled, and with the run's own settings where none were given.

    An empty `run` is the newest finished one (laptop without any), and then an arm or seed that it lacks is its
    first. A parameter that has the notebook's default, which is the laptop profile's, takes the value that
    results/RUN/profile.yaml has: a notebook opened after a run shows that run instead of making another under its
    name. What was replaced is reported. root: the checkout, found from the working folder without it.
    """
    root = root or repository_root()
    newest = newest_run(root / "results")
    run = parameters.run or newest or DEFAULT
    settled = dataclasses.replace(parameters, run=run)
    own = _profile_of(root, run)
    if own and not parameters.run and isinstance(parameters, SHOW_A_TRAINING):
        settled = _with_trained(settled, own)
    if own and type(settled) in PARAMETERS_OF:
        settled = _with_settings_of(settled, own, _laptop(root))
    own_values = [
        f"{field.name} {getattr(settled, field.name)}"
        for field in dataclasses.fields(settled)
        if field.name != "run" and getattr(settled, field.name) != getattr(parameters, field.name)
    ]
    if own_values or not parameters.run:
        which = (
            "" if parameters.run else " (the newest finished one)" if newest else " (none is finished yet)"
        )
        report(f"Run {run}{which}{', with its own ' if own_values else ''}{', '.join(own_values)}")
    return settled


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


def _profile_of(root: Path, run: str) -> Profile | None:
    """What the run was made with; settings that its profile.yaml is too old to have are the laptop profile's."""
    path = root / "results" / run / "profile.yaml"
    if not path.is_file():
        return None
    standard = vars(_laptop(root))
    there = yaml.safe_load(path.read_text())
    return profile_from(standard | {name: value for name, value in there.items() if name in standard})


def _laptop(root: Path) -> Profile:
    return profile_from(read_settings(DEFAULT, root / "notebooks" / "profiles", {}))


def _with_trained(parameters: Parameters, own: Profile) -> Parameters:
    choices = {"arm": own.arms, "seed": own.seeds}
    lacking = {
        name: trained[0]
        for name, trained in choices.items()
        if hasattr(parameters, name) and getattr(parameters, name) not in trained
    }
    return dataclasses.replace(parameters, **lacking)


def _with_settings_of(parameters: Parameters, own: Profile, standard: Profile) -> Parameters:
    select = PARAMETERS_OF[type(parameters)]
    chosen = (parameters.arm, parameters.seed) if hasattr(parameters, "arm") else ()
    ours, defaults = select(own, *chosen), select(standard, *chosen)
    left = {
        name: ours[name] for name in ours if name != "run" and getattr(parameters, name) == defaults[name]
    }
    return dataclasses.replace(parameters, **left)
