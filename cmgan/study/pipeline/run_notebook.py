"""Execute one notebook of the study with papermill: parameters checked, progress shown, failures kept readable."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Annotated, TextIO

import nbformat
import papermill
import typer
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError

from cmgan.csv_log import CsvLog
from cmgan.progress import duration
from cmgan.study.notebook_text import FINDING, first_sentences, question_of, text_of_tag
from cmgan.study.paths import repository_root
from cmgan.study.run_access import date_now, end_with_the_study
from data_prep.whole_files import write_text


class NotebookFailedError(RuntimeError):
    """A notebook did not run to its end; the message says why in one line and where to read on."""


def run_notebook(notebook: Path, executed: Path, parameters: dict, shown: TextIO) -> None:
    """Execute `notebook` into `executed` (and .html beside it), its cells' output passed on to `shown`.

    Raises NotebookFailedError when a cell raises or the kernel dies: `executed` then holds the cells so far with the
    error. A parameter that the notebook does not have is refused by its own first cell.
    """
    executed.parent.mkdir(parents=True, exist_ok=True)
    executed.with_suffix(".html").unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters=parameters,
            cwd=str(notebook.parent),
            progress_bar=False,
            stdout_file=shown,
            kernel_name="python3",
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise NotebookFailedError(f"{reason} (the whole notebook with the error: {executed})") from error
    except DeadKernelError as error:
        # papermill saves such a notebook as if every cell had completed.
        cells = nbformat.read(executed, as_version=4)
        text = "**The kernel died while this notebook ran: nothing below can be trusted.**"
        cells.cells.insert(0, nbformat.v4.new_markdown_cell(text))
        nbformat.write(cells, executed)
        raise NotebookFailedError(
            f"the kernel died, out of memory perhaps (cells up to there: {executed})"
        ) from error
    write_text(HTMLExporter().from_filename(str(executed))[0], executed.with_suffix(".html"))


class _Labelled:
    """A text stream that starts each line with which notebook, arm and seed it comes from."""

    def __init__(self, label: str, target: TextIO) -> None:
        self._label, self._target, self._rest = label, target, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._target.write(f"[{self._label}] {line}\n")
        self._target.flush()
        return len(text)

    def flush(self) -> None:
        self._target.flush()


def main(
    name: Annotated[str, typer.Argument(help="notebook without .ipynb, e.g. 04_training")],
    run: Annotated[Path, typer.Argument(help="the run's folder, e.g. results/laptop")],
    parameters: Annotated[str, typer.Option(help="JSON object of the notebook's parameters")] = "{}",
    label: Annotated[str, typer.Option(help="arm and seed, when the notebook runs once for each")] = "",
) -> None:
    """Run one notebook of the study and note its time and peak memory in RUN/timing.csv."""
    end_with_the_study()
    root = repository_root()
    title = f"{name}-{label}" if label else name
    shown = _Labelled(f"{name} {label}".strip(), sys.stdout)
    started = time.monotonic()
    notebook, executed = root / "notebooks" / f"{name}.ipynb", root / run / "notebooks" / f"{title}.ipynb"
    shown.write(f"asks: {question_of(notebook)}\n")
    try:
        run_notebook(notebook, executed, json.loads(parameters), shown)
    except NotebookFailedError as error:
        shown.write(f"failed: {error}\n")
        raise typer.Exit(1) from None
    seconds = time.monotonic() - started
    # The kernel is this process's only child that counts: its peak is the children's.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if finding := text_of_tag(executed, FINDING):
        shown.write(f"finds: {first_sentences(finding)}\n")
    shown.write(f"finished in {duration(seconds)}, peak memory {peak:.0f} MiB\n")
    CsvLog(root / run / "timing.csv").append(
        {"job": title, "seconds": round(seconds, 1), "peak_mib": round(peak)}
    )
    # The clock may have been set back since the files were made that this job began with.
    date_now(root / run)


if __name__ == "__main__":
    typer.run(main)
