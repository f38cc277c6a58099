"""How far each arm ends from `published`, seed by seed, over several runs, what goes along with it, and the verdicts.

python -m cmgan.study.kept.replication FOLDER results/RUN… --beside PLACE… writes seeds.csv and mechanism.csv
there, each with its figure, arms.csv, arms.md, correlations.csv, repeats.csv, and every claim judged on the seeds of
all runs together: claims.csv, claims.md, power.csv. What the runs lack, minima and branches, is looked for in PLACE.
What goes along was looked for after the runs were seen: it changes where PESQ does, which is not to cause it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import typer
from matplotlib.figure import Figure

from cmgan.commands.outcome import input_errors
from cmgan.statistics import (
    ENDPOINT_EPOCHS,
    MARGIN_PESQ,
    cluster_rank_correlation,
    endpoint_table,
    seed_interval,
)
from cmgan.study.arms import ARMS, arm_label, arm_style
from cmgan.study.claims.verdicts import claims_frame, judge_run
from cmgan.study.claims.words import claims_markdown, power_table
from cmgan.study.figure_files import TEXT_WIDTH, draw
from cmgan.study.run_results import RunResults, load_run, pooled
from cmgan.study.training.tables import LABELS
from cmgan.study.wording import bounds, markdown_table, number
from data_prep.whole_files import write_table, write_text

ARM, REFERENCE = "normalised_target", "published"
QUANTITIES = ("inconsistency", "phase_error", "loss_magnitude")
BOOTSTRAP_SEED = 0
SPREAD_OF_SEEDS = 0.5  # height of a run's dots, in rows
MARKERS = "os^DvP"
STYLES = {
    "other arms, un-normalised target": {"color": "#e66100", "marker": "o", "s": 9},
    "other arms, normalised target": {"color": "#4393c3", "marker": "D", "s": 9},
    f"{arm_label(ARM)} alone": {"color": arm_style(ARM)["color"], "marker": "D", "s": 40},
}


def seed_differences(runs: Sequence[RunResults]) -> pd.DataFrame:
    """Rows run, arm, seed, difference (validation PESQ over the last epochs, arm − its baseline), utterances.

    The baseline has the same seed and is `published`, with the arm's own batch size where it has one. Raises
    FileNotFoundError for a run that trained no baseline.
    """
    rows = []
    for run in runs:
        ends = {
            arm: endpoint_table(scores, "pesq") for arm, scores in run.validation.groupby("arm", sort=False)
        }
        of_run = []
        for arm, table in ends.items():
            size = ARMS[arm].batch_size
            baseline = f"{REFERENCE}_batch_{size}" if size else REFERENCE
            if arm == baseline or baseline not in ends:
                continue
            for seed in table.columns.intersection(ends[baseline].columns):
                apart = (table[seed] - ends[baseline][seed]).dropna()
                utterances = apart.index.get_level_values("id").nunique()
                of_run.append((run.root.name, arm, seed, apart.mean(), utterances))
        if not of_run:
            raise FileNotFoundError(
                f"{run.root}: no arm beside {REFERENCE} with the same seed; nothing to compare"
            )
        rows += of_run
    return pd.DataFrame(rows, columns=["run", "arm", "seed", "difference", "utterances"])


def repeats(run: RunResults, again: RunResults) -> pd.DataFrame:
    """How far two trainings of one arm, seed and recipe end apart, from rounding alone; `again` may go on longer.

    Rows arm, seed, epochs (of `run`), last (PESQ of `again` − that of `run` after them) and endpoint (the same of the
    mean over the last epochs).
    """
    rows = []
    for arm, seed in sorted(set(run.configs) & set(again.configs)):
        once, twice = (
            scores[(scores["arm"] == arm) & (scores["seed"] == seed)]
            for scores in (run.validation, again.validation)
        )
        epochs = int(once["epoch"].max())
        ends = [endpoint_table(table[table["epoch"] <= epochs], "pesq")[seed] for table in (once, twice)]
        apart = ends[1] - ends[0]
        rows.append((arm, seed, epochs, apart.xs(0, level="before_end").mean(), apart.mean()))
    return pd.DataFrame(rows, columns=["arm", "seed", "epochs", "last", "endpoint"])


def arm_table(differences: pd.DataFrame) -> pd.DataFrame:
    """For each run, and for all of them together, each arm's mean over seeds with a 95 % t interval.

    differences: of `seed_differences`. Columns run, arm, time_target, seeds, mean, low, high, seeds_above and
    seeds_below `published`. An interval of one seed is missing.
    """
    together = pd.concat([differences, differences.assign(run="all")])
    rows = []
    for (run, arm), values in together.groupby(["run", "arm"], sort=False)["difference"]:
        rows.append(
            {"run": run, "arm": arm, "time_target": ARMS[arm].time_target, "seeds": len(values)}
            | seed_interval(values).columns("mean")
            | {"seeds_above": (values > 0).sum(), "seeds_below": (values < 0).sum()}
        )
    return pd.DataFrame(rows)


def arm_markdown(table: pd.DataFrame) -> str:
    """Markdown table of all runs together, by number of seeds, then mean; table of `arm_table`."""
    columns = [
        "arm",
        "time target",
        f"PESQ over the last epochs − {REFERENCE}, mean over seeds",
        "seeds above",
    ]
    together = table[table["run"] == "all"].sort_values(["seeds", "mean"], ascending=False)
    rows = []
    for row in together.itertuples():
        interval = f" {bounds(row.low, row.high, '+.2f')}" if row.seeds > 1 else ""
        mean = f"{number(row.mean, '+.2f')}{interval}"
        rows.append((row.arm, row.time_target, mean, f"{row.seeds_above} of {row.seeds}"))
    return markdown_table(columns, rows)


def mechanism_by_seed(runs: Sequence[RunResults], differences: pd.DataFrame) -> pd.DataFrame:
    """Rows run, seed, pesq and a column for each of QUANTITIES: ARM − REFERENCE of the same seed.

    differences: of `seed_differences`; the other columns are means over the validation utterances after the last
    epoch.
    """
    of_arm = differences[differences["arm"] == ARM]
    rows = []
    for run in runs:
        last = run.epochs.drop_duplicates(["arm", "seed"], keep="last").set_index(["arm", "seed"])[
            [*QUANTITIES]
        ]
        for row in of_arm[of_arm["run"] == run.root.name].itertuples():
            change = last.loc[ARM, row.seed] - last.loc[REFERENCE, row.seed]
            rows.append({"run": row.run, "seed": row.seed, "pesq": row.difference} | dict(change))
    return pd.DataFrame(rows)


def correlation_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each quantity with PESQ over seeds: quantity, correlation, low, high, seeds.

    frame: of `mechanism_by_seed`. 95 % bootstrap intervals over seeds; missing below three seeds.
    """
    rows = []
    for quantity in QUANTITIES:
        found = cluster_rank_correlation(frame[quantity], frame["pesq"], range(len(frame)), BOOTSTRAP_SEED)
        rows.append({"quantity": quantity} | found.columns("correlation") | {"seeds": found.n})
    return pd.DataFrame(rows)


def plot_seed_differences(frame: pd.DataFrame) -> Figure:
    """A dot for each seed and arm, a row a run; frame of `seed_differences`."""
    runs = frame.groupby("run", sort=False)
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 0.9 + 0.5 * len(runs)))
    axis.axvspan(-MARGIN_PESQ, MARGIN_PESQ, color="0.9", linewidth=0)
    axis.axvline(0, color="0.4", linewidth=0.8)
    names = []
    for row, (run, of_run) in enumerate(runs):
        seeds = sorted(of_run["seed"].unique())
        names.append(f"{run.replace('_', ' ')}\n{len(seeds)} seeds, {of_run['utterances'].max()} utterances")
        for label, style in STYLES.items():
            rows = of_run[of_run["arm"].map(_label) == label]
            # Rows of dots by seed, so that those of one seed stand above one another.
            places = [(seeds.index(seed) + 0.5) / len(seeds) - 0.5 for seed in rows["seed"]]
            heights = [row + SPREAD_OF_SEEDS * place for place in places]
            axis.scatter(
                rows["difference"], heights, label=label if row == 0 else None, linewidths=0, **style
            )
    axis.set_yticks(range(len(runs)), names)
    axis.set_ylim(len(runs) - 0.5, -0.5)
    axis.set_xlabel(
        f"PESQ over the last {ENDPOINT_EPOCHS} epochs, difference from {REFERENCE} with the same seed "
        f"(grey: ±{MARGIN_PESQ})"
    )
    axis.grid(visible=False, axis="y")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _label(arm: str) -> str:
    published, normalised, alone = STYLES
    return alone if arm == ARM else published if ARMS[arm].time_target == "published" else normalised


def plot_mechanism_by_seed(frame: pd.DataFrame) -> Figure:
    """PESQ gained against the change of each quantity, a mark a seed, a shape a run; frame of `mechanism_by_seed`."""
    figure, axes = plt.subplots(1, len(QUANTITIES), figsize=(TEXT_WIDTH, 2.5), sharey=True)
    for axis, row in zip(axes, correlation_table(frame).itertuples(), strict=True):
        for (run, rows), marker in zip(frame.groupby("run", sort=False), MARKERS, strict=False):
            look = {"marker": marker, "s": 22, "color": "#0b4f9e", "alpha": 0.8, "linewidths": 0}
            axis.scatter(rows[row.quantity], rows["pesq"], label=run.replace("_", " "), **look)
        axis.axvline(0, color="0.4", linewidth=0.8)
        axis.axhline(0, color="0.4", linewidth=0.8)
        axis.set_xlabel(f"change of {LABELS[row.quantity]}")
        axis.set_title(f"ρ = {number(row.correlation)} {bounds(row.low, row.high)}")
    axes[0].set_ylabel("PESQ gained by\nnormalising the target")
    labels = axes[0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside upper center", ncols=frame["run"].nunique())
    figure.supxlabel(f"n = {len(frame)} seeds; rank correlations with 95 % intervals over seeds", fontsize=7)
    return figure


def main(
    folder: Annotated[Path, typer.Argument(help="where the tables and the figures go")],
    runs: Annotated[list[Path], typer.Argument(help="folders of finished or kept runs, other seeds in each")],
    beside: Annotated[
        list[Path] | None, typer.Option(help="folder with objective/ or branches/ of their own")
    ] = None,
    again: Annotated[list[Path] | None, typer.Option(help="run that repeats seeds of the first one")] = None,
) -> None:
    """Set the runs' seeds beside one another and judge the claims on all of them."""
    with input_errors():
        results, repeated = ([load_run(run) for run in folders] for folders in (runs, again or ()))
        differences = seed_differences(results)
        judged = judge_run(pooled(results), (*runs, *(beside or ())))
    write_table(claims_frame(judged), folder / "claims.csv")
    write_text(claims_markdown(judged), folder / "claims.md")
    if power := power_table(judged):
        write_table(power.numbers, folder / "power.csv")
    if repeated:
        write_table(pd.concat([repeats(results[0], other) for other in repeated]), folder / "repeats.csv")
    draw(plot_seed_differences, differences, folder, "seeds")
    mechanism = mechanism_by_seed(results, differences)
    if not mechanism.empty:
        draw(plot_mechanism_by_seed, mechanism, folder, "mechanism")
        write_table(correlation_table(mechanism), folder / "correlations.csv")
    text = arm_markdown(write_table(arm_table(differences), folder / "arms.csv"))
    write_text(text, folder / "arms.md")
    print(text)


if __name__ == "__main__":
    typer.run(main)
