"""What the branches of a run show: tables, the figure and the words."""

from pathlib import Path

import pandas as pd
from IPython.display import Image

from cmgan.statistics import ENDPOINT_EPOCHS, seed_interval
from cmgan.study.branches.job import noisy_scores
from cmgan.study.branches.plots import branches
from cmgan.study.branches.tables import TRUNK, curves, differences, endpoints
from cmgan.study.figure_files import draw
from cmgan.study.wording import mean_in_words
from data_prep.whole_files import write_table


def tables_and_figure(folder: Path, trunks: Path, validations: int) -> tuple[pd.DataFrame, Image]:
    """Sum up the branches under `folder`/training, whose trunks lie in `trunks`; returns endpoints and the figure.

    Writes curves.csv, endpoints.csv (means of the last `validations`) and figures/branches; noisy.csv is there
    already. Raises FileNotFoundError where there is no branch.
    """
    table = curves(folder / "training", trunks)
    ends = endpoints(table, validations)
    write_table(ends.round(5), folder / "endpoints.csv")
    frame = write_table(table.round(5), folder / "curves.csv").assign(noisy_pesq=round(noisy_pesq(folder), 5))
    return ends, draw(branches, frame, folder / "figures", "branches")


def sum_up_run(root: Path) -> Image | None:
    """Write tables and figure of a run's branches and return the figure; None where the run has none."""
    folder = root / "branches"
    if not (folder / "training").is_dir():
        return None
    if not (folder / "noisy.csv").is_file():
        write_table(noisy_scores(root / "data" / "manifest.csv"), folder / "noisy.csv")
    return tables_and_figure(folder, root / "training", ENDPOINT_EPOCHS)[1]


def branches_answer(root: Path) -> str:
    """What a run's branches say, from its tables; "" where there are none."""
    folder = root / "branches"
    if not all((folder / name).is_file() for name in ("endpoints.csv", "noisy.csv")):
        return ""
    return branches_in_words(pd.read_csv(folder / "endpoints.csv"), noisy_pesq(folder))


def branches_in_words(ends: pd.DataFrame, noisy: float) -> str:
    """What the switch does to a good network, and what undoing it does to a fallen one; from the endpoints.

    Where nothing was switched: how far the two targets are apart.
    """
    sentences = []
    good, published = "normalised_target", "published"
    means = ends.groupby(["trunk", "arm"])[["pesq", "gain", "objective"]].mean()
    spoiled = differences(ends, good, published, good)
    if len(spoiled):
        before, after, stayed = (means.loc[(good, arm)] for arm in (TRUNK, published, good))
        sentences += [
            f"Networks trained with the normalised target have PESQ {before['pesq']:.2f} (noisy speech: {noisy:.2f}"
            f"). Trained on with the published target, everything else the same, they end at {after['pesq']:.2f}; "
            f"trained on as before, at {stayed['pesq']:.2f}: a difference of {_over_seeds(spoiled)}, below 0 in "
            f"{(spoiled < 0).sum()}.",
            f"Meanwhile the published objective goes from {before['objective']:.3f} to {after['objective']:.3f}, and "
            f"the gain of the estimate from {before['gain']:.2f} to {after['gain']:.2f}.",
        ]
    repaired = differences(ends, published, good, published)
    if len(repaired):
        before, after, stayed = (means.loc[(published, arm)] for arm in (TRUNK, good, published))
        sentences.append(
            f"The other way round, networks trained with the published target have PESQ {before['pesq']:.2f}; "
            f"trained on with the normalised one they end at {after['pesq']:.2f}, as before at {stayed['pesq']:.2f}: "
            f"a difference of {_over_seeds(repaired)}."
        )
    apart = differences(ends, published, published, good, good)
    if len(apart) and not sentences:
        low, high = (means.loc[(arm, arm), "pesq"] for arm in (published, good))
        sentences.append(
            f"Trained with the published target from the first step on, networks end at PESQ {low:.2f}, with the "
            f"normalised one at {high:.2f} (noisy speech: {noisy:.2f}): a difference of {_over_seeds(apart)}."
        )
    return " ".join(sentences)


def noisy_pesq(folder: Path) -> float:
    """Mean PESQ of the unprocessed speech that a folder's branches are validated on."""
    return pd.read_csv(folder / "noisy.csv")["pesq"].mean()


def _over_seeds(values: pd.Series) -> str:
    interval = seed_interval(values)
    return f"{mean_in_words(interval, '+.2f')} (seeds: {interval.n})"
