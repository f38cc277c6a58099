"""Draw a run's figures again from their CSV files alone: python -m cmgan.study.report.redraw results/RUN."""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from cmgan.study.figure_files import draw
from cmgan.study.report.figures import FIGURES


def redraw_run(run_root: Path) -> list[Path]:
    """Draw every figure of RUN/STEP/figures whose CSV is there, on all cores; returns the CSV files.

    Raises FileNotFoundError when there is none.
    """
    files = [file for file in sorted(run_root.glob("*/figures/*.csv")) if file.stem in FIGURES]
    if not files:
        raise FileNotFoundError(f"{run_root} has no figure data: run the study first (make study)")
    with ProcessPoolExecutor() as pool:
        list(pool.map(_redraw, files))
    return files


def _redraw(file: Path) -> None:
    draw(FIGURES[file.stem].plot, pd.read_csv(file), file.parent, file.stem)


def main(run: Annotated[Path, typer.Argument(help="the run's folder, e.g. results/laptop")]) -> None:
    """Redraw the figures of a run from their CSV files."""
    try:
        files = redraw_run(run)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    print(f"Drawn again: {', '.join(str(file.relative_to(run).with_suffix('')) for file in files)}")


if __name__ == "__main__":
    typer.run(main)
