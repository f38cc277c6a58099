"""A training run: what it trains on, how and how long, and the folder that it works in and ends in."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cmgan.kernels.library import arithmetic
from cmgan.recipe import Budget, Recipe, recorded_budget
from data_prep.manifest import sha256_of
from data_prep.whole_files import explained_when_unwritable, held, whole_file, write_text

DISCRIMINATORS = "discriminators.pt"
STATE = "state.pt"
LOCK = ".lock"
ARITHMETIC = "arithmetic"  # in config.json: what computed the run, more than one where it went on elsewhere
LOGS = ("steps.csv", "epochs.csv", "validation.csv")


@dataclass(frozen=True)
class TrainingRun:
    """One run: what to train on, how, how long, from which seed, and what to call it in messages.

    trunk: folder of a finished run that kept its state; this one goes on from there, under its own recipe.
    validation_steps: steps between two validations, 0 for one at the end of every epoch.
    tracker: where it can be watched, "" for nowhere (see `tracking`); checkpoint_steps: steps between two
    checkpoints within an epoch; keep_state: whether state.pt stays, for branches. The result depends on none of them.
    """

    manifest: Path
    output: Path
    recipe: Recipe
    budget: Budget
    seed: int
    name: str
    tracker: str = ""
    checkpoint_steps: int = 100
    trunk: Path | None = None
    validation_steps: int = 0
    keep_state: bool = False

    def identity(self) -> dict:
        """Everything that decides the result; a run is resumed only when this is unchanged.

        Raises FileNotFoundError where the trunk has no state to go on from.
        """
        branch = {"validation_steps": self.validation_steps} if self.validation_steps else {}
        if self.trunk:
            branch["trunk"] = json.loads((self.trunk / "config.json").read_text())
            branch["trunk_state_sha256"] = sha256_of(self.trunk / STATE)
        return branch | {
            "name": self.name,
            "seed": self.seed,
            "recipe": asdict(self.recipe),
            "budget": asdict(self.budget),
            "manifest_sha256": sha256_of(self.manifest),
        }

    @property
    def unfinished(self) -> Path:
        """Where everything lies until the run is complete."""
        return self.output / "unfinished"


def is_complete(run: TrainingRun) -> bool:
    """Whether the run's folder holds its result: generator.pt moves there last.

    Raises ValueError when it holds the result of other settings: a result is never overwritten in passing.
    """
    if not (run.output / "generator.pt").exists():
        return False
    config = json.loads((run.output / "config.json").read_text())
    # A run of an earlier version lacks settings that came later: it had their defaults.
    defaults = {"recipe": asdict(Recipe()), "budget": asdict(recorded_budget(config))}
    there = _flat(config | {name: all_of | config[name] for name, all_of in defaults.items()})
    wanted = _flat(json.loads(json.dumps(run.identity())))
    differences = [
        f"{name} {there.get(name)} there, {value} asked for"
        for name, value in wanted.items()
        if there.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{run.output} holds a run with other settings ({'; '.join(differences)}): "
            "choose another run name or remove that folder"
        )
    return True


@contextmanager
def working_folder(run: TrainingRun) -> Iterator[None]:
    """Hold `unfinished`, made with the run's config.json; what other settings left there is thrown away.

    Raises BlockingIOError where another process holds it.
    """
    with explained_when_unwritable(run.output):
        run.unfinished.mkdir(parents=True, exist_ok=True)
    refusal = f"{run.output} is being trained by another process: wait for it, or give another folder"
    with held(run.unfinished / LOCK, refusal):
        config = run.unfinished / "config.json"
        wanted = json.loads(json.dumps(run.identity()))
        there = json.loads(config.read_text()) if config.exists() else {}
        machines = there.pop(ARITHMETIC, [])
        if there != wanted:
            for leftover in run.unfinished.iterdir():
                if leftover.name != LOCK:
                    leftover.unlink()
            machines = []
        if arithmetic() not in machines:
            write_text(json.dumps(wanted | {ARITHMETIC: [*machines, arithmetic()]}, indent=2), config)
        yield


def move_results_up(run: TrainingRun) -> None:
    """Move the finished files out of `unfinished`, generator.pt last, and remove what is left there."""
    for name in ("generator_best.pt", DISCRIMINATORS, *LOGS, "config.json"):
        # An interruption may have come when some were moved.
        if (run.unfinished / name).exists():
            (run.unfinished / name).replace(run.output / name)
    if run.keep_state:
        # The state stays until the end: without it the run would be trained again from an earlier one.
        with whole_file(run.output / STATE, durable=True) as copy:
            shutil.copyfile(run.unfinished / STATE, copy)
    (run.unfinished / "generator.pt").replace(run.output / "generator.pt")
    remove_leftovers(run)


def remove_leftovers(run: TrainingRun) -> None:
    """Remove what a finished run, or an interruption at its very end, left in `unfinished`."""
    shutil.rmtree(run.unfinished, ignore_errors=True)


def _flat(nested: dict, prefix: str = "") -> dict[str, object]:
    """{"budget": {"epochs": 2}} → {"budget.epochs": 2}."""
    items: dict[str, object] = {}
    for name, value in nested.items():
        items |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return items
