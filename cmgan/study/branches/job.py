"""Train trunks and their branches: python -m cmgan.study.branches.job PLAN MANIFEST."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
import yaml

from cmgan.commands.outcome import input_errors
from cmgan.dataset import load_pairs
from cmgan.metrics.pesq import pesq_score
from cmgan.recipe import Budget, budget_for
from cmgan.study.arms import arm
from cmgan.study.effects import RELATIONS, Relation
from cmgan.training.loop import train
from cmgan.training.run import TrainingRun
from data_prep.manifest import read_manifest, write_manifest
from data_prep.whole_files import write_table


@dataclass(frozen=True)
class Branch:
    """Which arm is trained on from which trunk; `rank` says when its turn comes, 1 first."""

    trunk: str
    arm: str
    rank: int = 1

    @property
    def name(self) -> str:
        """What folders and tables call it."""
        return f"{self.trunk}-to-{self.arm}"


@dataclass(frozen=True)
class BranchPrediction:
    """A rule on the difference of two endpoints, branch − other, seed by seed.

    other: an arm that the trunk goes on as, or "trunk" for the trunk itself at the switch; other_trunk: the trunk
    that `other` goes on from, "" for the same.
    """

    id: str
    says: str
    trunk: str
    branch: str
    other: str
    relation: Relation
    margin: float
    other_trunk: str = ""


@dataclass(frozen=True)
class BranchPlan:
    """Trunks (arms), their branches, seeds, the budget that all of them share, and what was predicted of them.

    title: of the page that says what came out.
    trunk_epochs and branch_epochs: length before and after the switch; validation_steps: steps between two
    validations; endpoint_validations: how many of the last ones a branch is judged by. The first of the predictions
    is the primary one.
    """

    branches: tuple[Branch, ...]
    seeds: tuple[int, ...]
    trunk_epochs: int
    branch_epochs: int
    validation_steps: int
    endpoint_validations: int
    budget: Budget
    predictions: tuple[BranchPrediction, ...] = ()
    title: str = "Branches: one switch, and what it does to a network"


def read_plan(path: Path) -> BranchPlan:
    """A plan from YAML; ValueError names the file and what is wrong in it."""
    try:
        content = yaml.safe_load(path.read_text())
        content["branches"] = tuple(Branch(**entry) for entry in content["branches"])
        content["predictions"] = tuple(BranchPrediction(**entry) for entry in content.get("predictions", ()))
        content["budget"], content["seeds"] = Budget(**content["budget"]), tuple(content["seeds"])
        plan = BranchPlan(**content)
        for branch in plan.branches:
            arm(branch.trunk), arm(branch.arm)
        for prediction in plan.predictions:
            if prediction.relation not in RELATIONS:
                raise ValueError(f"{prediction.id}: relation {prediction.relation!r}: use one of {RELATIONS}")
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error}".replace("\n", " ")) from None
    return plan


def runs_of(plan: BranchPlan, manifest: Path, folder: Path) -> Iterator[TrainingRun]:
    """The trainings of a plan in their order: by rank, then by seed, each trunk before its first branch."""
    trained = set()
    for rank in sorted({branch.rank for branch in plan.branches}):
        for seed in plan.seeds:
            for branch in (branch for branch in plan.branches if branch.rank == rank):
                trunk = folder / f"{branch.trunk}-{seed}"
                if trunk not in trained:
                    trained.add(trunk)
                    yield _run(plan, manifest, trunk, branch.trunk, seed)
                yield _run(plan, manifest, folder / f"{branch.name}-{seed}", branch.arm, seed, trunk)


def watched_on_test(manifest: Path, output: Path) -> Path:
    """A manifest whose validation utterances are the test ones, so that curves are of unseen speakers and noises.

    Nothing may be chosen by them. Returns `output`.
    """
    kept = [item for item in read_manifest(manifest) if item.split != "validation"]
    watched = [replace(item, split="validation") if item.split == "test" else item for item in kept]
    return write_manifest(watched, output)


def noisy_scores(manifest: Path) -> pd.DataFrame:
    """PESQ of the unprocessed utterances that branches are validated on: id, pesq."""
    pairs = load_pairs(manifest, "validation")
    scores = [pesq_score(pair.clean, pair.noisy).value for pair in pairs]
    return pd.DataFrame({"id": [pair.id for pair in pairs], "pesq": scores})


def _run(
    plan: BranchPlan, manifest: Path, output: Path, name: str, seed: int, trunk: Path | None = None
) -> TrainingRun:
    epochs = plan.trunk_epochs + (plan.branch_epochs if trunk else 0)
    return TrainingRun(
        manifest,
        output,
        recipe := arm(name),
        budget_for(recipe, replace(plan.budget, epochs=epochs)),
        seed,
        output.name,
        trunk=trunk,
        validation_steps=plan.validation_steps,
        keep_state=trunk is None,
    )


def main(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="YAML: branches, seeds, lengths, budget")],
    manifest: Annotated[Path, typer.Argument(help="manifest.csv; its test utterances are validated on")],
    output: Annotated[Path, typer.Argument(help="folder of the run; an interrupted one goes on")],
    last_rank: Annotated[int, typer.Option(help="leave out branches of a higher rank; 0 trains all")] = 0,
) -> None:
    """Train every trunk and branch of a plan that is not trained yet."""
    with input_errors():
        plan = read_plan(plan_file)
        if last_rank:
            plan = replace(plan, branches=tuple(b for b in plan.branches if b.rank <= last_rank))
        watched = watched_on_test(manifest, output / "data" / "manifest.csv")
        write_table(noisy_scores(watched), output / "noisy.csv")
        train_all(plan, watched, output / "training")


def train_all(
    plan: BranchPlan, manifest: Path, folder: Path, report: Callable[[str], None] = print
) -> list[Path]:
    """Train what is not trained yet; returns the folders. Raises what `cmgan.training.loop.train` does."""
    return [train(run, report) for run in runs_of(plan, manifest, folder)]


if __name__ == "__main__":
    typer.run(main)
