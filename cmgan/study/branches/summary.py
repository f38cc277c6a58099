"""Keep a run of branches and say what it shows: python -m cmgan.study.branches.summary RUN FOLDER."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure

from cmgan.statistics import ENDPOINT_EPOCHS, seed_interval, t_power
from cmgan.study.branches.job import BranchPlan, noisy_scores, read_plan
from cmgan.study.branches.plots import branches
from cmgan.study.branches.tables import TRUNK, Judged, curves, differences, endpoints, judge
from cmgan.study.comparison.words import bounds, number
from cmgan.study.figure_files import draw
from data_prep.whole_files import write_table, write_text

LOGS = ("config.json", "epochs.csv", "validation.csv")
POWER_EFFECTS = (0.0, -0.1, -0.2, -0.3, -0.5)


def keep(run: Path, folder: Path) -> None:
    """Copy the logs of finished trainings, and the noisy scores, from a run's folder: no network, no recording."""
    for training in sorted((run / "training").iterdir()):
        if (training / "generator.pt").is_file():
            copy = folder / "training" / training.name
            copy.mkdir(parents=True, exist_ok=True)
            for name in LOGS:
                shutil.copyfile(training / name, copy / name)
    shutil.copyfile(run / "noisy.csv", folder / "noisy.csv")


def write_tables(folder: Path, trunks: Path, validations: int) -> tuple[pd.DataFrame, float]:
    """Sum up the branches under `folder`/training; trunks: where theirs lie. Returns endpoints and the noisy PESQ.

    Writes curves.csv and endpoints.csv (mean of the last `validations`); noisy.csv is there already.
    Raises FileNotFoundError where there is no branch.
    """
    table = curves(folder / "training", trunks)
    noisy = pd.read_csv(folder / "noisy.csv")["pesq"].mean()
    ends = endpoints(table, validations)
    write_table(table.round(5), folder / "curves.csv")
    write_table(ends.round(5), folder / "endpoints.csv")
    return ends, noisy


def draw_branches(folder: Path) -> Figure:
    """The figure of curves.csv, written to `folder`/figures and returned."""
    noisy = pd.read_csv(folder / "noisy.csv")["pesq"].mean()
    frame = pd.read_csv(folder / "curves.csv").assign(noisy_pesq=round(noisy, 5))
    return draw(branches, frame, folder / "figures", "branches")


def sum_up_run(root: Path) -> Figure | None:
    """Write tables and figure of a run's branches and return the figure; None where the run has none."""
    folder = root / "branches"
    if not (folder / "training").is_dir():
        return None
    if not (folder / "noisy.csv").is_file():
        write_table(noisy_scores(root / "data" / "manifest.csv"), folder / "noisy.csv")
    write_tables(folder, root / "training", ENDPOINT_EPOCHS)
    return draw_branches(folder)


def branches_answer(root: Path) -> str:
    """What a run's branches say, from its tables; "" where there are none."""
    files = [root / "branches" / name for name in ("endpoints.csv", "noisy.csv")]
    if not all(file.is_file() for file in files):
        return ""
    ends, noisy = map(pd.read_csv, files)
    return branches_in_words(ends, noisy["pesq"].mean())


def summary(folder: Path, plan: BranchPlan) -> str:
    """Everything that the kept run says, in Markdown; writes its tables, power.csv and the figure."""
    ends, noisy = write_tables(folder, folder / "training", plan.endpoint_validations)
    draw_branches(folder)
    judged = judge(ends, len(plan.seeds))
    utterances = len(pd.read_csv(folder / "noisy.csv"))
    parts = [
        "# Branches: one switch, and what it does to a network",
        answer(ends, judged, noisy),
        "![PESQ, gain, inconsistency and objective against training steps, the switch marked](figures/branches.png)",
        "Rules, seeds and lengths stood in [PLAN.md](PLAN.md) before any of these trainings; [plan.yaml](plan.yaml) "
        "is what the program read. Differences are of endpoints (mean of the last "
        f"{plan.endpoint_validations} validations on {utterances} utterances), between branches of the same "
        "trunk and seed.",
        "## Predictions",
        predictions_markdown(judged),
        "## Branches",
        endpoints_markdown(ends),
        *_power_part(folder, judged, len(plan.seeds)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def answer(ends: pd.DataFrame, judged: list[Judged], noisy: float) -> str:
    """What the branches show, with the verdicts of the plan's predictions."""
    verdicts = ", ".join(f"{one.prediction.id} **{one.verdict}**" for one in judged)
    return f"{branches_in_words(ends, noisy)} By the plan's rules: {verdicts}."


def branches_in_words(ends: pd.DataFrame, noisy: float) -> str:
    """What the switch does to a good network, and what undoing it does to a fallen one; from the endpoints."""
    sentences = []
    good, published = "normalised_target", "published"
    means = ends.groupby(["trunk", "arm"])[["pesq", "gain", "objective"]].mean()
    spoiled = differences(ends, good, published, good)
    if len(spoiled):
        before, after, stayed = (means.loc[(good, arm)] for arm in (TRUNK, published, good))
        sentences += [
            f"Networks trained with the normalised target have PESQ {before['pesq']:.2f} (noisy speech: {noisy:.2f}"
            f"). Trained on with the published target, everything else the same, they end at {after['pesq']:.2f}; "
            f"trained on as before, at {stayed['pesq']:.2f}: a difference of {_over_seeds(spoiled)}, below 0 in "
            f"{(spoiled < 0).sum()}.",
            f"Meanwhile the published objective goes from {before['objective']:.3f} to {after['objective']:.3f}, and "
            f"the gain of the estimate from {before['gain']:.2f} to {after['gain']:.2f}.",
        ]
    repaired = differences(ends, published, good, published)
    if len(repaired):
        before, after, stayed = (means.loc[(published, arm)] for arm in (TRUNK, good, published))
        sentences.append(
            f"The other way round, networks trained with the published target have PESQ {before['pesq']:.2f}; "
            f"trained on with the normalised one they end at {after['pesq']:.2f}, as before at {stayed['pesq']:.2f}: "
            f"a difference of {_over_seeds(repaired)}."
        )
    return " ".join(sentences)


def _over_seeds(values: pd.Series) -> str:
    interval = seed_interval(values)
    return f"{number(interval.estimate, '+.2f')} {bounds(interval.low, interval.high, '+.2f')} (seeds: {interval.n})"


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
    deviation, margin = float(np.std(values, ddof=1)), judged[0].prediction.margin
    numbers = sorted({3, seeds, 12})
    # The rule asks for less than the margin: the same as more than its mirror image.
    table = pd.DataFrame(
        {
            "effect": effect,
            "seeds": count,
            "supported": t_power(-effect, -margin, deviation, count),
            "refuted": t_power(effect, margin, deviation, count),
        }
        for effect in POWER_EFFECTS
        for count in numbers
    )
    write_table(table.round(4), folder / "power.csv")
    lines = [
        f"| true difference | {' | '.join(f'{count} seeds' for count in numbers)} |",
        f"|---|{'---|' * len(numbers)}",
    ]
    for effect, rows in table.groupby("effect", sort=False):
        cells = [f"{row.supported:.0%} / {row.refuted:.0%}" for row in rows.itertuples()]
        lines.append(f"| {number(effect, '.1f')} | {' | '.join(cells)} |")
    words = (
        "Shares of studies in which the primary rule is supported / refuted, when differences scatter between seeds "
        f"as here (standard deviation {deviation:.2f} PESQ; noncentral t). At true differences of 0.0 and −0.1 "
        "support is an error."
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
