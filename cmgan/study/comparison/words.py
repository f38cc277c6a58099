"""What the numbers of a run say: sentences put together from the tables, none written before the data."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cmgan.study.margins import MARGIN_PESQ

# More arms than this are named without their numbers.
LISTED_ARMS = 5
FELL, HELD, UNCLEAR = "fell", "held", "unclear"
RULE = (
    "An arm's PESQ is said to fall when, for every seed, the 95 % interval of its fall from the highest epoch to the "
    f"last lies above {MARGIN_PESQ}, and to hold when every such interval lies below {MARGIN_PESQ} and "
    "there is more than one epoch; anything else is unclear. Each utterance's fall is measured from the epoch that "
    "is best for the other utterances, so that picking a maximum does not count as a fall. Square brackets hold 95 % "
    "intervals over utterances, for these trained networks."
)
NAMES = {
    "loss_total": "total loss",
    "loss_magnitude": "magnitude loss",
    "loss_time_published": "time loss (published target)",
    "loss_time_normalised": "time loss (normalised target)",
    "gain": "gain of the estimate",
    "inconsistency": "spectral inconsistency",
    "phase_error": "phase error in rad",
}


def fall_verdicts(falls: pd.DataFrame) -> dict[str, str]:
    """`FELL`, `HELD` or `UNCLEAR` for every arm, by `RULE`; falls: frame of `comparison.pesq_falls`."""
    verdicts = {}
    for arm, runs in falls.groupby("arm", sort=False):
        if (runs["low"] > MARGIN_PESQ).all():
            verdicts[arm] = FELL
        elif (runs["high"] < MARGIN_PESQ).all() and (runs["final_epoch"] > 1).all():
            verdicts[arm] = HELD
        else:
            verdicts[arm] = UNCLEAR
    return verdicts


def falls_in_words(falls: pd.DataFrame, by_arm: pd.DataFrame) -> list[str]:
    """One sentence for each verdict that some arm has, with every arm's fall and its interval.

    falls, by_arm: frames of `comparison.pesq_falls` and `comparison.falls_by_arm`.
    """
    verdicts = fall_verdicts(falls)
    span = f"within {falls['final_epoch'].max()} epochs"
    sentences = []
    for verdict, opening in (
        (FELL, f"PESQ on the validation utterances fell from its highest epoch to the last {span} in"),
        (HELD, f"PESQ did not fall by {MARGIN_PESQ} or more {span} in"),
        (UNCLEAR, f"Whether PESQ fell {span} is not clear in"),
    ):
        arms = [arm for arm, given in verdicts.items() if given == verdict]
        if arms:
            rows = by_arm[by_arm["arm"].isin(arms)]
            details = [_fall_of(arm, falls, by_arm) for arm in arms]
            sentences.append(f"{opening} {_listed(arms, details, rows['fall'], '.2f')}.")
    return sentences


def what_losses_did(falls: pd.DataFrame, changes: pd.DataFrame) -> list[str]:
    """What losses, gain and inconsistency did while PESQ fell, in the first arm that fell; nothing when none did.

    changes: frame of `comparison.since_peak`; values are means over seeds.
    """
    fallen = [arm for arm, verdict in fall_verdicts(falls).items() if verdict == FELL]
    if not fallen:
        return []
    arm = fallen[0]
    means = changes[changes["arm"] == arm].groupby("quantity")[["at_peak", "final"]].mean()
    losses = [name for name in NAMES if name.startswith("loss")]
    parts = []
    for sign, verb in ((-1, "improved"), (1, "got worse")):
        moved = [
            name for name in losses if sign * (means.loc[name, "final"] - means.loc[name, "at_peak"]) > 0
        ]
        if moved:
            parts.append(f"{in_words(_from_to(means, name) for name in moved)} {verb}")
    parts.append(f"{in_words(_from_to(means, name) for name in NAMES if name not in losses)}")
    return [f"While PESQ fell in {code(arm)} (means of its seeds): {'; '.join(parts)}."]


def differences_in_words(table: pd.DataFrame) -> list[str]:
    """How each arm's final test PESQ stands to the baseline's, a sentence for each relation that some arm has.

    table: frame of `comparison.differences`.
    """
    rows = table[table["metric"] == "pesq"]
    relations = [_relation(row) for row in rows.itertuples()]
    sentences = []
    for relation in dict.fromkeys(relations):
        arms = [row for row, own in zip(rows.itertuples(), relations, strict=True) if own == relation]
        details = [f"{code(row.arm)} ({_difference(row)})" for row in arms]
        listed = _listed([row.arm for row in arms], details, [row.difference for row in arms], "+.2f")
        sentences.append(f"Final test PESQ {relation} {code(arms[0].baseline)} in {listed}.")
    return sentences


def skips_in_words(skips: pd.DataFrame) -> str:
    """How often the discriminator's step was skipped; skips: frame of `comparison.skip_rates`."""
    rows = skips[(skips["labels"] == "skip_batch")]
    if rows.empty:
        return "No arm of this run skips a batch when PESQ fails."
    parts = [
        f"{number(row.share, '.1%')} {bounds(row.low, row.high, '.1%')} of {row.steps} steps in {code(row.arm)}"
        + (f", {row.injected} of its {row.failures} failures put there on purpose" if row.injected else "")
        for row in rows.itertuples()
    ]
    if len(parts) > LISTED_ARMS:
        least, most = (number(share, ".1%") for share in (rows["share"].min(), rows["share"].max()))
        parts = [f"{least} to {most} of the steps, depending on which of {len(rows)} arms that skip batches"]
    return f"PESQ failed and the discriminator's step was skipped in {in_words(parts)}."


def identical_in_words(groups: Iterable[Sequence[str]]) -> list[str]:
    """Which arms gave the same numbers throughout; groups: from `comparison.identical_arms`."""
    return [
        f"{in_words(map(code, group))} gave exactly the same numbers in every epoch: what sets them apart did not "
        "come into play in this run."
        for group in groups
    ]


def number(value: float, style: str = ".2f") -> str:
    """A number with a true minus sign, no negative zero, and a space before a percent sign."""
    text = f"{value:{style}}"
    if not text.strip("+-0.%"):
        text = text.lstrip("+-")
    return text.replace("-", "−").replace("%", " %")


def bounds(low: float, high: float, style: str = ".2f") -> str:
    """`[low, high]`; says so when there is no interval."""
    if np.isnan(low) or np.isnan(high):
        return "[no interval]"
    return f"[{number(low, style)}, {number(high, style)}]"


def in_words(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def code(arm: str) -> str:
    """An arm's name as Markdown code."""
    return f"`{arm}`"


def _listed(arms: Sequence[str], details: Sequence[str], values: Iterable[float], style: str) -> str:
    """Each arm with its detail; of many arms the names and the range of the values, since tables hold the rest."""
    if len(arms) <= LISTED_ARMS:
        return in_words(details)
    low, high = (number(value, style) for value in (min(values), max(values)))
    return f"{in_words(map(code, arms))} ({low} to {high}; each in the tables below)"


def _fall_of(arm: str, falls: pd.DataFrame, by_arm: pd.DataFrame) -> str:
    runs, mean = falls[falls["arm"] == arm], by_arm.set_index("arm").loc[arm]
    return (
        f"{code(arm)} (from {runs['peak'].mean():.2f} to {runs['final'].mean():.2f}: "
        f"fall {number(mean['fall'])} {bounds(mean['low'], mean['high'])})"
    )


def _relation(row: tuple) -> str:
    ends = (row.low, row.high, row.smallest, row.largest)
    if row.utterances == 0:
        return "cannot be compared with that of"
    if np.isnan(row.low):
        return "has too few utterances for an interval against that of"
    if max(map(abs, ends)) < MARGIN_PESQ:
        return f"is within {MARGIN_PESQ} of that of"
    if row.low <= 0 <= row.high:
        return "is not clearly apart from that of"
    disagreement = "" if row.smallest * row.largest > 0 else ", though the seeds disagree in sign,"
    return f"is {'higher' if row.difference > 0 else 'lower'}{disagreement} than that of"


def _difference(row: tuple) -> str:
    interval = f"{number(row.difference, '+.2f')} {bounds(row.low, row.high, '+.2f')}"
    if row.seeds < 2:
        return interval
    return f"{interval}, seeds {number(row.smallest, '+.2f')} to {number(row.largest, '+.2f')}"


def _from_to(means: pd.DataFrame, name: str) -> str:
    return f"{NAMES[name]} {means.loc[name, 'at_peak']:#.3g} → {means.loc[name, 'final']:#.3g}"
