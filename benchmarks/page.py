"""Put the tables of results/benchmarks into docs/speed.md: python -m benchmarks.page."""

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "speed.md"
RESULTS = ROOT / "results" / "benchmarks"


def blocks() -> dict[str, str]:
    """The page's tables by the names that mark their places."""
    return {"speed": generator_table(), "kernels": kernel_table(), "growth": growth_table()}


def fill(page: str) -> str:
    """The page with its tables as results/benchmarks has them now."""
    for name, table in blocks().items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        page = re.sub(f"(?<={start}\n).*?(?={end})", lambda _, table=table: table, page, flags=re.DOTALL)
    return page


def generator_table() -> str:
    """Step and inference of every implementation, and how far from the floor."""
    table = pd.read_csv(RESULTS / "generator.csv")
    lines = [
        "| width × blocks, batch, threads | implementation | step (s) | × literal | × floor "
        "| inference (s) | × literal | × floor | compiled in (s) | memory (MiB) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        if pd.isna(row.step_s):
            measured = ["out of memory", "–", "–", "–", "–", "–", "–", "–"]
        else:
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
        lines.append(f"| {row.configuration} | {row.implementation} | {' | '.join(measured)} |")
    return "\n".join(lines) + "\n"


def kernel_table() -> str:
    """How much longer a whole step and inference take without one C file."""
    table = pd.read_csv(RESULTS / "generator.csv").set_index(["configuration", "implementation"])
    lines = [
        "| width × blocks, batch, threads | without | step takes | inference takes |",
        "|---|---|---|---|",
    ]
    for (configuration, name), row in table.iterrows():
        if name.startswith("without "):
            ours = table.loc[(configuration, "ours")]
            factors = [f"{row[each] / ours[each]:.2f} times as long" for each in ("step_s", "inference_s")]
            lines.append(f"| {configuration} | `{name.removeprefix('without ')}` | {' | '.join(factors)} |")
    return "\n".join(lines) + "\n"


def growth_table() -> str:
    """Time and memory at each size, and their exponents."""
    lines = [
        "| what grows | sizes | seconds | exponent | memory (MiB) | exponent |",
        "|---|---|---|---|---|---|",
    ]
    for grows, rows in pd.read_csv(RESULTS / "growth.csv").groupby("grows", sort=False):
        first = rows.iloc[0]
        columns = [
            grows.replace("_", ", "),
            ", ".join(map(str, rows["size"])),
            ", ".join(f"{value:.2f}" for value in rows["seconds"]),
            f"{first['time_exponent']:.2f}",
            ", ".join(f"{value:.0f}" for value in rows["peak_mib"]),
            f"{first['memory_exponent']:.2f}",
        ]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def _ratio(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
