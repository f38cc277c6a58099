"""Keep a run of branches, judged by its plan: python -m cmgan.study.kept.branches RUN FOLDER."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from cmgan.statistics import ERROR, holm, seed_interval
from cmgan.study.branches.job import BranchPlan, BranchPrediction, read_plan
from cmgan.study.branches.summary import branches_in_words, noisy_pesq, tables_and_figure
from cmgan.study.branches.tables import TRUNK, differences
from cmgan.study.claims.words import power
from cmgan.study.effects import Effect, Rule, effect_of_seeds
from cmgan.study.kept.run import keep_files, keep_manifest
from cmgan.study.wording import bounds, in_words, markdown_table, mean_in_words, number
from data_prep.whole_files import write_table, write_text

LOGS = ("config.json", "epochs.csv", "validation.csv")
POWER_EFFECTS = (0.0, -0.1, -0.2, -0.3, -0.5)


@dataclass(frozen=True)
class JudgedPrediction:
    """A prediction, the difference of endpoints that it is about (None where not trained), and the verdict."""

    prediction: BranchPrediction
    found: Effect | None
    verdict: str


def keep(run: Path, folder: Path) -> None:
    """Copy logs of finished trainings, noisy scores and manifest from a run's folder: no network, no recording."""
    finished = [network.parent.name for network in run.glob("training/*/generator.pt")]
    keep_files(run, folder, ["noisy.csv", *(f"training/{name}/{log}" for name in finished for log in LOGS)])
    keep_manifest(run, folder)


def judged_predictions(
    ends: pd.DataFrame, seeds: int, predictions: Sequence[BranchPrediction]
) -> list[JudgedPrediction]:
    """Every prediction judged over seeds: the first (primary) by its 95 % interval, the others by Holm's procedure.

    Holm's is over one-sided tests, of the rules and of their opposites. A prediction whose branches were not trained
    for all `seeds` is not judged.
    """
    found = [differences(ends, one.trunk, one.branch, one.other, one.other_trunk) for one in predictions]
    effects = [effect_of_seeds(values) if len(values) else None for values in found]
    tests = [
        Rule(one.relation, one.margin).p_values(effect) if len(values) == seeds > 1 else None
        for one, values, effect in zip(predictions, found, effects, strict=True)
    ]
    # Each is doubled, as the two-sided interval of the primary one has it.
    others = [test for test in tests[1:] if test]
    guarded = zip(*(holm([test[side] / 2 for test in others]) for side in (0, 1)), strict=True)
    decided = [*tests[:1], *(next(guarded) if test else None for test in tests[1:])]
    verdicts = map(_verdict, effects, decided)
    return [JudgedPrediction(*one) for one in zip(predictions, effects, verdicts, strict=True)]


def _verdict(effect: Effect | None, p_values: tuple[float, float] | None) -> str:
    if not p_values:
        return "seeds missing" if effect else "not trained"
    supported, refuted = (p < ERROR for p in p_values)
    return "supported" if supported else "refuted" if refuted else "inconclusive"


def summary(folder: Path, plan: BranchPlan) -> str:
    """Everything that the kept run says, in Markdown; writes its tables, power.csv and the figure."""
    ends, _ = tables_and_figure(folder, folder / "training", plan.endpoint_validations)
    judged = judged_predictions(ends, len(plan.seeds), plan.predictions)
    utterances = len(pd.read_csv(folder / "noisy.csv"))
    answer = branches_in_words(ends, noisy_pesq(folder))
    if judged:
        answer = f"{answer} By the plan's rules: {_verdicts_in_words(judged)}.".lstrip()
    parts = [
        f"# {plan.title}",
        answer,
        "![PESQ, gain, inconsistency and objective against training steps, the switch marked](figures/branches.png)",
        "Rules, seeds and lengths stood in [PLAN.md](PLAN.md) before any of these trainings; [plan.yaml](plan.yaml) "
        "is what the program read. Differences are of endpoints (mean of the last "
        f"{plan.endpoint_validations} validations on {utterances} utterances), seed by seed.",
        *(["## Predictions", predictions_markdown(judged)] if judged else []),
        "## Branches",
        endpoints_markdown(ends),
        _untrained(plan, ends),
        *_power_part(folder, judged, len(plan.seeds)),
    ]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def predictions_markdown(judged: Sequence[JudgedPrediction]) -> str:
    """A row a prediction: rule, mean with interval, every seed, verdict."""
    columns = ["id", "prediction", "branches", "rule", "difference of PESQ", "by seed", "verdict"]
    rows = []
    for one in judged:
        rule, found = one.prediction, one.found
        other = "trunk at the switch" if rule.other == TRUNK else f"`{rule.other}`"
        beside = f" from `{rule.other_trunk}`" if rule.other_trunk else ""
        rows.append(
            (
                f"{rule.id}{' (primary)' if one is judged[0] else ''}",
                rule.says,
                f"from `{rule.trunk}`: `{rule.branch}` − {other}{beside}",
                f"{rule.relation} {number(rule.margin, '.1f')}",
                mean_in_words(found) if found else "",
                ", ".join(number(value, "+.2f") for value in found.by_seed) if found else "",
                one.verdict,
            )
        )
    return markdown_table(columns, rows)


def endpoints_markdown(ends: pd.DataFrame) -> str:
    """A row a branch: seeds, PESQ, difference from staying, gain, inconsistency."""
    columns = ["trunk", "goes on as", "seeds", "PESQ", "− staying", "gain", "inconsistency"]
    rows = []
    for (trunk, arm), branch in ends.groupby(["trunk", "arm"], sort=False):
        against = seed_interval(differences(ends, trunk, arm, trunk))
        compared = arm not in (TRUNK, trunk) and against.n
        beside = f"{number(against.estimate, '+.2f')} {bounds(against.low, against.high)}" if compared else ""
        name = "at the switch" if arm == TRUNK else f"`{arm}`"
        pesq, gain, inconsistency = (
            f"{branch[name].mean():.2f}" for name in ("pesq", "gain", "inconsistency")
        )
        rows.append((f"`{trunk}`", name, len(branch), pesq, beside, gain, inconsistency))
    return markdown_table(columns, rows)


def _verdicts_in_words(judged: Sequence[JudgedPrediction]) -> str:
    """`B1, B2 and B4 **supported**; B3 **refuted**`."""
    verdicts = dict.fromkeys(one.verdict for one in judged)
    named = ([one.prediction.id for one in judged if one.verdict == verdict] for verdict in verdicts)
    return "; ".join(f"{in_words(ids)} **{verdict}**" for ids, verdict in zip(named, verdicts, strict=True))


def _untrained(plan: BranchPlan, ends: pd.DataFrame) -> str:
    """Which branches of the plan were trained for no seed; "" where all were."""
    trained = set(zip(ends["trunk"], ends["arm"], strict=True))
    missing = [branch for branch in plan.branches if (branch.trunk, branch.arm) not in trained]
    named = in_words([f"`{branch.trunk}` to `{branch.arm}`" for branch in missing]) if missing else ""
    return f"Of the plan's branches {len(missing)} were not trained: {named}." if missing else ""


def _power_part(folder: Path, judged: Sequence[JudgedPrediction], seeds: int) -> list[str]:
    """What a primary rule of "below" could have found with the scatter that the seeds showed, by seeds."""
    if not judged or not judged[0].found or judged[0].found.n < 2 or judged[0].prediction.relation != "below":
        return []
    deviation = float(np.std(judged[0].found.by_seed, ddof=1))
    numbers = sorted({3, seeds, 12})
    # The rule asks for less than the margin: the same as more than its mirror image.
    mirrored = power([-effect for effect in POWER_EFFECTS], numbers, -judged[0].prediction.margin, deviation)
    table = mirrored.assign(effect=-mirrored["effect"] + 0.0)
    write_table(table.round(4), folder / "power.csv")
    rows = [
        (number(effect, ".1f"), *(f"{one.supported:.0%} / {one.refuted:.0%}" for one in found.itertuples()))
        for effect, found in table.groupby("effect", sort=False)
    ]
    words = (
        "Shares of studies in which the primary rule is supported / refuted, when differences scatter between seeds "
        f"as here (standard deviation {deviation:.2f} PESQ; noncentral t). At true differences of 0.0 and −0.1 "
        "support is an error."
    )
    columns = ["true difference", *(f"{count} seeds" for count in numbers)]
    return ["## Power of the primary rule", words, markdown_table(columns, rows)]


def main(
    run: Annotated[Path, typer.Argument(help="folder that cmgan.study.branches.job wrote")],
    folder: Annotated[Path, typer.Argument(help="where it is kept; holds plan.yaml")],
) -> None:
    """Keep a run's logs, draw its figure and write README.md beside the plan."""
    try:
        plan = read_plan(folder / "plan.yaml")
        keep(run, folder)
        write_text(summary(folder, plan), folder / "README.md")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(folder / "README.md")


if __name__ == "__main__":
    typer.run(main)
