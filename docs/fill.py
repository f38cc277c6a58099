"""Put what is computed in results/ between the marks of README.md and the pages below: python -m docs.fill.

A mark is `<!-- NAME -->`, what follows it up to `<!-- end of NAME -->` is replaced.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import fill as wrapped

import pandas as pd

from cmgan.statistics import ENDPOINT_EPOCHS
from cmgan.study.branches.tables import endpoints
from cmgan.study.objective.words import answer_in_words
from cmgan.study.wording import code, markdown_table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PAGES = tuple(
    ROOT / page for page in ("README.md", "docs/claims.md", "docs/speed.md", "results/repeats/README.md")
)
BENCHMARKS = RESULTS / "benchmarks"
WIDTH = 120


def filled(page: str) -> str:
    """The page's text with what belongs between its marks; ValueError for a mark that nothing fills."""
    marks = re.findall(r"^<!-- (?!end of )(.+) -->$", page, flags=re.MULTILINE)
    if unknown := set(marks) - set(BLOCKS):
        raise ValueError(f"nothing fills {', '.join(sorted(unknown))}: name one of {', '.join(BLOCKS)}")
    for name in marks:
        start, end, block = f"<!-- {name} -->", f"<!-- end of {name} -->", BLOCKS[name]()
        page = re.sub(f"(?<={start}\n).*?(?={end})", lambda _, block=block: block, page, flags=re.DOTALL)
    return page


def objective_finding() -> str:
    """What the published loss asks for, from the kept minima of real recordings."""
    return _paragraph(
        answer_in_words(pd.read_csv(RESULTS / "objective" / "voicebank" / "objective" / "minima.csv"))
    )


def branches_finding(run: str = "branches") -> str:
    """What kept branches show: the first paragraph of their page."""
    return _paragraph((RESULTS / run / "README.md").read_text().split("\n\n")[1])


def full_size_finding() -> str:
    """What one switch did at the published width, and how the pair from scratch ended: one seed."""
    folder = RESULTS / "full_size"
    ends = pd.read_csv(folder / "endpoints.csv").set_index(["trunk", "arm"])["pesq"]
    published, normalised = ("published", "published"), ("normalised_target", "normalised_target")
    switched = (folder / "README.md").read_text().split("\n\n")[1]
    return _paragraph(
        f"{switched} The pair that stays, from scratch: {ends[published]:.2f} (published) and {ends[normalised]:.2f} "
        "(normalised)."
    )


def arms_table() -> str:
    """Arms over all kept seeds."""
    return (RESULTS / "replication" / "arms.md").read_text()


def claims_table() -> str:
    """Claims over all kept runs."""
    return (RESULTS / "replication" / "claims.md").read_text()


def generator_table() -> str:
    """Step and inference of every implementation, and how far from the floor."""
    table = pd.read_csv(BENCHMARKS / "generator.csv")
    columns = ["width × blocks, batch, threads", "implementation", "step (s)", "× literal", "× floor"]
    columns += ["inference (s)", "× literal", "× floor", "compiled in (s)", "memory (MiB)"]
    rows = []
    for row in table.itertuples():
        measured = ["no result", *7 * ["–"]]
        if pd.notna(row.step_s):
            measured = [
                f"{row.step_s:.2f}",
                _ratio(row.step_times_literal),
                _ratio(row.step_s / row.floor_step_s),
                f"{row.inference_s:.2f}",
                _ratio(row.inference_times_literal),
                _ratio(row.inference_s / row.floor_inference_s),
                f"{row.compile_s:.0f}" if row.compile_s else "–",
                f"{row.peak_mib:.0f}",
            ]
        rows.append([row.configuration, row.implementation, *measured])
    return markdown_table(columns, rows)


def kernel_table() -> str:
    """How much longer a whole step and inference take without one C file."""
    table = pd.read_csv(BENCHMARKS / "generator.csv").set_index(["configuration", "implementation"])
    rows = []
    for (configuration, name), row in table.iterrows():
        if name.startswith("without "):
            ours = table.loc[(configuration, "ours")]
            factors = [f"{row[each] / ours[each]:.2f} times as long" for each in ("step_s", "inference_s")]
            rows.append([configuration, code(name.removeprefix("without ")), *factors])
    columns = ["width × blocks, batch, threads", "without", "step takes", "inference takes"]
    return markdown_table(columns, rows)


def growth_table() -> str:
    """Time and memory at each size, and their exponents."""
    rows = [
        [
            grows.replace("_", ", "),
            ", ".join(map(str, sizes["size"])),
            ", ".join(f"{value:.2f}" for value in sizes["seconds"]),
            f"{sizes['time_exponent'].iloc[0]:.2f}",
            ", ".join(f"{value:.0f}" for value in sizes["peak_mib"]),
            f"{sizes['memory_exponent'].iloc[0]:.2f}",
        ]
        for grows, sizes in pd.read_csv(BENCHMARKS / "growth.csv").groupby("grows", sort=False)
    ]
    return markdown_table(["what grows", "sizes", "seconds", "exponent", "memory (MiB)", "exponent"], rows)


def repeats_finding() -> str:
    """How far the default run's trainings lie from the same ones made before, beside how far seeds lie apart."""
    keys = ["trunk", "arm", "seed"]
    once = endpoints(pd.read_csv(RESULTS / "repeats" / "curves.csv"), ENDPOINT_EPOCHS)
    twice = pd.read_csv(RESULTS / "default" / "branches" / "endpoints.csv")
    pairs = once.merge(twice, on=keys, suffixes=("_once", "_twice"), validate="one_to_one")
    apart = (pairs["pesq_twice"] - pairs["pesq_once"]).abs()
    curves = (pd.read_csv(RESULTS / run / "curves.csv") for run in ("repeats", "default/branches"))
    # The first row of a trunk and seed is its first epoch.
    first, again = (table.groupby(["trunk", "seed"])["pesq"].first() for table in curves)
    of_seeds = twice.groupby(keys[:2])["pesq"].var().mean() ** 0.5
    # Of trunks the switch, step 0, is where they end.
    trunks = pd.read_csv(RESULTS / "from_scratch" / "curves.csv").query("arm == 'trunk' and step == 0")
    rounded = pd.read_csv(RESULTS / "repeats" / "rounding.csv").merge(trunks, on=["trunk", "seed"])
    moved = (rounded["pesq_x"] - rounded["pesq_y"]).abs()
    of_trunks = trunks.groupby("trunk")["pesq"].var().mean() ** 0.5
    return _paragraph(
        f"{len(pairs)} trainings, each made twice, end {apart.mean():.3f} apart in PESQ on average, at most "
        f"{apart.max():.3f}; after the first epoch of {len(first)} trunks it was {(again - first).abs().max():.3f} "
        f"at most. Seeds have a pooled standard deviation of {of_seeds:.2f} ("
        f"{twice.groupby(keys[:2]).ngroups} trunks and branches, {twice['seed'].nunique()} seeds each). "
        f"Two threads in place of one, with the compiled kernels and with torch alone, move {len(rounded)} trainings "
        f"from scratch by {moved.mean():.2f} on average, at most {moved.max():.2f}, after 400 steps; seeds have a "
        f"standard deviation of {of_trunks:.2f} there ({trunks['seed'].nunique()} seeds)."
    )


def study_time_shares() -> str:
    """What the time of the kept default run's jobs went into, in shares of all of it."""
    table = pd.read_csv(BENCHMARKS / "study_time.csv")
    seconds = table[["computing", "start", "imports", "figures"]].sum()
    trainings = table.loc[table["notebook"].str.startswith("04_training"), "computing"].sum()
    computing, start, imports, figures = (f"{share:.0%}" for share in seconds / seconds.sum())
    return _paragraph(
        f"The {table['jobs'].sum()} jobs of the default run took {seconds.sum():.0f} s together: {computing} "
        f"computing ({trainings / seconds.sum():.0%} training), {start} starting and ending them, "
        f"{imports} imports, {figures} figures and the sentences below them."
    )


def _paragraph(text: str) -> str:
    return wrapped(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def _ratio(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


BLOCKS: dict[str, Callable[[], str]] = {
    "objective": objective_finding,
    "branches": branches_finding,
    "from scratch": partial(branches_finding, "from_scratch"),
    "full size": full_size_finding,
    "arms": arms_table,
    "claims": claims_table,
    "speed": generator_table,
    "kernels": kernel_table,
    "growth": growth_table,
    "repeats": repeats_finding,
    "study time": study_time_shares,
}


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text()))
