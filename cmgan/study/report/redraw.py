"""Draw a run's figures again from their CSV files alone: python -m cmgan.study.report.redraw results/RUN."""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import typer

from cmgan.diagnosis import plots as plots_diagnosis
from cmgan.study.corpus import plots as plots_corpus
from cmgan.study.figure_files import PlotFunction, draw
from cmgan.study.objective import plots as plots_objective
from cmgan.study.published import code_plots
from cmgan.study.published import plots as plots_logs
from cmgan.study.report import figures
from cmgan.study.silence import plots as plots_silence
from cmgan.study.silence import score_plots

PLOTS: dict[str, PlotFunction] = {
    **figures.PLOTS,
    "failure_by_length": plots_silence.failure_by_length,
    "failure_by_batch": plots_silence.failure_by_batch,
    "failure_by_dose": plots_silence.failure_by_dose,
    "score_by_activity": plots_silence.score_by_activity,
    "label_scatter": score_plots.label_scatter,
    "validation_noise": score_plots.visible_drop,
    "losses_by_run": plots_logs.losses_by_run,
    "results_by_version": plots_logs.results_by_version,
    "rank_skip": code_plots.rank_reductions,
    "composite_inflation": code_plots.composite_inflation,
    "courses": plots_diagnosis.courses,
    "corpus": plots_corpus.corpus_overview,
    "objective_descent": plots_objective.objective_descent,
    "objective_clip": plots_objective.objective_clip,
    "objective_doses": plots_objective.objective_doses,
    "objective_settings": plots_objective.objective_settings,
    "objective_plane": plots_objective.objective_plane,
    "example": plots_corpus.pair_of_spectrograms,
}
STEPS = ("report", "objective", "silence", "evidence", "diagnosis", "data")


def redraw_run(run_root: Path, steps: tuple[str, ...] = STEPS) -> list[Path]:
    """Draw every figure of RUN/STEP/figures whose CSV is there, on all cores; returns the CSV files.

    Raises FileNotFoundError when there is none.
    """
    files = [file for step in steps for file in sorted((run_root / step / "figures").glob("*.csv"))]
    known = [file for file in files if file.stem in PLOTS]
    if not known:
        raise FileNotFoundError(f"{run_root} has no figure data: run the study first (make study)")
    with ProcessPoolExecutor() as pool:
        list(pool.map(_redraw, known))
    return known


def _redraw(file: Path) -> None:
    plt.close(draw(PLOTS[file.stem], pd.read_csv(file), file.parent, file.stem))


def main(run: Annotated[Path, typer.Argument(help="the run's folder, e.g. results/laptop")]) -> None:
    """Redraw the figures of a run from their CSV files."""
    try:
        files = redraw_run(run)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    print(f"Drawn again: {', '.join(str(file.relative_to(run).with_suffix('')) for file in files)}")


if __name__ == "__main__":
    typer.run(main)
