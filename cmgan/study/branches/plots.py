"""The figure of the branches: each measure against training steps, the switch marked."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmgan.study.arms import NOISY_COLOUR, arm_label, arm_line
from cmgan.study.branches.tables import TRUNK
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.objective.plots import PANELS as OF_SPEECH
from cmgan.study.wording import counted

PANELS = OF_SPEECH | {"objective": "published objective"}


def branches(frame: pd.DataFrame) -> Figure:
    """PESQ, gain, inconsistency and objective against steps, a column a trunk; thin lines seeds, bold ones means.

    Columns: trunk, arm ("trunk" before the switch), seed, step (0 at the switch), pesq, gain, inconsistency,
    objective, noisy_pesq (of the unprocessed utterances). A branch is drawn from the trunk's last point on.
    """
    trunks = list(frame["trunk"].unique())
    figure, grid = plt.subplots(
        len(PANELS), len(trunks), figsize=(TEXT_WIDTH, 6.4), sharex="col", sharey="row", squeeze=False
    )
    for column, trunk in enumerate(trunks):
        rows = frame[frame["trunk"] == trunk]
        seeds = rows["seed"].nunique()
        for axis, (measure, label) in zip(grid[:, column], PANELS.items(), strict=True):
            before = rows[rows["arm"] == TRUNK]
            for number, (arm, part) in enumerate(rows.groupby("arm", sort=False)):
                look = _look(arm)
                # Narrower from arm to arm: one that goes where another went leaves it to be seen as an edge.
                width = max(3.4 - 0.7 * number, 1.2)
                if arm != TRUNK:
                    start = before[(before["step"] == 0) & before["seed"].isin(part["seed"])]
                    part = pd.concat([start, part])
                table = part.pivot(index="step", columns="seed", values=measure)
                axis.plot(table.index, table, linewidth=0.5, alpha=0.35, **look)
                axis.plot(table.index, table.mean(axis=1), linewidth=width, **look)
            axis.axvline(0, color="0.2", linewidth=0.8, linestyle=":")
            if measure == "pesq":
                axis.axhline(frame["noisy_pesq"].mean(), color=NOISY_COLOUR, linewidth=0.8, linestyle="--")
            if column == 0:
                axis.set_ylabel(label)
        grid[0, column].set_title(f"trunk: {arm_label(trunk)}, n = {counted(seeds, 'seed')}")
        grid[-1, column].set_xlabel("steps after the switch (dotted)")
        # A legend a trunk: colours of arms repeat, within the branches of one trunk they do not.
        arms = list(rows["arm"].unique())
        handles = [Line2D([], [], linewidth=2, **_look(arm)) for arm in arms]
        handles.append(Line2D([], [], color=NOISY_COLOUR, linewidth=0.8, linestyle="--"))
        labels = [*map(arm_label, arms), "noisy speech"]
        grid[-1, column].legend(
            handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.4), ncols=2, frameon=False
        )
    return figure


def _look(arm: str) -> dict[str, str]:
    return {"color": "0.45", "linestyle": "-"} if arm == TRUNK else arm_line(arm)
