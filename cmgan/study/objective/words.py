"""What the objective's minima say: sentences put together from their tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.statistics import MARGIN_PESQ, seed_interval
from cmgan.study.arms import arm_label
from cmgan.study.comparison.clip import CLEAN, GAIN, HEARD, INCONSISTENCY, PESQ, WRITTEN
from cmgan.study.objective.minima import (
    DESCENT,
    SWEEP,
    ends_of,
    largest_harmless_weight,
    setting_label,
    starts_apart,
)
from cmgan.study.wording import counted, in_words, mean_in_words, number

MEETING = 0.05  # PESQ that the minima from two starts may differ by


def descent_in_words(ends: pd.DataFrame) -> list[str]:
    """What PESQ does on the way to the minimum of each objective, from each start; ends: minima.csv."""
    lines = []
    for (setting, start), rows in ends[ends["part"] == DESCENT].groupby(["setting", "start"], sort=False):
        fallen = int((rows["pesq_peak"] - rows["pesq"] > MARGIN_PESQ).sum())
        lines.append(
            f"The {setting} objective, minimised from the {start} speech: PESQ {_mean(rows['pesq_start'])}, on the "
            f"way at most {_mean(rows['pesq_peak'])}, at the minimum {_mean(rows['pesq'])}; it fell by more than "
            f"{MARGIN_PESQ:g} on {fallen} of {len(rows)} clips, while the objective went from "
            f"{rows['loss_start'].mean():.3f} to {rows['loss_total'].mean():.4f}. Gain {_mean(rows['gain'])}, "
            f"inconsistency {_mean(rows['inconsistency'])} there."
        )
    return lines


def answer_in_words(ends: pd.DataFrame) -> str:
    """The finding in two sentences, for the first lines of a report."""
    from_clean = ends_of(ends, DESCENT, "published", "clean")
    from_noisy, normalised = (ends_of(ends, DESCENT, target) for target in ("published", "normalised"))
    if from_clean.empty or from_noisy.empty or normalised.empty:
        return ""
    ratio = (from_clean["loss_start"] / from_clean["loss_total"]).mean()
    return (
        f"The published loss rates clean speech {ratio:.1f} times as bad as a signal at "
        f"{from_clean['gain'].mean():.2f} of its level with PESQ {from_clean['pesq'].mean():.2f}: "
        "minimised without any network, it takes PESQ from "
        f"{from_noisy['pesq_start'].mean():.2f} to at most {from_noisy['pesq_peak'].mean():.2f} on the way and "
        f"{from_noisy['pesq'].mean():.2f} at its end (mean of {counted(len(from_noisy), 'clip')}). "
        "With the clean signal scaled like the estimate in the time loss, the same loss ends at "
        f"{normalised['pesq'].mean():.2f}."
    )


def convergence_in_words(ends: pd.DataFrame) -> list[str]:
    """Whether the descents had settled, and whether both starts met."""
    descents = ends[ends["part"] == DESCENT]
    lines = []
    unsettled = descents[~descents["settled"].astype(bool)]
    named = [f"{row.clip} ({row.setting}, from {row.start})" for row in unsettled.itertuples()]
    lines.append(
        f"{len(descents) - len(unsettled)} of {len(descents)} descents had settled by the stated criterion"
        + (f"; not: {in_words(named)}." if named else ".")
    )
    for setting in descents["setting"].unique():
        apart = starts_apart(ends, setting)
        if len(apart):
            met = int((apart.abs() < MEETING).sum())
            lines.append(
                f"The {setting} objective's minima from both starts lie within {MEETING:g} PESQ of each other on "
                f"{met} of {len(apart)} clips, at most {apart.abs().max():.2f} apart, on average "
                f"{number(apart.mean(), '+.2f')}"
                + (": they did not meet on every clip." if met < len(apart) else ".")
            )
    return lines


def clip_in_words(frame: pd.DataFrame) -> list[str]:
    """What each column of a clip's figure holds, and how much of what is written cancels in the waveform (Markdown).

    frame: of `comparison.clip.view_rows`, several names below one another; the clean clip is not told.
    """
    lines = []
    for name, rows in frame[frame["arm"] != CLEAN].groupby("arm", sort=False):
        values = rows.set_index("view")["value"]
        written, heard = (10 * np.log10((10 ** (values[view] / 10)).mean()) for view in (WRITTEN, HEARD))
        lines.append(
            f"{arm_label(name)}: PESQ {number(values[PESQ])}, gain {number(values[GAIN])}, inconsistency "
            f"{number(values[INCONSISTENCY])}; the spectrum of its waveform lies {number(written - heard, '.1f')} dB "
            "below the one that is written."
        )
    return lines


def doses_in_words(ends: pd.DataFrame) -> list[str]:
    """How the minimum moves with the normalisation's gain and the time loss's weight, and where the theory fails."""
    lines = []
    for kind, what in (("gain", "a gain of"), ("time_weight", "a time weight of")):
        rows = ends[(ends["part"] == SWEEP) & ends["setting"].str.startswith(f"{kind}=")]
        if rows.empty:
            continue
        means = rows.groupby("value")[["pesq", "gain", "predicted_gain"]].mean()
        listed = in_words(f"{value:g}: {row.pesq:.2f}" for value, row in means.iterrows())
        lines.append(f"PESQ at the published objective's minimum, at {what} {listed}.")
        worst = (means["gain"] - means["predicted_gain"]).abs().idxmax()
        scaled, found = (
            in_words(f"{gain:.2f}" for gain in means[name]) for name in ("predicted_gain", "gain")
        )
        lines.append(
            f"Scaling the clean speech alone would give the gains {scaled}; the minima have {found}. They differ "
            f"most at {worst:g}, where frames cancel one another, which those of a scaled signal cannot."
        )
    weight = largest_harmless_weight(ends)
    if np.isfinite(weight):
        lines.append(
            f"The largest tried time weight that costs less than {MARGIN_PESQ:g} PESQ against the normalised target "
            f"is {weight:g}."
        )
    return lines


def settings_in_words(ends: pd.DataFrame) -> list[str]:
    """The minima of the paper's weights, of MP-SENet's objective, and with frozen discriminators."""
    others = ends["setting"].str.startswith(("paper_weights", "mpsenet", "metric"))
    lines = []
    for setting, rows in ends[(ends["part"] == SWEEP) & others].groupby("setting", sort=False):
        label = setting_label(setting)
        words = f"{label[0].upper()}{label[1:]}: PESQ {_mean(rows['pesq'])}, gain {rows['gain'].mean():.2f}."
        lines.append(words)
    return lines


def plane_in_words(plane: pd.DataFrame) -> list[str]:
    """How far trained networks came on the plane, arm by arm, against the descent of the published objective."""
    networks = plane[plane["kind"] == "network"]
    descent = plane[(plane["kind"] == "descent") & (plane["label"] == "published")].sort_values("order")
    if networks.empty or descent.empty:
        return []
    best = descent.loc[descent["pesq"].idxmax(), "objective"]
    lines = [
        f"The descent reaches its highest PESQ at an objective of {best:.3f} and ends at "
        f"{descent['objective'].iloc[-1]:.3f}."
    ]
    for arm, rows in networks.groupby("label", sort=False):
        last = rows.sort_values("order").groupby("seed").last()
        lines.append(
            f"`{arm}` ends at {last['objective'].mean():.3f} with PESQ {last['pesq'].mean():.2f}, gain "
            f"{last['gain'].mean():.2f} and inconsistency {last['inconsistency'].mean():.2f} (mean of "
            f"{counted(len(last), 'seed')})."
        )
    return lines


def objective_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/objective for the report; none where 03_objective was not run."""
    file = run_root / "objective" / "minima.csv"
    if not file.is_file():
        return []
    ends = pd.read_csv(file)
    tellers = (descent_in_words, convergence_in_words, doses_in_words, settings_in_words)
    return [line for tell in tellers for line in tell(ends)]


def objective_answer(run_root: Path) -> str:
    """`answer_in_words` of a run's minima, empty where there are none."""
    file = run_root / "objective" / "minima.csv"
    return answer_in_words(pd.read_csv(file)) if file.is_file() else ""


def _mean(values: pd.Series) -> str:
    interval = seed_interval(values.dropna())
    return mean_in_words(interval) if np.isfinite(interval.low) else number(interval.estimate)
