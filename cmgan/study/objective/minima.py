"""What is read off descents: their minima, the theory beside them, the plane with networks; frames for figures."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from cmgan.recipe import LossWeights
from cmgan.statistics import MARGIN_PESQ

# Parts of minima.csv: descents from both starts, and sweeps over other objectives from the noisy speech.
DESCENT, SWEEP = "descent", "sweep"
STARTS = ("noisy", "clean")
# A descent has converged when its last quarter of iterations lowered the objective by less than this, as a share of
# what it was at the start of that quarter, or as a share of the clean speech's own compressed power.
SETTLED = 0.02
NEGLIGIBLE = 0.002
PLANE = ["objective", "pesq", "gain", "inconsistency"]


def settling_from(iterations: int) -> int:
    """The iteration from which on a converged descent hardly lowers the objective any more."""
    return iterations - iterations // 4


def has_settled(before: float, end: float, speech: float) -> bool:
    """Whether the last quarter of a descent hardly lowered its objective (see `SETTLED`).

    before, end: the objective at `settling_from` and at the end; speech: mean compressed power of the clean clip.
    """
    return before - end <= max(SETTLED * before, NEGLIGIBLE * speech)


def minima(path: pd.DataFrame, part: str) -> pd.DataFrame:
    """Where every descent of `run_descents` ended, with its start, its highest PESQ and whether it had settled.

    Added columns: part, pesq_start, loss_start, pesq_peak, iteration_peak, loss_peak, settled, predicted_gain and
    predicted_loss (`best_scaling`, NaN for other systems and with a discriminator).
    """
    rows = []
    for _, way in path.groupby(["setting", "start", "clip"], sort=False):
        way = way.sort_values("iteration").set_index("iteration", drop=False)
        first, end = way.iloc[0], way.iloc[-1]
        best = way.loc[way["pesq"].idxmax()] if way["pesq"].notna().any() else end
        before = way.at[settling_from(int(end["iteration"])), "loss_total"]
        gain, loss = _predicted(end)
        rows.append(
            end.to_dict()
            | {
                "part": part,
                "pesq_start": first["pesq"],
                "loss_start": first["loss_total"],
                "pesq_peak": best["pesq"],
                "iteration_peak": best["iteration"],
                "loss_peak": best["loss_total"],
                "settled": has_settled(before, end["loss_total"], end["speech_power"]),
                "predicted_gain": gain,
                "predicted_loss": loss,
            }
        )
    return pd.DataFrame(rows)


def ends_of(ends: pd.DataFrame, part: str, setting: str, start: str = "noisy") -> pd.DataFrame:
    """The minima (minima.csv) of one part, setting and start, by clip."""
    chosen = (ends["part"] == part) & (ends["setting"] == setting) & (ends["start"] == start)
    return ends[chosen].set_index("clip")


def best_scaling(weights: LossWeights, power: float, level: float, target_gain: float) -> tuple[float, float]:
    """Gain and objective of the best estimate that is the clean speech times a number a, in closed form.

    A waveform a·c has the compressed spectrum a^0.3·C, so the objective is (w_ri + w_mag)·P·(1 − a^0.3)² +
    w_time·A·|a − 1/g| with P the mean squared compressed magnitude (`power`), A the mean absolute sample (`level`) of
    the clean speech at the normalised scale, and g the gain (`target_gain`). Its minimum lies at the root of
    0.6·(w_ri + w_mag)·P·(a^-0.7 − a^-0.4) = w_time·A, or at 1/g where that is larger.
    """
    spectral = (weights.real_imaginary + weights.magnitude) * power
    time = weights.time * level
    low, high = min(1.0, 1 / target_gain), max(1.0, 1 / target_gain)

    def slope(a: float) -> float:
        sign = 1.0 if a >= 1 / target_gain else -1.0
        return 0.6 * spectral * (a**-0.4 - a**-0.7) + sign * time

    if low == high:
        gain = 1.0
    elif target_gain > 1:
        gain = low if slope(low) >= 0 else brentq(slope, low, high)
    else:
        gain = high if slope(high * (1 - 1e-12)) <= 0 else brentq(slope, low, high * (1 - 1e-12))
    loss = spectral * (1 - gain**0.3) ** 2 + time * abs(gain - 1 / target_gain)
    return float(gain), float(loss)


def _predicted(end: pd.Series) -> tuple[float, float]:
    if end["judge"] or not np.isfinite(end.get("weight_time", np.nan)):
        return float("nan"), float("nan")
    weights = LossWeights(end["weight_real_imaginary"], end["weight_magnitude"], end["weight_time"], 0.0)
    gain = end["gain_of_loader"] if end["time_target"] == "published" else 1.0
    return best_scaling(weights, end["speech_power"], end["speech_level"], gain)


def plane_of(path: pd.DataFrame, training: Path) -> pd.DataFrame:
    """Descents from the noisy speech (means over clips) and every epoch of the trainings of a folder, in one plane.

    path: of `run_descents`; training: RUN/training. Columns: kind (descent or network), label (time target or arm),
    seed, order (iteration or epoch), objective (published terms and weights), pesq, gain, inconsistency.
    """
    ways = path[path["start"] == "noisy"]
    ways = ways.assign(objective=published_objective(ways, "published_time"))
    means = ways.groupby(["setting", "iteration"], sort=False)[PLANE].mean().reset_index()
    parts = [means.rename(columns={"setting": "label", "iteration": "order"}).assign(kind="descent", seed=0)]
    for file in sorted(training.glob("*/epochs.csv")):
        epochs = pd.read_csv(file)
        arm, _, seed = file.parent.name.rpartition("-")
        epochs = epochs.assign(objective=published_objective(epochs, "loss_time_published"))
        rows = epochs[["epoch", *PLANE]].rename(columns={"epoch": "order"})
        parts.append(rows.assign(kind="network", label=arm, seed=int(seed)))
    return pd.concat(parts, ignore_index=True)


def published_objective(table: pd.DataFrame, time: str) -> pd.Series:
    """The published terms with their weights, without the metric loss, whatever was minimised or trained with.

    table: columns loss_real_imaginary, loss_magnitude and `time`, that of the time loss against the published target.
    """
    weights = LossWeights()
    return (
        weights.real_imaginary * table["loss_real_imaginary"]
        + weights.magnitude * table["loss_magnitude"]
        + weights.time * table[time]
    )


def typical_descent(path: pd.DataFrame) -> tuple[str, int]:
    """The clip with the median fall of PESQ on the published descent from noisy speech, and its best iteration.

    Where PESQ failed on every clip, the first clip and the last iteration.
    """
    ways = path[(path["setting"] == "published") & (path["start"] == "noisy")]
    table = ways.pivot(index="iteration", columns="clip", values="pesq").dropna(axis=1)
    if table.empty:
        return ways["clip"].iloc[0], int(ways["iteration"].max())
    falls = (table.max() - table.iloc[-1]).sort_values(kind="stable")
    clip = falls.index[len(falls) // 2]
    return clip, int(table[clip].idxmax())


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
    noisy, clean = (ends_of(table, DESCENT, setting, start)["pesq"] for start in STARTS)
    return (noisy - clean).dropna()


def largest_harmless_weight(table: pd.DataFrame) -> float:
    """The largest swept time weight whose minimum costs less than `MARGIN_PESQ` against the normalised one's mean.

    All smaller swept weights must be harmless too; NaN where none is.
    """
    best, harmless = ends_of(table, SWEEP, "normalised")["pesq"], np.nan
    weights = table[(table["part"] == SWEEP) & table["setting"].str.startswith("time_weight=")]
    for value, rows in weights.sort_values("value").groupby("value"):
        if (best - rows.set_index("clip")["pesq"]).mean() > MARGIN_PESQ:
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
