"""From the parameters of 03_training to the run they describe."""

import dataclasses

from cmgan.recipe import Budget, budget_for
from cmgan.study.arms import arm
from cmgan.study.notebook_parameters import TrainingParameters
from cmgan.study.paths import run_folder, training_folder
from cmgan.training import TrainingRun


def training_run(parameters: TrainingParameters) -> TrainingRun:
    """The training run of one arm and seed; ValueError for an unknown arm or an impossible budget."""
    root = run_folder(parameters.run)
    recipe = arm(parameters.arm)
    budget = {field.name: getattr(parameters, field.name) for field in dataclasses.fields(Budget)}
    return TrainingRun(
        manifest=root / "data" / "manifest.csv",
        output=training_folder(root, parameters.arm, parameters.seed),
        recipe=recipe,
        budget=budget_for(recipe, Budget(**budget)),
        seed=parameters.seed,
        name=f"{parameters.arm}-{parameters.seed}",
    )
