"""Branches as tables: curves around the switch, endpoints by seed, and the plan's predictions judged over seeds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp

from cmgan.statistics import ERROR, Interval, holm, seed_interval
from cmgan.study.arms import ARMS
from cmgan.study.objective.minima import published_objective

TRUNK = "trunk"  # in the column of arms
MEASURES = ("pesq", "gain", "inconsistency", "objective")
BRANCH_FOLDER = re.compile(r"(?P<trunk>.+)-to-(?P<arm>.+)-(?P<seed>\d+)")
Verdict = Literal["supported", "refuted", "inconclusive", "seeds missing", "not trained"]


@dataclass(frozen=True)
class Prediction:
    """A rule on the difference of two endpoints, branch − other, seed by seed; see results/branches/PLAN.md.

    other: an arm trained on from the same trunk, or "trunk" for the trunk itself at the switch.
    """

    id: str
    says: str
    trunk: str
    branch: str
    other: str
    relation: Literal["below", "above"]
    margin: float


PREDICTIONS = (
    Prediction(
        "B1",
        "the published target alone makes a good network worse than the one that stays",
        "normalised_target",
        "published",
        "normalised_target",
        "below",
        -0.1,
    ),
    Prediction(
        "B2",
        "after the switch to the published target PESQ falls below where it stood",
        "normalised_target",
        "published",
        TRUNK,
        "below",
        -0.1,
    ),
    Prediction(
        "B3",
        "the normalised target alone repairs a network trained with the published one",
        "published",
        "normalised_target",
        "published",
        "above",
        0.1,
    ),
    Prediction(
        "B4",
        "with the debugging effort's fix the published target does the same harm",
        "normalised_target",
        "batch_mean_fix",
        "normalised_target",
        "below",
        -0.1,
    ),
    Prediction(
        "B5",
        "the debugging effort's fix does not hold the fall up",
        "normalised_target",
        "batch_mean_fix",
        "published",
        "below",
        0.1,
    ),
    Prediction(
        "B6",
        "with recordings scaled to RMS 1 the published target does no harm",
        "normalised_target",
        "published_rms_1",
        "normalised_target",
        "above",
        -0.1,
    ),
    Prediction(
        "B7",
        "skipping nine in ten discriminator steps does no harm under the normalised target",
        "normalised_target",
        "normalised_skip_90",
        "normalised_target",
        "above",
        -0.1,
    ),
    Prediction(
        "B8",
        "the debugging effort's fix does not repair a network trained with the published target",
        "published",
        "batch_mean_fix",
        "published",
        "below",
        0.1,
    ),
)


@dataclass(frozen=True)
class Judged:
    """A prediction, the differences it was judged by (one a seed), their mean with 95 % t interval, the verdict."""

    prediction: Prediction
    differences: tuple[float, ...]
    interval: Interval
    verdict: Verdict


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


def differences(ends: pd.DataFrame, trunk: str, branch: str, other: str, measure: str = "pesq") -> pd.Series:
    """Endpoint of one branch − that of another (or of the trunk at the switch), by seed; seeds that have both."""
    table = ends[ends["trunk"] == trunk].pivot(index="seed", columns="arm", values=measure)
    if not {branch, other} <= set(table):
        return pd.Series(dtype=float)
    return (table[branch] - table[other]).dropna()


def judge(ends: pd.DataFrame, seeds: int, predictions: Sequence[Prediction] = PREDICTIONS) -> list[Judged]:
    """Every prediction judged over seeds: the first (primary) by its 95 % interval, the others by Holm's procedure.

    A prediction whose branches were not trained for all `seeds` is not judged.
    """
    found = [differences(ends, p.trunk, p.branch, p.other).to_numpy() for p in predictions]
    complete = [len(values) == seeds and seeds > 1 for values in found]
    tests = {
        number: _p_values(values, prediction)
        for number, (values, prediction) in enumerate(zip(found, predictions, strict=True))
        if complete[number]
    }
    others = [number for number in tests if number > 0]
    passed = [[p < ERROR for p in holm([tests[number][side] for number in others])] for side in (0, 1)]
    # The primary's two-sided 95 % interval: one side of it is a one-sided test at half the error.
    decided = {0: tuple(p < ERROR / 2 for p in tests[0])} if 0 in tests else {}
    decided |= {number: (passed[0][i], passed[1][i]) for i, number in enumerate(others)}
    judged = []
    for number, (prediction, values) in enumerate(zip(predictions, found, strict=True)):
        supported, refuted = decided.get(number, (False, False))
        verdict = "supported" if supported else "refuted" if refuted else "inconclusive"
        judged.append(
            Judged(
                prediction,
                tuple(values),
                seed_interval(values),
                verdict if complete[number] else "seeds missing" if len(values) else "not trained",
            )
        )
    return judged


def _p_values(values: np.ndarray, prediction: Prediction) -> tuple[float, float]:
    """One-sided t tests against the margin: for the rule, and for its opposite."""
    sides = ("less", "greater") if prediction.relation == "below" else ("greater", "less")
    return tuple(ttest_1samp(values, prediction.margin, alternative=side).pvalue for side in sides)
