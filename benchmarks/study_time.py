"""What a finished study's time went into, by notebook and cause: python -m benchmarks.study_time results/laptop.

Read from RUN/timing.csv and the times that papermill notes beside every cell of the executed notebooks. Writes
results/benchmarks/study_time.csv, and the figure beside it.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import typer
from matplotlib.figure import Figure

from cmgan.study.figure_files import TEXT_WIDTH, draw

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
CAUSES = {
    "start": "start and end of a job (interpreter, kernel, page)",
    "imports": "imports",
    "figures": "figures, with what they show",
    "computing": "computing (training, PESQ, descents)",
}


def time_by_cause(run: Path) -> pd.DataFrame:
    """Seconds of a run's jobs by notebook: notebook, jobs, and a column for each of `CAUSES`, summed over its jobs.

    A job's start is what its cells do not account for. A cell that draws what it computes counts as figures, but for
    those that name themselves a step (papermill_description). Branches are told apart from the trainings they go on
    from. Raises FileNotFoundError where the run has no timing.csv or lacks an executed notebook of it.
    """
    # The last row of a job: an interrupted one has several.
    times = pd.read_csv(run / "timing.csv").drop_duplicates("job", keep="last").set_index("job")["seconds"]
    rows = []
    for job, seconds in times.items():
        cells = json.loads((run / "notebooks" / f"{job}.ipynb").read_text())["cells"]
        spent = dict.fromkeys(CAUSES, 0.0)
        for cell in cells:
            if cell["cell_type"] == "code":
                spent[_cause("".join(cell["source"]))] += cell["metadata"]["papermill"]["duration"]
        spent["start"] = seconds - sum(spent.values())
        notebook = "04_training, branches" if "-to-" in job else job.split("-")[0]
        rows.append({"notebook": notebook, "jobs": 1} | spent)
    return pd.DataFrame(rows).groupby("notebook", as_index=False).sum()


def _cause(source: str) -> str:
    if source.startswith("# papermill_description") and "write_report" not in source:
        return "computing"
    if re.match(r"(from|import) ", source):
        return "imports"
    return "figures" if re.search(r"\b(draw|show|display|write_report|players)\(", source) else "computing"


def study_time(frame: pd.DataFrame) -> Figure:
    """A bar a notebook, its seconds by cause side by side; columns as `time_by_cause` has them."""
    figure, axis = plt.subplots(figsize=(TEXT_WIDTH, 2.8))
    left = pd.Series(0.0, index=frame.index)
    names = [f"{row.notebook} ({row.jobs})" for row in frame.itertuples()]
    for cause, label in CAUSES.items():
        axis.barh(names, frame[cause], left=left, label=label)
        left += frame[cause]
    axis.invert_yaxis()
    axis.set_xlabel("seconds, summed over the notebook's jobs (number in brackets)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def main(
    run: Annotated[Path, typer.Argument(help="folder of a finished run, such as results/laptop")],
) -> None:
    """Print what a run's time went into, write it and draw it."""
    try:
        frame = time_by_cause(run).round(1)
    except OSError as error:
        sys.exit(f"error: {error}; give the folder of a finished run")
    print(frame.to_string(index=False))
    draw(study_time, frame, RESULTS, "study_time")


if __name__ == "__main__":
    typer.run(main)
