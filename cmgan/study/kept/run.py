"""Keep a run without recordings, networks and machine paths: python -m cmgan.study.kept.run results/RUN FOLDER."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
import yaml

from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.kept.notebooks import keep_notebook, keep_notebooks
from cmgan.study.paths import repository_root
from cmgan.study.pipeline.run_notebook import NotebookFailedError, run_notebook
from cmgan.study.report.figures import figure_frames
from cmgan.study.report.page import write_report
from cmgan.study.report.redraw import redraw_run
from cmgan.study.run_access import finished_run
from cmgan.study.run_results import load_run
from data_prep.whole_files import write_table, write_text

# Tables, figures and settings; no audio, no generator.
KEPT = (
    "timing.csv",
    "training/*/*.csv",
    "training/*/config.json",
    "branches/*.csv",
    "branches/figures/*.csv",
    "branches/training/*/*.csv",
    "branches/training/*/config.json",
    "evaluation/*.csv",
    "objective/*.csv",
    "objective/figures/*.csv",
    "silence/**/*.csv",
    "evidence/**/*.csv",
    "report/figures/one_clip.csv",
)
# The one notebook that reads tables alone, so that it can be executed on a kept run.
FROM_TABLES = "07_comparison_report.ipynb"
TEXT = {".csv", ".json", ".yaml", ".html", ".md", ".svg", ".tex", ".ipynb"}


def keep_run(run: Path, folder: Path) -> Path:
    """Copy what a finished run found, and how, to `folder` and write its report there again; returns the report.

    Recordings are named in data/manifest.csv without the folders above them, and the corpus by its folder's name.
    Judged anew by the rules of this checkout. Raises FileNotFoundError for a run that is not finished, ValueError
    where `folder` holds something already or a path of this machine is left in a file.
    """
    if not (run / "report" / "index.html").is_file():
        raise FileNotFoundError(
            f"{run} has no report: finish the run first (make study goes on where it stopped)"
        )
    if folder.exists() and any(path.suffix != ".md" for path in folder.iterdir()):
        raise ValueError(f"{folder} holds something already: remove it or choose another folder")
    keep_files(run, folder, KEPT)
    settings = yaml.safe_load((run / "profile.yaml").read_text())
    checkout = str(repository_root())
    # What stands for each path of this machine in the notebooks.
    places = {str(run.resolve()): f"results/{settings['run']}", f"{checkout}/": "", checkout: "."}
    if settings["corpus_path"]:
        places[settings["corpus_path"]] = Path(settings["corpus_path"]).name
    settings["corpus_path"] = Path(settings["corpus_path"]).name
    write_text(yaml.safe_dump(settings, sort_keys=False), folder / "profile.yaml")
    keep_manifest(run, folder)
    report = report_again(folder)
    keep_notebooks(run, folder, settings["seeds"][0], places)
    for file in (file for file in folder.rglob("*") if file.suffix in TEXT):
        text = file.read_text()
        for path in places:
            if path in text:
                raise ValueError(f"{file} names {path}: do not publish it as it is")
    return report


def report_again(folder: Path) -> Path:
    """Judge a run anew by the rules of this checkout and write its figures and report; returns the report."""
    settings = yaml.safe_load((folder / "profile.yaml").read_text())
    results = load_run(folder, settings["arms"], settings["seeds"])
    compared, judged = compare(results), judge_run(results)
    frames = figure_frames(results, compared, judged)
    for name, frame in frames.items():
        write_table(frame, folder / "report" / "figures" / f"{name}.csv")
    redraw_run(folder)
    return write_report(results, compared, judged, frames)


def comparison_again(folder: Path) -> Path:
    """Execute the kept run's 07 by this checkout's, which writes the report too, and keep it; returns the notebook.

    folder: results/NAME of this checkout. Raises NotebookFailedError when a cell raises.
    """
    settings, checkout = yaml.safe_load((folder / "profile.yaml").read_text()), repository_root()
    given = {"run": folder.resolve().name, "arms": settings["arms"], "seeds": settings["seeds"]}
    with tempfile.TemporaryDirectory() as place, Path(os.devnull).open("w") as silent:
        executed = Path(place) / FROM_TABLES
        run_notebook(checkout / "notebooks" / FROM_TABLES, executed, given, silent)
        kept = folder / "notebooks" / FROM_TABLES
        names = sorted(file.name for file in kept.parent.glob("*.ipynb"))
        return keep_notebook(executed, kept, {f"{checkout}/": "", str(checkout): "."}, names)


def keep_files(run: Path, folder: Path, patterns: Iterable[str]) -> None:
    """Copy a run's files that match to the same places under `folder`."""
    for file in (file for pattern in patterns for file in run.glob(pattern)):
        copy = folder / file.relative_to(run)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def keep_manifest(run: Path, folder: Path) -> None:
    """Copy a run's manifest, whose recordings are then named without the folders above them."""
    table = pd.read_csv(run / "data" / "manifest.csv")
    for column in ("clean_path", "noisy_path"):
        table[column] = ["/".join(Path(path).parts[-3:]) for path in table[column]]
    write_table(table, folder / "data" / "manifest.csv")


def main(
    run: Annotated[Path, typer.Argument(help="a finished run's folder, e.g. results/laptop")],
    folder: Annotated[
        Path,
        typer.Argument(
            help="where to keep it, e.g. results/reference; RUN itself writes a kept report, and its 07, again"
        ),
    ],
) -> None:
    """Keep what a run found, fit to be published: tables, figures, executed notebooks and the report."""
    try:
        with finished_run(run):
            report = report_again(folder) if run == folder else keep_run(run, folder)
            if run == folder and (folder / "notebooks" / FROM_TABLES).is_file():
                print(f"Executed again: {comparison_again(folder)}")
    except (OSError, ValueError, NotebookFailedError) as error:
        sys.exit(f"error: {error}")
    print(f"Kept: {report}")


if __name__ == "__main__":
    typer.run(main)
