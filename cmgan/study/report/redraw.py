"""Draw a run's figures again from its CSV files alone: python -m cmgan.study.report.redraw RUN --style slides.

Without a style, where they are; in a style, all into one folder with a page that shows them.
"""

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import jinja2
import pandas as pd
import typer
from PIL import Image

from cmgan.commands.outcome import input_errors
from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.figure_files import FORMATS, PAPER, STYLES, Style, draw
from cmgan.study.report.figures import FIGURES, RunFigure, figure_frames
from cmgan.study.run_access import finished_run
from cmgan.study.run_results import load_run
from data_prep.whole_files import write_text

TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Drawn:
    """One figure of a gallery: the name of its files, its words, the numbers it is drawn from."""

    name: str
    figure: RunFigure
    frame: pd.DataFrame


def redraw_run(run_root: Path) -> list[Path]:
    """Draw every figure of RUN/STEP/figures whose CSV is there, on all cores; returns the CSV files.

    Raises FileNotFoundError when there is none.
    """
    files = [file for file in sorted(run_root.glob("*/figures/*.csv")) if file.stem in FIGURES]
    if not files:
        raise FileNotFoundError(f"{run_root} has no figure data: run the study first (make study)")
    drawn = [Drawn(file.stem, FIGURES[file.stem], pd.read_csv(file)) for file in files]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw, drawn, [file.parent for file in files]))
    return files


def draw_gallery(run_root: Path, style: Style, folder: Path) -> Path:
    """Draw all figures of a finished or kept run into `folder`, on all cores; returns index.html, which shows them.

    Each is a PDF, an SVG, a PNG and the CSV it is drawn from. Raises FileNotFoundError for a run that has none.
    """
    drawn = gallery(run_root)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_draw, folder=folder, style=style), drawn))
    # On the page as on paper: a figure of one column is half as wide as one of two.
    pixels = {one.name: Image.open(folder / f"{one.name}.png").width for one in drawn}
    shares = {name: round(100 * width / max(pixels.values())) for name, width in pixels.items()}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    template = environment.get_template("gallery.html.j2")
    formats = (*FORMATS, "csv")
    page = template.render(run=run_root.resolve().name, drawn=drawn, shares=shares, formats=formats)
    write_text(page, folder / "index.html")
    return folder / "index.html"


def gallery(run_root: Path) -> list[Drawn]:
    """Every figure of a run in the order of figures.yaml, from the CSV files beside its figures.

    Of a run that kept its tables without figures, those of the comparison. Raises FileNotFoundError without either.
    """
    files = {file: _figure_of(file) for file in sorted(run_root.rglob("figures/*.csv"))}
    known = {file: figure for file, figure in files.items() if figure is not None}
    if known:
        repeated = Counter(file.stem for file in known)
        drawn = [
            Drawn(_name(file, run_root, repeated[file.stem] > 1), figure, pd.read_csv(file))
            for file, figure in known.items()
        ]
    else:
        try:
            results = load_run(run_root)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{run_root} has neither figure data nor trainings: give the folder of a finished or kept run, e.g. "
                "results/reference"
            ) from None
        frames = figure_frames(results, compare(results), judge_run(results))
        drawn = [Drawn(name, FIGURES[name], frame) for name, frame in frames.items()]
    order = [*FIGURES.values()]
    return sorted(drawn, key=lambda one: order.index(one.figure))


def _figure_of(file: Path) -> RunFigure | None:
    """What draws a CSV file of RUN/STEP/figures; None for a file of no figure that is known."""
    return FIGURES.get("utterances" if file.parts[-3] == "evaluation" else file.stem)


def _name(file: Path, run_root: Path, repeated: bool) -> str:
    """The name of a figure's files; where several of a run have one name, with the folders it comes from."""
    folders = [part for part in file.relative_to(run_root).parent.parts if part != "figures"]
    return "-".join([*folders, file.stem]) if repeated or folders[:1] == ["evaluation"] else file.stem


def _draw(one: Drawn, folder: Path, style: Style = PAPER) -> None:
    draw(one.figure.plot, one.frame, folder, one.name, style)


def draw_again(run: Path, style: str = "", out: Path | None = None) -> None:
    """What `main` does, for one who holds the run."""
    with input_errors():
        if not (style or out):
            files = redraw_run(run)
            print(f"Drawn again: {', '.join(str(file.relative_to(run).with_suffix('')) for file in files)}")
            return
        name = style or "paper"
        if name not in STYLES:
            sys.exit(f"error: unknown style {name!r}: use {' or '.join(STYLES)}")
        print(f"Drawn: {draw_gallery(run, STYLES[name], out or run / f'figures-{name}')}")


def main(
    run: Annotated[Path, typer.Argument(help="the run's folder, e.g. results/laptop")],
    style: Annotated[str, typer.Option(help=f"{' or '.join(STYLES)}: all figures into one folder")] = "",
    out: Annotated[
        Path | None, typer.Option(help="that folder, RUN/figures-STYLE where none is given")
    ] = None,
) -> None:
    """Redraw the figures of a run from their CSV files: where they are, or in a style into one folder."""
    with finished_run(run):
        draw_again(run, style, out)


if __name__ == "__main__":
    typer.run(main)
