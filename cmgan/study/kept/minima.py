"""Keep and sum up the minima of finished runs: python -m cmgan.study.kept.minima results/objective RUN…"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from cmgan.commands.outcome import input_errors
from cmgan.statistics import seed_interval
from cmgan.study.claims.rules import FROM_OBJECTIVE, read_claims
from cmgan.study.claims.verdicts import judge
from cmgan.study.claims.words import effect_in_words, rule_of
from cmgan.study.effects import Evidence
from cmgan.study.kept.run import keep_files, keep_manifest
from cmgan.study.objective.minima import setting_label
from cmgan.study.objective.words import answer_in_words, convergence_in_words, doses_in_words, plane_in_words
from cmgan.study.report.redraw import redraw_run
from cmgan.study.wording import markdown_table, mean_in_words
from data_prep.whole_files import write_text

# No recording, no sound, no network: what the figures and verdicts are computed from.
KEPT = ("objective/*.csv", "objective/figures/*.csv", "training/*/epochs.csv")


def keep_minima(run: Path, folder: Path) -> None:
    """Copy a run's minima to `folder`; FileNotFoundError where 03_objective was not run to its end."""
    if not (run / "objective" / "plane.csv").is_file():
        raise FileNotFoundError(f"{run}: objective/plane.csv is missing, run 03_objective first")
    keep_files(run, folder, KEPT)
    keep_manifest(run, folder)


def minima_markdown(ends: pd.DataFrame) -> str:
    """The minima as a table: a row a setting and start, means over clips with 95 % intervals, and ranges."""
    before = ["minimised", "from", "clips", "PESQ before", "highest on the way", "PESQ at the minimum"]
    rows = []
    for (part, setting, start), clips in ends.groupby(["part", "setting", "start"], sort=False):
        pesq, means = clips["pesq"], clips[["pesq_start", "pesq_peak", "gain", "inconsistency"]].mean()
        peak = f"{means['pesq_peak']:.2f}" if part == "descent" else ""
        row = [_label(part, setting), start, pesq.notna().sum(), f"{means['pesq_start']:.2f}", peak]
        row += [mean_in_words(seed_interval(pesq)), f"{pesq.min():.2f} to {pesq.max():.2f}"]
        rows.append([*row, f"{means['gain']:.2f}", f"{means['inconsistency']:.2f}"])
    return markdown_table([*before, "lowest to highest clip", "gain", "inconsistency"], rows)


def verdicts_markdown(root: Path) -> str:
    """Every prediction about the objective's minimum, judged on one run's minima, as a table."""
    run = Evidence(None, (root,))
    rows = []
    for claim in read_claims().claims:
        for prediction in claim.predictions:
            if prediction.function in FROM_OBJECTIVE:
                judged = judge(prediction, prediction.find(run))
                name = prediction.id + ("" if prediction is claim.primary else " (beside)")
                found = effect_in_words(judged.found)
                rows.append((name, prediction.says, rule_of(judged), found, judged.verdict))
    return markdown_table(["claim", "prediction", "rule", "found", "verdict"], rows)


def summary(root: Path) -> str:
    """All of a run's minima in Markdown: the finding, convergence, doses, networks, the table, the verdicts."""
    ends = pd.read_csv(root / "objective" / "minima.csv")
    plane = pd.read_csv(root / "objective" / "plane.csv")
    sentences = [*convergence_in_words(ends), *doses_in_words(ends), *plane_in_words(plane)]
    parts = [
        f"# Minima of the objective: {root.name}",
        answer_in_words(ends),
        "![descent](objective/figures/objective_descent.png)",
        "\n".join(f"- {line}" for line in sentences),
        "## Minima",
        minima_markdown(ends),
        "## Predictions",
        verdicts_markdown(root),
    ]
    return "\n\n".join(parts)


def _label(part: str, setting: str) -> str:
    name, _, value = setting.partition("=")
    if name in ("gain", "time_weight"):
        return f"{name.replace('_', ' ')} {value}"
    return setting_label(setting) + (" (excerpts)" if part == "sweep" else "")


def main(
    folder: Annotated[Path, typer.Argument(help="where minima are kept")],
    runs: Annotated[list[Path] | None, typer.Argument(help="finished runs to keep first")] = None,
) -> None:
    """Keep the minima of runs, then draw the figures of everything kept and write each SUMMARY.md."""
    with input_errors():
        for run in runs or []:
            keep_minima(run, folder / run.name)
        for minima in sorted(folder.glob("*/objective/minima.csv")):
            root = minima.parents[1]
            redraw_run(root)
            write_text(summary(root), root / "SUMMARY.md")
            print(root / "SUMMARY.md")


if __name__ == "__main__":
    typer.run(main)
