"""The evidence functions by name, so that claims can be data: name and arguments in, effect or reason out."""

import inspect
from collections.abc import Callable

from cmgan.study.claims import survey_evidence as files
from cmgan.study.claims import training_evidence as arms
from cmgan.study.claims.effects import MissingEvidenceError
from cmgan.study.claims.evidence import Evidence
from cmgan.study.claims.verdicts import Effect, Missing
from cmgan.study.objective import evidence as objective

Arguments = dict[str, str | int | float | list]
EvidenceFunction = Callable[..., Effect]

FUNCTIONS: dict[str, EvidenceFunction] = {
    function.__name__: function
    for function in (
        arms.final_difference,
        arms.best_difference,
        arms.final_mean,
        arms.fall_from_peak,
        arms.validation_difference,
        arms.validation_ratio,
        arms.change_while_falling,
        arms.early_stopping_gain,
        arms.steps_above,
        arms.steps_skipped,
        arms.healthy_losses_of_held_arms,
        arms.final_mean_at_published_scale,
        files.logged_zeros,
        files.healthy_published_losses,
        files.published_results_difference,
        files.failing_batches,
        files.failing_crops,
        files.failures_with_reason,
        files.failures_at_dose,
        files.level_change,
        files.label_correlation,
        files.hidden_drop,
        files.desynchronised,
        files.rating_inflation,
        objective.descent_fall,
        objective.minimum_against_noisy,
        objective.objective_at_peak,
        objective.minimum_difference,
        objective.metric_effect,
        objective.starts_meet,
    )
}
# Minimising an objective is arithmetic on given clips: no chance that could err in a share of studies.
DETERMINISTIC = frozenset(
    name for name, function in FUNCTIONS.items() if function.__module__ == objective.__name__
)


def check_call(name: str, arguments: Arguments) -> None:
    """Raises ValueError for a name that is not known or arguments that the function does not take."""
    if name not in FUNCTIONS:
        raise ValueError(f"unknown evidence {name!r}: use one of {', '.join(sorted(FUNCTIONS))}")
    try:
        inspect.signature(FUNCTIONS[name]).bind(None, **arguments)
    except TypeError as error:
        raise ValueError(f"evidence {name}: {error}") from None


def find(available: Evidence, name: str, arguments: Arguments) -> Effect | Missing:
    """The effect that an evidence function finds in a run, or why there is none."""
    try:
        return FUNCTIONS[name](available, **arguments)
    except MissingEvidenceError as error:
        return Missing(str(error))
