"""Keep a run of branches and say what it shows: python -m cmgan.study.branches.summary RUN FOLDER."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from cmgan.statistics import seed_interval
from cmgan.study.branches.job import BranchPlan, read_plan
from cmgan.study.branches.plots import branches
from cmgan.study.branches.tables import TRUNK, Judged, curves, differences, endpoints, judge, power
from cmgan.study.comparison.words import bounds, number
from cmgan.study.figure_files import draw
from data_prep.whole_files import write_table, write_text

LOGS = ("config.json", "epochs.csv", "validation.csv")
POWER_EFFECTS, POWER_DRAWS = (0.0, -0.1, -0.2, -0.3, -0.5), 4000


def keep(run: Path, folder: Path) -> None:
    """Copy the logs of finished trainings, and the noisy scores, from a run's folder: no network, no recording."""
    for training in sorted((run / "training").iterdir()):
        if (training / "generator.pt").is_file():
            copy = folder / "training" / training.name
            copy.mkdir(parents=True, exist_ok=True)
            for name in LOGS:
                shutil.copyfile(training / name, copy / name)
    shutil.copyfile(run / "noisy.csv", folder / "noisy.csv")


def summary(folder: Path, plan: BranchPlan) -> str:
    """Everything that the kept run says, in Markdown; writes curves.csv, endpoints.csv, power.csv and the figure."""
    table = curves(folder / "training", plan)
    scores = pd.read_csv(folder / "noisy.csv")["pesq"]
    noisy = scores.mean()
    ends = endpoints(table, plan.endpoint_validations)
    judged = judge(ends, len(plan.seeds))
    write_table(table.round(5), folder / "curves.csv")
    write_table(ends.round(5), folder / "endpoints.csv")
    draw(branches, table.assign(noisy_pesq=noisy).round(5), folder / "figures", "branches")
    parts = [
        "# Branches: one switch, and what it does to a network",
        answer(ends, judged, noisy),
        "![PESQ, gain, inconsistency and objective against training steps, the switch marked](figures/branches.png)",
        "Rules, seeds and lengths stood in [PLAN.md](PLAN.md) before any of these trainings; [plan.yaml](plan.yaml) "
        "is what the program read. Differences are of endpoints (mean of the last "
        f"{plan.endpoint_validations} validations on {len(scores)} utterances), between branches of the same "
        "trunk and seed.",
        "## Predictions",
        predictions_markdown(judged),
        "## Branches",
        endpoints_markdown(ends),
        *_power_part(folder, judged, len(plan.seeds)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def answer(ends: pd.DataFrame, judged: list[Judged], noisy: float) -> str:
    """What the switch does, in some sentences computed from the endpoints."""
    primary = judged[0]
    trunk, branch, other = primary.prediction.trunk, primary.prediction.branch, primary.prediction.other
    means = ends[ends["trunk"] == trunk].groupby("arm")[["pesq", "gain", "objective"]].mean()
    if not {TRUNK, branch, other} <= set(means.index):
        return "The primary branches are not trained yet."
    interval, worse = primary.interval, sum(value < 0 for value in primary.differences)
    sentences = [
        f"Networks trained with the normalised target have PESQ {means.at[TRUNK, 'pesq']:.2f} (noisy speech: "
        f"{noisy:.2f}). Trained on with the published target, everything else the same, they end at "
        f"{means.at[branch, 'pesq']:.2f}; trained on as before, at {means.at[other, 'pesq']:.2f}: a difference of "
        f"{number(interval.estimate)} {bounds(interval.low, interval.high)} (seeds: {interval.n}), "
        f"below 0 in {worse} of {len(primary.differences)} ({primary.prediction.id}: **{primary.verdict}**).",
        f"Meanwhile the published objective goes from {means.at[TRUNK, 'objective']:.3f} to "
        f"{means.at[branch, 'objective']:.3f}, and the gain of the estimate from {means.at[TRUNK, 'gain']:.2f} to "
        f"{means.at[branch, 'gain']:.2f}.",
    ]
    return " ".join(sentences)


def predictions_markdown(judged: list[Judged]) -> str:
    """A row a prediction: rule, mean with interval, every seed, verdict."""
    lines = [
        "| id | prediction | branches | rule | difference of PESQ | by seed | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in judged:
        rule = each.prediction
        other = "trunk at the switch" if rule.other == TRUNK else f"`{rule.other}`"
        interval = each.interval
        found = f"{number(interval.estimate)} {bounds(interval.low, interval.high)}" if interval.n else ""
        seeds = ", ".join(number(value, "+.2f") for value in each.differences)
        lines.append(
            f"| {rule.id}{' (primary)' if each is judged[0] else ''} | {rule.says} | from `{rule.trunk}`: "
            f"`{rule.branch}` − {other} | {rule.relation} {number(rule.margin, '.1f')} | {found} | {seeds} | "
            f"{each.verdict} |"
        )
    return "\n".join(lines)


def endpoints_markdown(ends: pd.DataFrame) -> str:
    """A row a branch: seeds, PESQ, difference from staying, gain, inconsistency."""
    lines = [
        "| trunk | goes on as | seeds | PESQ | − staying | gain | inconsistency |",
        "|---|---|---|---|---|---|---|",
    ]
    for (trunk, arm), rows in ends.groupby(["trunk", "arm"], sort=False):
        against = seed_interval(differences(ends, trunk, arm, trunk))
        beside = (
            f"{number(against.estimate, '+.2f')} {bounds(against.low, against.high)}"
            if arm not in (TRUNK, trunk) and against.n
            else ""
        )
        name = "at the switch" if arm == TRUNK else f"`{arm}`"
        lines.append(
            f"| `{trunk}` | {name} | {len(rows)} | {rows['pesq'].mean():.2f} | "
            f"{beside} | {rows['gain'].mean():.2f} | {rows['inconsistency'].mean():.2f} |"
        )
    return "\n".join(lines)


def _power_part(folder: Path, judged: list[Judged], seeds: int) -> list[str]:
    """What the primary rule could have found with the scatter that the seeds showed, at 3, 6 and 12 seeds."""
    values = judged[0].differences
    if len(values) < 2:
        return []
    deviation, rng = float(np.std(values, ddof=1)), np.random.default_rng(0)
    numbers = sorted({3, seeds, 12})
    table = pd.concat([power(POWER_EFFECTS, deviation, count, POWER_DRAWS, rng) for count in numbers])
    write_table(table.round(4), folder / "power.csv")
    lines = [
        f"| true difference | {' | '.join(f'{count} seeds' for count in numbers)} |",
        f"|---|{'---|' * len(numbers)}",
    ]
    for effect, rows in table.groupby("effect", sort=False):
        cells = [f"{row.supported:.0%} / {row.refuted:.0%}" for row in rows.itertuples()]
        lines.append(f"| {number(effect, '.1f')} | {' | '.join(cells)} |")
    words = (
        f"Shares of {POWER_DRAWS} simulated studies in which the primary rule is supported / refuted, when "
        f"differences scatter between seeds as here (standard deviation {deviation:.2f} PESQ). At true differences "
        "of 0.0 and −0.1 support is an error."
    )
    return ["## Power of the primary rule", words, "\n".join(lines)]


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
