"""Where things lie, from wherever a notebook or command is started."""

from pathlib import Path


def repository_root(start: Path | None = None) -> Path:
    """The checkout's folder: the first one above `start` (default: working folder) with notebooks/Snakefile.

    Raises FileNotFoundError when there is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks" / "Snakefile").is_file():
            return folder
    raise FileNotFoundError(
        f"{start} is not inside a checkout of the study: start from the checkout's folder"
    )


def run_folder(run: str, start: Path | None = None) -> Path:
    """results/RUN of the checkout."""
    return repository_root(start) / "results" / run


def training_folder(run_root: Path, arm: str, seed: int) -> Path:
    """Where 04_training writes one arm and seed."""
    return run_root / "training" / f"{arm}-{seed}"


def evaluation_table(run_root: Path, arm: str, seed: int, checkpoint: str = "generator.pt") -> Path:
    """Where 05_evaluation writes one arm and seed; a checkpoint other than the last epoch's has its own file."""
    part = "" if checkpoint == "generator.pt" else f"-{Path(checkpoint).stem}"
    return run_root / "evaluation" / f"{arm}-{seed}{part}.csv"


def noisy_table(run_root: Path) -> Path:
    """Where 01_data_preparation writes the scores of the unprocessed test utterances."""
    return run_root / "evaluation" / "noisy.csv"
