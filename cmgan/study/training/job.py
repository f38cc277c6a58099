"""From the parameters of 04_training to the run they describe, in this process or in several."""

import dataclasses
import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from cmgan.recipe import budget_for
from cmgan.study.arms import arm
from cmgan.study.notebook_parameters import TrainingParameters
from cmgan.study.paths import branch_folder, run_folder, training_folder
from cmgan.training.loop import TrainingRun, train
from cmgan.training.run import is_complete

LINES_OF_AN_ERROR = 30


def training_run(parameters: TrainingParameters) -> TrainingRun:
    """The training run of one arm and seed; ValueError for an unknown arm or an impossible budget.

    One from scratch keeps its last state, for branches to go on from.
    """
    root, name, seed = run_folder(parameters.run), parameters.arm, parameters.seed
    recipe = arm(name)
    trunk = training_folder(root, parameters.trunk, seed) if parameters.trunk else None
    output = branch_folder(root, parameters.trunk, name, seed) if trunk else training_folder(root, name, seed)
    return TrainingRun(
        manifest=root / "data" / "manifest.csv",
        output=output,
        recipe=recipe,
        budget=budget_for(recipe, parameters.budget()),
        seed=seed,
        name=output.name,
        tracker=parameters.tracker,
        trunk=trunk,
        keep_state=trunk is None,
    )


def train_arm(parameters: TrainingParameters, report: Callable[[str], None] = print) -> Path:
    """Train one arm and seed, under torchrun where it is for several processes; returns the run's folder.

    Raises what `loop.train` does; ChildProcessError with the last lines of several processes that failed.
    """
    run = training_run(parameters)
    if parameters.processes == 1 or is_complete(run):
        return train(run, report)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={parameters.processes}"]
    words = ["-m", "cmgan.study.training.job", json.dumps(dataclasses.asdict(parameters))]
    last: deque[str] = deque(maxlen=LINES_OF_AN_ERROR)
    with subprocess.Popen(
        [sys.executable, *launcher, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as processes:
        for line in processes.stdout:
            last.append(line)
            if line.startswith(run.name):
                report(line.rstrip())
    if processes.returncode:
        raise ChildProcessError(f"{run.name}: {parameters.processes} processes failed:\n{''.join(last)}")
    return run.output


if __name__ == "__main__":
    train(
        training_run(TrainingParameters(**json.loads(sys.argv[1]))),
        report=lambda line: print(line, flush=True),
    )
