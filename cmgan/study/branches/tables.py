"""Branches as tables: curves around the switch, endpoints by seed, and the plan's predictions judged over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import ttest_1samp

from cmgan.statistics import Interval, seed_interval
from cmgan.study.branches.job import BranchPlan
from cmgan.study.objective.minima import published_objective

TRUNK = "trunk"  # in the column of arms
MEASURES = ("pesq", "gain", "inconsistency", "objective")
ERROR = 0.05  # of the primary prediction, and of all others together
Verdict = Literal["supported", "refuted", "inconclusive", "not trained"]


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


def curves(training: Path, plan: BranchPlan) -> pd.DataFrame:
    """Every validation of every trunk and finished branch: a row each, means over the utterances.

    Columns: trunk, arm ("trunk" before the switch), seed, step (after the switch; 0 and less on the trunk), pesq,
    gain, inconsistency, objective (published terms and weights without the metric loss, whatever was trained).
    Raises FileNotFoundError where no trunk is there.
    """
    frames = []
    for seed, trunk in product(plan.seeds, plan.trunks):
        names = {TRUNK: trunk} | {
            branch.arm: branch.name for branch in plan.branches if branch.trunk == trunk
        }
        files = {arm: training / f"{name}-{seed}" / "epochs.csv" for arm, name in names.items()}
        there = {arm: pd.read_csv(file) for arm, file in files.items() if file.is_file()}
        for arm, table in there.items():
            objective = published_objective(table, "loss_time_published")
            step = table["step"] - there[TRUNK]["step"].max()
            rows = table.assign(objective=objective, step=step)[["step", *MEASURES]]
            frames.append(rows.assign(trunk=trunk, arm=arm, seed=seed))
    if not frames:
        raise FileNotFoundError(f"{training}: no trunk of the plan was trained there; run the job first")
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
    passed = [holm([tests[number][side] for number in others]) for side in (0, 1)]
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
                verdict if complete[number] else "not trained",
            )
        )
    return judged


def holm(p_values: Sequence[float], error: float = ERROR) -> list[bool]:
    """Which of several tests pass at a family-wise `error`; Holm, Scandinavian Journal of Statistics 6 (1979)."""
    passed = [False] * len(p_values)
    for rank, index in enumerate(np.argsort(p_values)):
        if p_values[index] > error / (len(p_values) - rank):
            break
        passed[index] = True
    return passed


def power(
    effects: Iterable[float], deviation: float, seeds: int, draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    """How often the primary rule (below −0.1) is supported or refuted when seeds scatter normally around an effect.

    deviation: standard deviation of a difference between seeds, in PESQ. Columns effect, seeds, supported, refuted
    (shares of `draws` simulated studies).
    """
    rows = []
    for effect in effects:
        values = rng.normal(effect, deviation, (draws, seeds))
        low, high = (
            ttest_1samp(values, PREDICTIONS[0].margin, axis=1, alternative=side).pvalue
            for side in ("less", "greater")
        )
        shares = {"supported": (low < ERROR / 2).mean(), "refuted": (high < ERROR / 2).mean()}
        rows.append({"effect": effect, "seeds": seeds} | shares)
    return pd.DataFrame(rows)


def _p_values(values: np.ndarray, prediction: Prediction) -> tuple[float, float]:
    """One-sided t tests against the margin: for the rule, and for its opposite."""
    sides = ("less", "greater") if prediction.relation == "below" else ("greater", "less")
    return tuple(ttest_1samp(values, prediction.margin, alternative=side).pvalue for side in sides)
