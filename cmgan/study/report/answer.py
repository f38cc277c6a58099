"""The answer of a run on the report's first screen: two sentences, one picture, why to change the loss."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from cmgan.statistics import MARGIN_PESQ, seed_interval
from cmgan.study.arms import NOISY_COLOUR, arm_style
from cmgan.study.branches.tables import TRUNK, differences
from cmgan.study.claims.rules import Verdict
from cmgan.study.claims.verdicts import JudgedRun
from cmgan.study.comparison.evaluation import Comparison
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.objective.minima import DESCENT, ends_of
from cmgan.study.objective.plots import LEAST_OBJECTIVE, STYLE_OF
from cmgan.study.paths import KEPT_CLAIMS, repository_root
from cmgan.study.wording import counted, in_words, number

GOOD, PUBLISHED = "normalised_target", "published"
LOSS_ALONE = "loss"  # the panel without a network; the others are named after the trunk
COLUMNS = ["panel", "line", "replicate", "order", "x", "pesq", "noisy_pesq"]
TRUNK_COLOUR = "0.45"
REPAIRED_BY = ("C12", "C19")  # claims whose support asks for the repair


def answer_in_two(root: Path, compared: Comparison) -> list[str]:
    """What the loss asks for, and what changing its time target does to networks; fewer where a run lacks one."""
    return [*filter(None, [_of_the_loss(root), _of_branches(root) or _of_arms(compared)])]


def why_change(run: JudgedRun) -> str:
    """The claims that ask for the repair, here and in the kept runs; "" where this run refutes one."""
    verdicts = {claim.claim.id: claim.verdict for claim in run.claims if claim.claim.id in REPAIRED_BY}
    if Verdict.REFUTED in verdicts.values():
        return ""
    here = [name for name, verdict in verdicts.items() if verdict == Verdict.SUPPORTED]
    kept = _kept_support()
    grounds = [_supported(here, "this run")] if here else []
    grounds += [_supported(kept, "the kept runs")] if kept else []
    grounds += [] if here else ["this run alone does not decide it"]
    return f"Why: {'; '.join(grounds)}."


def _supported(claims: Sequence[str], where: str) -> str:
    return f"{in_words(claims)} {'is' if len(claims) == 1 else 'are'} supported in {where}"


def _kept_support() -> list[str]:
    """Which of the claims that ask for the repair the kept runs support, by results/replication/claims.csv."""
    file = repository_root() / KEPT_CLAIMS
    if not file.is_file():
        return []
    verdicts = pd.read_csv(file).drop_duplicates("claim").set_index("claim")["claim_verdict"]
    return [name for name in REPAIRED_BY if verdicts.get(name) == str(Verdict.SUPPORTED)]


def _of_the_loss(root: Path) -> str:
    file = root / "objective" / "minima.csv"
    if not file.is_file():
        return ""
    ends = pd.read_csv(file)
    published, normalised = (ends_of(ends, DESCENT, target) for target in ("published", "normalised"))
    if published.empty or normalised.empty:
        return ""
    start, peak, end = (published[name].mean() for name in ("pesq_start", "pesq_peak", "pesq"))
    best, clips = normalised["pesq"].mean(), f"mean of {counted(len(published), 'clip')}"
    clips += "" if published["settled"].all() else ", not settled"
    if best - end <= MARGIN_PESQ:
        return (
            "In this run CMGAN's published training loss does not ask for worse speech: its minimum, found without a "
            f"network, has PESQ {end:.2f}, that of the repaired loss {best:.2f} ({clips})."
        )
    fell = peak - end > MARGIN_PESQ
    way = (
        f"from {start:.2f} up to {peak:.2f} and down again to {end:.2f}"
        if fell
        else f"from {start:.2f} to {end:.2f}"
    )
    return (
        "CMGAN's published training loss asks for worse speech: minimised by itself, without network or "
        f"discriminator, it takes PESQ {way}, at {published['gain'].mean():.2f} of the clean level; with the clean "
        f"signal scaled like the noisy one (the repaired loss) PESQ ends at {best:.2f} ({clips})."
    )


def _of_branches(root: Path) -> str:
    file = root / "branches" / "endpoints.csv"
    if not file.is_file():
        return ""
    ends = pd.read_csv(file)
    spoiled = differences(ends, GOOD, PUBLISHED, GOOD)
    repaired = differences(ends, PUBLISHED, GOOD, PUBLISHED)
    parts = []
    if len(spoiled):
        end = _by_seed(spoiled, "when they go on with the published one instead")
        parts.append(f"etworks trained with the repaired loss end {end}")
    if len(repaired):
        end = _by_seed(repaired, "when they go on with the repaired one")
        parts.append(f"etworks trained with the published loss end {end}")
    return f"N{'; n'.join(parts)}." if parts else ""


def _of_arms(compared: Comparison) -> str:
    table = compared.differences
    rows = table[(table["arm"] == GOOD) & (table["metric"] == "pesq") & (table["baseline"] == PUBLISHED)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    ends = _apart(row["difference"], row["low"], row["high"], "than those trained with the published one")
    return f"Networks trained from scratch with the repaired loss end {ends}; {counted(int(row['seeds']), 'seed')})."


def _by_seed(values: pd.Series, when: str) -> str:
    interval = seed_interval(values)
    same = int((values * interval.estimate > 0).sum())
    apart = _apart(interval.estimate, interval.low, interval.high, when)
    return f"{apart}; so in {same} of {counted(len(values), 'seed')})"


def _apart(difference: float, low: float, high: float, when: str) -> str:
    """How much lower or higher, and when, with a bracket that stays open."""
    bounds = (
        "no interval" if np.isnan(low) else f"95 % interval {number(low, '+.2f')} to {number(high, '+.2f')}"
    )
    return f"{abs(difference):.2f} PESQ {'lower' if difference < 0 else 'higher'} {when} ({bounds}"


def answer_frame(root: Path) -> pd.DataFrame:
    """PESQ while the loss alone is minimised, and while networks go on after a switch: rows for `answer_figure`.

    Columns: panel (`LOSS_ALONE` or the trunk), line (time target or arm), replicate (clip or seed), x (the objective,
    or training steps after the switch), order (iteration or step), pesq, noisy_pesq (of the unprocessed files, NaN
    without a network). Empty where the run has neither.
    """
    parts = []
    files = [root / "objective" / "descents.csv", root / "branches" / "curves.csv"]
    if files[0].is_file():
        way = pd.read_csv(files[0])
        way = way[(way["start"] == "noisy") & (way["loss_total"] > LEAST_OBJECTIVE)]
        columns = {"setting": "line", "clip": "replicate", "loss_total": "x", "iteration": "order"}
        parts.append(way.rename(columns=columns).assign(panel=LOSS_ALONE, noisy_pesq=np.nan)[COLUMNS])
    if files[1].is_file():
        noisy = pd.read_csv(root / "branches" / "noisy.csv")["pesq"].mean()
        curves = pd.read_csv(files[1])
        curves = curves[
            curves["trunk"].isin((GOOD, PUBLISHED)) & curves["arm"].isin((TRUNK, GOOD, PUBLISHED))
        ]
        columns = {"trunk": "panel", "arm": "line", "seed": "replicate", "step": "x"}
        curves = curves.rename(columns=columns).sort_values("panel", kind="stable")
        parts.append(curves.assign(order=curves["x"], noisy_pesq=round(noisy, 5))[COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def answer_figure(frame: pd.DataFrame) -> Figure:
    """PESQ of both losses: a panel for the loss alone and one for each trunk; frame of `answer_frame`."""
    panels = list(frame["panel"].unique())
    figure, axes = plt.subplots(1, len(panels), figsize=(TEXT_WIDTH, 2.2), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        rows = frame[frame["panel"] == panel]
        _lines(axis, rows)
        if panel == LOSS_ALONE:
            axis.set_xscale("log")
            axis.invert_xaxis()
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set(title="minimised without a network", xlabel="loss (lower: further right)")
        else:
            axis.axvline(0, color="0.2", linewidth=0.8, linestyle=":")
            axis.axhline(rows["noisy_pesq"].mean(), color=NOISY_COLOUR, linewidth=0.8, linestyle="--")
            trained = "repaired" if panel == GOOD else "published"
            axis.set(title=f"trained with the {trained} loss", xlabel="steps after the switch (dotted)")
    axes[0, 0].set_ylabel("PESQ")
    looks = {f"{name} loss": arm_style(arm) for name, arm in (("published", PUBLISHED), ("repaired", GOOD))}
    handles = [
        Line2D([], [], color=look["color"], linestyle=look["linestyle"], linewidth=2)
        for look in looks.values()
    ]
    labels = [*looks]
    if panels != [LOSS_ALONE]:
        handles += [
            Line2D([], [], color=TRUNK_COLOUR, linewidth=2),
            Line2D([], [], color=NOISY_COLOUR, linewidth=0.8, linestyle="--"),
        ]
        labels += ["before the switch", "noisy speech"]
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _lines(axis: Axes, rows: pd.DataFrame) -> None:
    """Thin lines for clips or seeds, a bold one for their mean; a branch begins where its trunk ends."""
    switch = rows[(rows["line"] == TRUNK) & (rows["order"] == 0)]
    for name, part in rows.groupby("line", sort=False):
        style = arm_style(STYLE_OF.get(name, name))
        look = (
            {"color": TRUNK_COLOUR} if name == TRUNK else {key: style[key] for key in ("color", "linestyle")}
        )
        if name != TRUNK:
            part = pd.concat([switch[switch["replicate"].isin(part["replicate"])], part])
        for _, way in part.groupby("replicate"):
            axis.plot(way["x"], way["pesq"], linewidth=0.5, alpha=0.35, **look)
        mean = part.groupby("order")[["x", "pesq"]].mean()
        # Where both losses lead the same way, the published one's end is to be seen.
        order = 3 if style == arm_style(PUBLISHED) else 2
        axis.plot(mean["x"], mean["pesq"], linewidth=2, zorder=order, **look)
        if name != TRUNK:
            axis.plot(*mean.iloc[-1], "o", markersize=4, color=look["color"], zorder=order)


def picture_in_words(frame: pd.DataFrame) -> list[str]:
    """What the panels show in this run: where each line begins, is highest and ends, means (Markdown)."""
    lines = []
    for panel, rows in frame.groupby("panel", sort=False):
        told = []
        for name, part in rows[rows["line"] != TRUNK].groupby("line", sort=False):
            mean = part.groupby("order")["pesq"].mean()
            loss = "repaired" if STYLE_OF.get(name, name) == GOOD else "published"
            told.append(f"the {loss} loss at {mean.iloc[-1]:.2f} (highest {mean.max():.2f})")
        where = "Without a network" if panel == LOSS_ALONE else f"From the trunk `{panel}`"
        lines.append(f"{where}, PESQ ends with {in_words(told)}.")
    return lines
