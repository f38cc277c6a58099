"""Which objectives are minimised on which clips, and the tables that come of it."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from torch import nn

from cmgan import losses
from cmgan.dataset import UtterancePair
from cmgan.forward import Forward
from cmgan.metrics.pesq_workers import PesqWorkers
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.systems import stft_settings
from cmgan.recipe import Budget, LossWeights, Recipe
from cmgan.signal import SAMPLE_RATE, compressed_spectrum
from cmgan.study.comparison.clip_views import loud_excerpt
from cmgan.study.objective import minimiser
from cmgan.study.objective.minimiser import (
    Clips,
    Start,
    clips_of,
    has_settled,
    measure,
    minimise,
    settling_from,
    speech_power,
    state_of,
    watched_iterations,
)
from data_prep.whole_files import write_table

WITHOUT_METRIC = LossWeights(metric=0.0)
# Quoted by users from the paper's text; its weight of the metric loss, 0.01, needs a discriminator.
PAPER_WEIGHTS = LossWeights(0.3, 0.7, 1.0, 0.0)
# With a discriminator: the published weight of the metric loss, and one that is larger than all others together.
METRIC_WEIGHTS = (0.05, 1.0)
CLIPS_A_BATCH = 8
# Weights that make the published objective of epochs.csv, whatever the arm was trained with.
PUBLISHED_TERMS = {
    "loss_real_imaginary": WITHOUT_METRIC.real_imaginary,
    "loss_magnitude": WITHOUT_METRIC.magnitude,
    "loss_time_published": WITHOUT_METRIC.time,
}


@dataclass(frozen=True)
class Setting:
    """One objective to minimise: its name in tables, its recipe, the loader's gain (0: each file's own), its judge.

    judge: "ARM-SEED epoch N" of a frozen discriminator, empty without; `value` is what a sweep varies, else NaN.
    """

    name: str
    recipe: Recipe
    gain: float = 0.0
    judge: str = ""
    value: float = float("nan")


@dataclass(frozen=True)
class Judge:
    """A discriminator as it was after an epoch of a training, frozen."""

    training: str
    epoch: int
    network: MetricDiscriminator

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.training} epoch {self.epoch}"


def target_settings(targets: Sequence[str]) -> list[Setting]:
    """The public loss weights with each of the time targets, without the metric loss."""
    return [Setting(target, Recipe(time_target=target, loss_weights=WITHOUT_METRIC)) for target in targets]


def swept_settings(
    gains: Sequence[float], time_weights: Sequence[float], judges: Sequence[Judge] = ()
) -> list[Setting]:
    """Doses of the gain and of the time loss's weight, the paper's weights, MP-SENet's objective, discriminators.

    All compare with the published target but where the name says so. Of the judges the first and the last are tried,
    the last one on the waveform's magnitude too. Raises ValueError for a weight below 0.
    """
    published = Recipe(time_target="published", loss_weights=WITHOUT_METRIC)
    settings = target_settings(("published", "normalised"))
    settings += [Setting(f"gain={gain:g}", published, gain, value=gain) for gain in gains]
    settings += [
        Setting(
            f"time_weight={weight:g}",
            replace(published, loss_weights=replace(WITHOUT_METRIC, time=weight)),
            value=weight,
        )
        for weight in time_weights
    ]
    for target in ("published", "normalised"):
        settings.append(
            Setting(f"paper_weights {target}", Recipe(time_target=target, loss_weights=PAPER_WEIGHTS))
        )
        settings.append(
            Setting(
                f"mpsenet {target}",
                Recipe(time_target=target, generator="mpsenet", loss_weights=WITHOUT_METRIC),
            )
        )
    for judge in dict.fromkeys((*judges[:1], *judges[-1:])):
        for weight in METRIC_WEIGHTS:
            recipe = replace(published, loss_weights=replace(WITHOUT_METRIC, metric=weight))
            settings.append(Setting(f"metric={weight:g} {judge.name}", recipe, judge=judge.name))
    if judges:
        last = judges[-1]
        for weight in METRIC_WEIGHTS:
            weights = replace(WITHOUT_METRIC, metric=weight)
            recipe = replace(published, loss_weights=weights, metric_input="reanalysed")
            settings.append(Setting(f"metric={weight:g} reanalysed {last.name}", recipe, judge=last.name))
    return settings


def batches_of_clips(pairs: Sequence[UtterancePair], seconds: float) -> list[Clips]:
    """The middle `seconds` of every pair, clips of one length together; 0 takes all of each, one by one."""
    whole = [pair for pair in pairs if not seconds or len(pair.clean) < seconds * SAMPLE_RATE]
    cut = [pair for pair in pairs if seconds and len(pair.clean) >= seconds * SAMPLE_RATE]
    groups = [cut[first : first + CLIPS_A_BATCH] for first in range(0, len(cut), CLIPS_A_BATCH)]
    return [clips_of(group, seconds) for group in groups] + [clips_of([pair]) for pair in whole]


def descend(
    clips: Clips,
    setting: Setting,
    start: Start,
    iterations: int,
    scorer: PesqWorkers,
    judge: nn.Module | None = None,
    seen: Sequence[int] = (),
) -> pd.DataFrame:
    """Minimise one objective on some clips: a row per snapshot and clip. judge: the setting's network.

    Columns: those of `measure`, and setting, value, start, time_target, weight_real_imaginary, weight_magnitude,
    weight_time, weight_metric, judge, seconds, speech_power, speech_level (see `best_scaling`).
    """
    placed = clips.with_gain(setting.gain) if setting.gain else clips
    seen = sorted({0, settling_from(iterations), *seen})
    snapshots = minimise(placed, setting.recipe, start, iterations, seen, judge)
    frame = pd.DataFrame(measure(placed, setting.recipe, snapshots, scorer, judge))
    weights = {
        f"weight_{name}": weight
        for name, weight in vars(setting.recipe.loss_weights).items()
        if setting.recipe.generator == "tscnet"
    }
    about = {"setting": setting.name, "value": setting.value, "start": start, "judge": setting.judge}
    about |= {"time_target": setting.recipe.time_target, **weights}
    powers = dict(
        zip(clips.names, speech_power(clips, stft_settings(setting.recipe.generator, Budget())), strict=True)
    )
    levels = dict(zip(clips.names, clips.clean.abs().mean(-1).tolist(), strict=True))
    return frame.assign(
        **about,
        seconds=clips.clean.shape[-1] / SAMPLE_RATE,
        speech_power=frame["clip"].map(powers),
        speech_level=frame["clip"].map(levels),
    )


def run_descents(
    batches: Sequence[Clips],
    settings: Sequence[Setting],
    starts: Sequence[Start],
    iterations: int,
    scorer: PesqWorkers,
    judges: Sequence[Judge] = (),
    watched: bool = False,
    report: Callable[[str], None] = print,
    parts: Path | None = None,
) -> pd.DataFrame:
    """The tables of `descend` of all settings, starts and batches; watched: with points along the way.

    Settings that come to the same objective, such as the published time weight as a dose, are minimised once.
    parts: a folder that takes every finished table, and gives it back when it is asked for again, also after an
    interruption; its name depends on the clips' samples, the setting, the judge's weights and the minimiser's code.
    """
    seen = watched_iterations(iterations) if watched else ()
    done: dict[str, pd.DataFrame] = {}
    frames = []
    for setting in settings:
        judge = next((one.network for one in judges if one.name == setting.judge), None)
        for start in starts:
            for clips in batches:
                key = _digest(clips, setting, start, iterations, watched, judge)
                file = parts / f"{key}.csv" if parts else None
                if key not in done and file and file.is_file():
                    done[key] = pd.read_csv(file).fillna({"pesq_reason": ""})
                elif key not in done:
                    done[key] = descend(clips, setting, start, iterations, scorer, judge, seen)
                    if file:
                        write_table(done[key], file)
                frames.append(
                    done[key].assign(setting=setting.name, value=setting.value, judge=setting.judge)
                )
        report(f"{setting.name}: done")
    return pd.concat(frames, ignore_index=True)


def minima(path: pd.DataFrame, part: str) -> pd.DataFrame:
    """Where every descent of `run_descents` ended, with its start, its highest PESQ and whether it had settled.

    Added columns: part, pesq_start, loss_start, pesq_peak, iteration_peak, loss_peak, settled, predicted_gain and
    predicted_loss (`best_scaling`, NaN for other systems and with a discriminator).
    """
    rows = []
    for _, way in path.groupby(["setting", "start", "clip"], sort=False):
        way = way.sort_values("iteration")
        end, first = way.iloc[-1], way.iloc[0]
        before = way.loc[way["iteration"] == settling_from(int(end["iteration"])), "loss_total"].iloc[0]
        best = way.loc[way["pesq"].idxmax()] if way["pesq"].notna().any() else end
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


def best_scaling(weights: LossWeights, power: float, level: float, target_gain: float) -> tuple[float, float]:
    """Gain and objective of the best estimate that is the clean speech times a number a, in closed form.

    A waveform a·c has the compressed spectrum a^0.3·C, so the objective is (w_ri + w_mag)·P·(1 − a^0.3)² +
    w_time·A·|a − 1/g| with P the mean squared compressed magnitude (`power`), A the mean absolute sample (`level`) of
    the clean speech at the normalised scale, and g the loader's gain (`target_gain`). Its minimum lies at the root of
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


def trained_epochs(training: Path) -> pd.DataFrame:
    """Every epoch of every training below RUN/training on the plane of the descents; empty without any.

    Columns: arm, seed, epoch, objective (published terms and weights, without the metric loss), pesq, gain,
    inconsistency, means over the validation utterances.
    """
    rows = []
    for file in sorted(training.glob("*/epochs.csv")):
        epochs = pd.read_csv(file)
        arm, _, seed = file.parent.name.rpartition("-")
        published = sum(weight * epochs[name] for name, weight in PUBLISHED_TERMS.items())
        kept = epochs[["epoch", "pesq", "gain", "inconsistency"]]
        rows.append(kept.assign(arm=arm, seed=int(seed), objective=published))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def load_judges(training: Path, names: Iterable[str]) -> list[Judge]:
    """The discriminators that trainings kept in discriminators.pt, by training and epoch; without it, none."""
    judges = []
    for name in names:
        file = training / name / "discriminators.pt"
        if not file.is_file():
            continue
        for epoch, state in torch.load(file, map_location="cpu", weights_only=True).items():
            # The first convolution's filters are as many as the discriminator is wide.
            width = next(weight.shape[0] for weight in state.values() if weight.ndim == 4)
            network = MetricDiscriminator(ndf=width)
            network.load_state_dict(state)
            judges.append(Judge(name, int(epoch), network.eval().requires_grad_(False)))
    return judges


def plane_of(path: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Descents from the noisy speech (means over clips) and trained networks as rows of one plane.

    Columns: kind (descent or network), label (time target or arm), seed, order, objective (published terms and
    weights), pesq, gain, inconsistency. path: of `run_descents`; epochs: of `trained_epochs`.
    """
    published = path[path["start"] == "noisy"].assign(
        objective=lambda rows: sum(
            weight * rows[name if name != "loss_time_published" else "published_time"]
            for name, weight in PUBLISHED_TERMS.items()
        )
    )
    quantities = ["objective", "pesq", "gain", "inconsistency"]
    means = published.groupby(["setting", "iteration"], sort=False)[quantities].mean().reset_index()
    descents = means.rename(columns={"setting": "label", "iteration": "order"}).assign(kind="descent", seed=0)
    if epochs.empty:
        return descents
    networks = epochs.rename(columns={"arm": "label", "epoch": "order"}).assign(kind="network")
    return pd.concat([descents, networks], ignore_index=True)


@dataclass(frozen=True)
class ClipStations:
    """One clip's estimates by name, each as after a network's pass, and where its loudest part begins, in seconds."""

    clip: str
    start: float
    states: dict[str, Forward]


def clip_stations(pair: UtterancePair, best_iteration: int, iterations: int) -> ClipStations:
    """Stations of one clip's descents from its noisy excerpt, to be seen and heard, as after a network's pass.

    `noisy`; `clean`; `at its best`, after `best_iteration` of the published objective's descent; `minimum` of the
    published objective; `minimum, normalised`. The excerpt is `clip_views.loud_excerpt`'s.
    """
    excerpt, start = loud_excerpt(pair)
    clips = clips_of([excerpt])
    published, normalised = target_settings(("published", "normalised"))
    way = minimise(clips, published.recipe, "noisy", iterations, (0, best_iteration))
    stations = {shot.iteration: shot.estimate for shot in way}
    other = minimise(clips, normalised.recipe, "noisy", iterations)[-1].estimate
    stft = stft_settings("tscnet", Budget())
    estimates = {
        "noisy": stations[0],
        "clean": compressed_spectrum(clips.clean, stft),
        "at its best": stations[best_iteration],
        "minimum": stations[iterations],
        "minimum, normalised": other,
    }
    states = {name: state_of(clips, estimate, stft) for name, estimate in estimates.items()}
    return ClipStations(pair.id, start, states)


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


def _digest(
    clips: Clips, setting: Setting, start: Start, iterations: int, watched: bool, judge: nn.Module | None
) -> str:
    """Names a descent by everything that decides it."""
    code = Path(minimiser.__file__).read_bytes() + Path(losses.__file__).read_bytes()
    text = repr((setting.recipe, setting.gain, start, iterations, watched, clips.names))
    digest = hashlib.sha256(code + text.encode())
    tensors = [clips.clean, clips.noisy, clips.gains, *(judge.state_dict().values() if judge else ())]
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]


def _predicted(end: pd.Series) -> tuple[float, float]:
    if end["judge"] or not np.isfinite(end.get("weight_time", np.nan)):
        return float("nan"), float("nan")
    weights = LossWeights(end["weight_real_imaginary"], end["weight_magnitude"], end["weight_time"], 0.0)
    gain = end["gain_of_loader"] if end["time_target"] == "published" else 1.0
    return best_scaling(weights, end["speech_power"], end["speech_level"], gain)
