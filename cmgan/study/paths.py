"""Where things lie, from wherever a notebook or command is started."""

import re
from collections.abc import Sequence
from pathlib import Path

from cmgan.study.arms import ARMS

KEPT_CLAIMS = Path("results") / "replication" / "claims.csv"  # verdicts over the seeds of all kept runs


def repository_root() -> Path:
    """The checkout's folder: the working folder or the first one above it with notebooks/Snakefile.

    Raises FileNotFoundError when there is none.
    """
    start = Path.cwd().resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks" / "Snakefile").is_file():
            return folder
    raise FileNotFoundError(
        f"{start} is not inside a checkout of the study: start from the checkout's folder"
    )


def run_folder(run: str) -> Path:
    """results/RUN of the checkout."""
    return repository_root() / "results" / run


def logs_to_read(run: str, logs: Sequence[str]) -> list[Path]:
    """Paths as a notebook's parameters give them: from the working folder, or else from the checkout's.

    Without any, the folder of the trainings of results/RUN.
    """
    if not logs:
        return [run_folder(run) / "training"]
    return [path if (path := Path(log)).exists() else repository_root() / log for log in logs]


def training_folder(run_root: Path, arm: str, seed: int) -> Path:
    """Where 04_training writes one arm and seed."""
    return run_root / "training" / f"{arm}-{seed}"


def branch_folder(run_root: Path, trunk: str, arm: str, seed: int) -> Path:
    """Where 04_training writes an arm that goes on from another one's training."""
    return run_root / "branches" / "training" / f"{trunk}-to-{arm}-{seed}"


def evaluation_table(run_root: Path, arm: str, seed: int, checkpoint: str = "generator.pt") -> Path:
    """Where 05_evaluation writes one arm and seed; a checkpoint other than the last epoch's has its own file."""
    part = "" if checkpoint == "generator.pt" else f"-{Path(checkpoint).stem}"
    return run_root / "evaluation" / f"{arm}-{seed}{part}.csv"


def noisy_table(run_root: Path) -> Path:
    """Where 01_data_preparation writes the scores of the unprocessed test utterances."""
    return run_root / "evaluation" / "noisy.csv"


def found_arms_and_seeds(run_root: Path) -> list[tuple[str, int]]:
    """Arms and seeds whose training is complete, in the order of `cmgan.study.arms`, unknown arms last."""
    folders = (config.parent.name for config in (run_root / "training").glob("*/config.json"))
    matches = (re.fullmatch(r"(.+)-(\d+)", name) for name in folders)
    found = [(match[1], int(match[2])) for match in matches if match]
    order = {arm: place for place, arm in enumerate(ARMS)}
    return sorted(found, key=lambda pair: (order.get(pair[0], len(order)), pair))
