"""Branches as tables: curves around the switch, endpoints by seed, differences of endpoints."""

import re
from pathlib import Path

import pandas as pd

from cmgan.study.arms import ARMS
from cmgan.study.objective.minima import published_objective

TRUNK = "trunk"  # in the column of arms
MEASURES = ("pesq", "gain", "inconsistency", "objective")
BRANCH_FOLDER = re.compile(r"(?P<trunk>.+)-to-(?P<arm>.+)-(?P<seed>\d+)")


def curves(branches: Path, trunks: Path) -> pd.DataFrame:
    """Every validation of every trunk and finished branch: a row each, means over the utterances.

    branches: folder of trainings named TRUNK-to-ARM-SEED, whose trunks lie in `trunks` as TRUNK-SEED. Columns: trunk,
    arm ("trunk" before the switch), seed, step (after the switch; 0 and less on the trunk), pesq, gain,
    inconsistency, objective (published terms and weights without the metric loss, whatever was trained); in the order
    of `cmgan.study.arms`. Raises FileNotFoundError where no branch or not its trunk is there.
    """
    files: dict[tuple[str, str, int], Path] = {}
    for file in branches.glob("*-to-*/epochs.csv"):
        if match := BRANCH_FOLDER.fullmatch(file.parent.name):
            files[match["trunk"], match["arm"], int(match["seed"])] = file
            trunk = trunks / f"{match['trunk']}-{match['seed']}" / "epochs.csv"
            files[match["trunk"], TRUNK, int(match["seed"])] = trunk
    if not files:
        raise FileNotFoundError(f"{branches}: no branch was trained there; run the job first")
    order = {arm: place for place, arm in enumerate((TRUNK, *ARMS))}
    frames, switch = [], 0
    for (trunk, arm, seed), file in sorted(
        files.items(), key=lambda item: (order[item[0][0]], item[0][2], order[item[0][1]])
    ):
        table = pd.read_csv(file)
        if arm == TRUNK:
            switch = table["step"].max()
        objective = published_objective(table, "loss_time_published")
        rows = table.assign(objective=objective, step=table["step"] - switch)[["step", *MEASURES]]
        frames.append(rows.assign(trunk=trunk, arm=arm, seed=seed))
    return pd.concat(frames, ignore_index=True)


def endpoints(table: pd.DataFrame, validations: int) -> pd.DataFrame:
    """What branches are judged by: means of their last `validations`, a row a trunk, arm and seed.

    Columns trunk, arm, seed, those of `MEASURES`; arm "trunk" is the trunk itself at the switch. table: of `curves`.
    """
    keys = ["trunk", "arm", "seed"]
    branches = table[table["arm"] != TRUNK].sort_values("step")
    ends = branches.groupby(keys, sort=False).tail(validations).groupby(keys, sort=False)[list(MEASURES)]
    switch = table[(table["arm"] == TRUNK) & (table["step"] == 0)]
    return pd.concat([switch[[*keys, *MEASURES]], ends.mean().reset_index()], ignore_index=True)


def differences(
    ends: pd.DataFrame, trunk: str, branch: str, other: str, other_trunk: str = "", measure: str = "pesq"
) -> pd.Series:
    """Endpoint of one branch − that of another (or of a trunk at the switch), by seed; seeds that have both.

    other_trunk: what `other` goes on from, "" for the same trunk.
    """
    table = ends.pivot(index="seed", columns=["trunk", "arm"], values=measure)
    first, second = (trunk, branch), (other_trunk or trunk, other)
    if not {first, second} <= set(table):
        return pd.Series(dtype=float)
    return (table[first] - table[second]).dropna()
