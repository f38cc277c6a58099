"""What is read off the table of minima, for figures, words and claims; takes neither torch nor a network."""

import numpy as np
import pandas as pd

# Parts of minima.csv: descents from both starts, and sweeps over other objectives from the noisy speech.
DESCENT, SWEEP = "descent", "sweep"
STARTS = ("noisy", "clean")


def dose_frame(ends: pd.DataFrame) -> pd.DataFrame:
    """The minima of the doses for `plots.objective_doses`, with those of the normalised target to compare with."""
    swept = ends[ends["part"] == SWEEP]
    kinds = {"gain=": "gain", "time_weight=": "time weight"}
    parts = [
        swept[swept["setting"].str.startswith(start)].assign(sweep=kind) for start, kind in kinds.items()
    ]
    parts.append(swept[swept["setting"] == "normalised"].assign(sweep="normalised"))
    columns = ["sweep", "value", "clip", "pesq", "gain", "predicted_gain"]
    return pd.concat(parts, ignore_index=True)[columns]


def settings_frame(ends: pd.DataFrame) -> pd.DataFrame:
    """The minima of all swept settings but the doses, for `plots.objective_settings`."""
    swept = ends[ends["part"] == SWEEP]
    others = swept[~swept["setting"].str.startswith(("gain=", "time_weight="))]
    return others[["setting", "clip", "pesq", "pesq_start"]].reset_index(drop=True)


def starts_apart(table: pd.DataFrame, setting: str) -> pd.Series:
    """PESQ at the minimum from the noisy start − that from the clean one, by clip."""
    ends = table[(table["part"] == DESCENT) & (table["setting"] == setting)]
    by_start = ends.pivot(index="clip", columns="start", values="pesq")
    if not set(STARTS) <= set(by_start):
        return pd.Series(dtype=float)
    return (by_start["noisy"] - by_start["clean"]).dropna()


def largest_harmless_weight(table: pd.DataFrame, margin: float) -> float:
    """The largest swept time weight whose minimum costs less than `margin` PESQ against the normalised one's mean.

    All smaller swept weights must be harmless too; NaN where none is.
    """
    sweep = table[table["part"] == SWEEP]
    best = sweep.loc[sweep["setting"] == "normalised"].set_index("clip")["pesq"]
    harmless = np.nan
    weights = sweep[sweep["setting"].str.startswith("time_weight=")]
    for value, rows in weights.sort_values("value").groupby("value"):
        if (best - rows.set_index("clip")["pesq"]).mean() > margin:
            break
        harmless = float(value)
    return harmless


def setting_label(setting: str) -> str:
    """A setting's name as figures and sentences write it."""
    name, _, rest = setting.partition(" ")
    if name in ("published", "normalised"):
        return f"public weights, {name} target"
    if name == "paper_weights":
        return f"weights of the paper's text, {rest} target"
    if name == "mpsenet":
        return f"MP-SENet's objective, {rest} target"
    weight = name.removeprefix("metric=")
    judged = rest.removeprefix("reanalysed ")
    seen = ", on the waveform" if judged != rest else ""
    return f"discriminator {judged.replace('_', ' ')}, weight {weight}{seen}"
