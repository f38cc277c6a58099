"""What the numbers of a run say: sentences put together from the tables, none written before the data."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cmgan.statistics import MARGIN_PESQ, seed_interval
from cmgan.study.training.tables import LABELS, LOSSES
from cmgan.study.wording import bounds, code, in_words, number

# More arms than this are named without their numbers.
LISTED_ARMS = 5
FELL, HELD, UNCLEAR = "fell", "held", "unclear"
RULE = (
    "An arm's PESQ is said to fall when the 95 % interval over seeds of its fall, from the highest epoch to the "
    f"last, lies above {MARGIN_PESQ}, and to hold when that interval lies below {MARGIN_PESQ} and there is more "
    "than one epoch; anything else is unclear. Each utterance's fall is measured from the epoch that is best for the "
    "others, so that picking a maximum does not count as a fall. Square brackets hold 95 % t intervals over "
    "seeds: a training is repeated by another seed, not by another utterance."
)
MOVED = ("loss_total", *LOSSES, "gain", "inconsistency", "phase_error")
NAMES = {name: LABELS[name] for name in MOVED}


def falls_over_seeds(falls: pd.DataFrame) -> pd.DataFrame:
    """A row an arm (index): fall with low and high over its seeds, mean peak and final, verdict by `RULE`.

    falls: frame of `training.tables.pesq_falls`; verdict: `FELL`, `HELD` or `UNCLEAR`.
    """
    rows = {}
    for arm, runs in falls.groupby("arm", sort=False):
        fall = seed_interval(runs["fall"])
        fell = fall.low > MARGIN_PESQ
        held = fall.high < MARGIN_PESQ and (runs["final_epoch"] > 1).all()
        verdict = FELL if fell else HELD if held else UNCLEAR
        rows[arm] = fall.columns("fall") | dict(runs[["peak", "final"]].mean()) | {"verdict": verdict}
    return pd.DataFrame.from_dict(rows, orient="index")


def falls_in_words(falls: pd.DataFrame) -> list[str]:
    """One sentence for each verdict that some arm has, with every arm's fall and its interval.

    falls: frame of `training.tables.pesq_falls`.
    """
    span = f"within {falls['final_epoch'].max()} epochs"
    openings = {
        FELL: f"PESQ on the validation utterances fell from its highest epoch to the last {span} in",
        HELD: f"PESQ did not fall by {MARGIN_PESQ} or more {span} in",
        UNCLEAR: f"Whether PESQ fell {span} is not clear in",
    }
    by_arm = falls_over_seeds(falls)
    sentences = []
    for verdict, opening in openings.items():
        rows = by_arm[by_arm["verdict"] == verdict]
        details = [
            f"from {row.peak:.2f} to {row.final:.2f}: fall {number(row.fall)} {bounds(row.low, row.high)}"
            for row in rows.itertuples()
        ]
        if details:
            sentences.append(f"{opening} {_listed(rows.index, details, rows['fall'], '.2f')}.")
    return sentences


def what_losses_did(falls: pd.DataFrame, changes: pd.DataFrame) -> list[str]:
    """What losses, gain and inconsistency did while PESQ fell, in the first arm that fell; nothing when none did.

    changes: frame of `training.tables.since_peak`; values are means over seeds.
    """
    fallen = [arm for arm, verdict in falls_over_seeds(falls)["verdict"].items() if verdict == FELL]
    if not fallen:
        return []
    means = changes[changes["arm"] == fallen[0]].groupby("quantity")[["at_peak", "final"]].mean()
    change = (means["final"] - means["at_peak"])[list(NAMES)]
    is_loss = change.index.str.startswith("loss")
    parts = []
    for names, verb in (
        (change.index[is_loss & (change < 0)], " improved"),
        (change.index[is_loss & (change > 0)], " got worse"),
        (change.index[~is_loss], ""),
    ):
        moves = [
            f"{NAMES[name]} {means['at_peak'][name]:#.3g} → {means['final'][name]:#.3g}" for name in names
        ]
        if moves:
            parts.append(f"{in_words(moves)}{verb}")
    return [f"While PESQ fell in {code(fallen[0])} (means of its seeds): {'; '.join(parts)}."]


def differences_in_words(table: pd.DataFrame) -> list[str]:
    """How each arm's final test PESQ stands to the baseline's, a sentence for each relation that some arm has.

    table: frame of `evaluation.differences`.
    """
    rows = table[table["metric"] == "pesq"]
    rows = rows.assign(relation=[_relation(row) for row in rows.itertuples()])
    sentences = []
    for relation, group in rows.groupby("relation", sort=False):
        details = []
        for row in group.itertuples():
            interval = f"{number(row.difference, '+.2f')} {bounds(row.low, row.high, '+.2f')}"
            ends = f", seeds {number(row.smallest, '+.2f')} to {number(row.largest, '+.2f')}"
            details.append(interval + ends if row.seeds > 1 else interval)
        listed = _listed(group["arm"], details, group["difference"], "+.2f")
        sentences.append(f"Final test PESQ {relation} {code(group['baseline'].iloc[0])} in {listed}.")
    return sentences


def _relation(row: NamedTuple) -> str:
    if row.utterances == 0:
        return "cannot be compared with that of"
    if np.isnan(row.low):
        return "has too few seeds for an interval against that of"
    if max(abs(row.low), abs(row.high)) < MARGIN_PESQ:
        return f"is within {MARGIN_PESQ} of that of"
    if row.low <= 0 <= row.high:
        return "is not clearly apart from that of"
    return f"is {'higher' if row.difference > 0 else 'lower'} than that of"


def skips_in_words(skips: pd.DataFrame) -> str:
    """How often the discriminator's step was skipped; skips: frame of `training.tables.skip_rates`."""
    rows = skips[skips["labels"] == "skip_batch"]
    if rows.empty:
        return "No arm of this run skips a batch when PESQ fails."
    if len(rows) > LISTED_ARMS:
        least, most = (number(share, ".1%") for share in (rows["share"].min(), rows["share"].max()))
        found = f"{least} to {most} of the steps, depending on which of {len(rows)} arms that skip batches"
    else:
        found = in_words(
            f"{number(row.share, '.1%')} {bounds(row.low, row.high, '.1%')} of {row.steps} steps in {code(row.arm)}"
            + (
                f", {row.injected} of its {row.failures} failures put there on purpose"
                if row.injected
                else ""
            )
            for row in rows.itertuples()
        )
    return f"PESQ failed and the discriminator's step was skipped in {found}."


def identical_in_words(groups: Iterable[Sequence[str]]) -> list[str]:
    """Which arms gave the same numbers throughout; groups: from `training.tables.identical_arms`."""
    return [
        f"{in_words(map(code, group))} gave exactly the same numbers in every epoch: what sets them apart did not "
        "come into play in this run."
        for group in groups
    ]


def _listed(arms: Sequence[str], details: Sequence[str], values: Sequence[float], style: str) -> str:
    """Each arm with its detail; of many arms the names and the range of the values, since tables hold the rest."""
    if len(arms) <= LISTED_ARMS:
        return in_words(f"{code(arm)} ({detail})" for arm, detail in zip(arms, details, strict=True))
    low, high = (number(value, style) for value in (min(values), max(values)))
    return f"{in_words(map(code, arms))} ({low} to {high}; each in the tables below)"
