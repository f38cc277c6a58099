"""From the paths a user gives to the runs behind them."""

from collections.abc import Sequence
from pathlib import Path

from cmgan.diagnosis.event_log import EVENT_FILES, read_events
from cmgan.diagnosis.table_log import OWN_FILES, read_table
from cmgan.diagnosis.text_log import read_text
from cmgan.diagnosis.training_log import TrainingLog, merge_logs
from cmgan.study.paths import repository_root, run_folder

UNFINISHED = "unfinished"


def read_runs(paths: Sequence[Path]) -> list[TrainingLog]:
    """The runs behind some paths: all files together are one run, every folder is at least one of its own.

    A folder holds this study's logs (training/ARM-SEED, also of a run that goes on), TensorBoard event files, other
    .csv, .log and .txt files of one run, or folders of such runs (results/RUN/training). Raises FileNotFoundError
    or ValueError, naming the path and what is wrong with it.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; check the path")
    files = [path for path in paths if path.is_file()]
    runs = [_run(files[0].stem if len(files) == 1 else "these files", files)] if files else []
    for folder in (path for path in paths if path.is_dir()):
        found = _runs_below(folder)
        if not found:
            raise ValueError(
                f"{folder}: holds no training log; give the folder with steps.csv, *.log, *.csv or {EVENT_FILES}"
            )
        runs += found
    return runs


def logs_to_read(run: str, logs: Sequence[str]) -> list[Path]:
    """Paths as a notebook's parameters give them: from the working folder, or else from the checkout's.

    Without any, the folder of the trainings of results/RUN.
    """
    if not logs:
        return [run_folder(run) / "training"]
    return [path if (path := Path(log)).exists() else repository_root() / log for log in logs]


def _runs_below(folder: Path) -> list[TrainingLog]:
    if (folder / "training").is_dir():
        return _runs_below(folder / "training")
    files = _own_files(folder) or sorted(path for path in folder.iterdir() if _is_log(path))
    if files:
        return [_run(folder.name, files)]
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    return [run for path in inner for run in _runs_below(path)]


def _own_files(folder: Path) -> list[Path]:
    for place in (folder, folder / UNFINISHED):
        if (place / "steps.csv").is_file():
            return [place / name for name in OWN_FILES if (place / name).is_file()]
    return []


def _is_log(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() in (".csv", ".log", ".txt") or path.match(EVENT_FILES))


def _run(name: str, files: Sequence[Path]) -> TrainingLog:
    log = merge_logs(name, [_read_file(path) for path in files])
    if log.is_empty():
        raise ValueError(
            f"{', '.join(map(str, files))}: no line of a training log is in there; a line looks like "
            "'Epoch 0, Step 500, loss: 0.082057, disc_loss: 0.000664'"
        )
    return log


def _read_file(path: Path) -> TrainingLog:
    if path.match(EVENT_FILES):
        return read_events(path)
    if path.suffix.lower() == ".csv":
        return read_table(path)
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return read_text(lines, path.name)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); check the file") from error
