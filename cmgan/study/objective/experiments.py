"""Which objectives are minimised on which clips, and the descents' tables."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pandas as pd

from cmgan import losses
from cmgan.metrics.pesq import PesqWorkers
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.systems import stft_settings
from cmgan.recipe import Budget, LossWeights, Recipe
from cmgan.signal import SAMPLE_RATE
from cmgan.study.objective import minimiser
from cmgan.study.objective.clips import Clips
from cmgan.study.objective.minima import settling_from
from cmgan.study.objective.minimiser import Start, measure, minimise, speech_power, watched_iterations
from cmgan.torch_files import load_whole
from data_prep.whole_files import write_table

WITHOUT_METRIC = LossWeights(metric=0.0)
PUBLISHED = Recipe(time_target="published", loss_weights=WITHOUT_METRIC)
# Quoted by users from the paper's text; its weight of the metric loss, 0.01, needs a discriminator.
PAPER_WEIGHTS = LossWeights(0.3, 0.7, 1.0, 0.0)
# With a discriminator: the published weight of the metric loss, and one that is larger than all others together.
METRIC_WEIGHTS = (0.05, 1.0)


@dataclass(frozen=True)
class Judge:
    """A discriminator as it was after an epoch of a training, frozen; `name` is what tables call it."""

    name: str
    network: MetricDiscriminator


@dataclass(frozen=True)
class Objective:
    """One objective to minimise: its name in tables, its recipe, the gain (0: each file's own), its judge.

    `value` is what a sweep varies, else NaN.
    """

    name: str
    recipe: Recipe
    gain: float = 0.0
    judge: Judge | None = None
    value: float = float("nan")


def target_settings(targets: Sequence[str]) -> list[Objective]:
    """The public loss weights with each of the time targets, without the metric loss."""
    return [Objective(target, replace(PUBLISHED, time_target=target)) for target in targets]


def swept_settings(
    gains: Sequence[float], time_weights: Sequence[float], judges: Sequence[Judge] = ()
) -> list[Objective]:
    """Doses of the gain and of the time loss's weight, the paper's weights, MP-SENet's objective, discriminators.

    All compare with the published target but where the name says so. Of the judges the first and the last are tried,
    the last one on the waveform's magnitude too. Raises ValueError for a weight below 0.
    """

    def weighted(**weights: float) -> Recipe:
        return replace(PUBLISHED, loss_weights=replace(WITHOUT_METRIC, **weights))

    settings = target_settings(("published", "normalised"))
    settings += [Objective(f"gain={gain:g}", PUBLISHED, gain, value=gain) for gain in gains]
    settings += [Objective(f"time_weight={time:g}", weighted(time=time), value=time) for time in time_weights]
    for target in ("published", "normalised"):
        paper = Recipe(time_target=target, loss_weights=PAPER_WEIGHTS)
        other = Recipe(time_target=target, generator="mpsenet", loss_weights=WITHOUT_METRIC)
        settings += [Objective(f"paper_weights {target}", paper), Objective(f"mpsenet {target}", other)]
    tried = [(judge, "estimated", "") for judge in dict.fromkeys((*judges[:1], *judges[-1:]))]
    tried += [(judge, "reanalysed", "reanalysed ") for judge in judges[-1:]]
    for judge, seen, words in tried:
        for weight in METRIC_WEIGHTS:
            recipe = replace(weighted(metric=weight), metric_input=seen)
            settings.append(Objective(f"metric={weight:g} {words}{judge.name}", recipe, judge=judge))
    return settings


def descend(
    clips: Clips,
    setting: Objective,
    start: Start,
    iterations: int,
    scorer: PesqWorkers,
    watched: bool = False,
) -> pd.DataFrame:
    """Minimise one objective on some clips: a row per snapshot and clip; watched: with points along the way.

    Columns: those of `measure`, and setting, value, start, time_target, weight_real_imaginary, weight_magnitude,
    weight_time, weight_metric, judge, seconds, speech_power, speech_level (see `minima.best_scaling`).
    """
    recipe, judge = setting.recipe, setting.judge.network if setting.judge else None
    placed = clips.with_gain(setting.gain) if setting.gain else clips
    seen = {0, settling_from(iterations), *(watched_iterations(iterations) if watched else ())}
    snapshots = minimise(placed, recipe, start, iterations, seen, judge)
    frame = pd.DataFrame(measure(placed, recipe, snapshots, scorer, judge))
    public = vars(recipe.loss_weights) if recipe.generator == "tscnet" else {}
    powers = speech_power(clips, stft_settings(recipe.generator, Budget()))
    levels = clips.clean.abs().mean(-1).tolist()
    return frame.assign(
        setting=setting.name,
        value=setting.value,
        start=start,
        judge=setting.judge.name if setting.judge else "",
        time_target=recipe.time_target,
        **{f"weight_{name}": weight for name, weight in public.items()},
        seconds=clips.clean.shape[-1] / SAMPLE_RATE,
        speech_power=frame["clip"].map(dict(zip(clips.names, powers, strict=True))),
        speech_level=frame["clip"].map(dict(zip(clips.names, levels, strict=True))),
    )


def run_descents(
    batches: Sequence[Clips],
    settings: Sequence[Objective],
    starts: Sequence[Start],
    iterations: int,
    scorer: PesqWorkers,
    watched: bool = False,
    report: Callable[[str], None] = print,
    parts: Path | None = None,
) -> pd.DataFrame:
    """The tables of `descend` of all settings, starts and batches.

    Settings that come to the same objective, such as the published time weight as a dose, are minimised once.
    parts: a folder that takes every finished table, and gives it back when it is asked for again, also after an
    interruption; its name depends on the clips' samples, the setting, the judge's weights and the minimiser's code.
    """
    done: dict[str, pd.DataFrame] = {}
    frames = []
    for setting in settings:
        for start, clips in product(starts, batches):
            key = _digest(clips, setting, start, iterations, watched)
            file = parts / f"{key}.csv" if parts else None
            if key not in done and file and file.is_file():
                done[key] = pd.read_csv(file).fillna({"pesq_reason": ""})
            elif key not in done:
                done[key] = descend(clips, setting, start, iterations, scorer, watched)
                if file:
                    write_table(done[key], file)
            judge = setting.judge.name if setting.judge else ""
            frames.append(done[key].assign(setting=setting.name, value=setting.value, judge=judge))
        report(f"{setting.name}: done")
    return pd.concat(frames, ignore_index=True)


def load_judges(training: Path, names: Iterable[str]) -> list[Judge]:
    """The discriminators that trainings kept in discriminators.pt, by training and epoch; without it, none."""
    judges = []
    for name in names:
        file = training / name / "discriminators.pt"
        if not file.is_file():
            continue
        for epoch, state in load_whole(file).items():
            # The first convolution's filters are as many as the discriminator is wide.
            width = next(weight.shape[0] for weight in state.values() if weight.ndim == 4)
            network = MetricDiscriminator(ndf=width)
            network.load_state_dict(state)
            judges.append(Judge(f"{name} epoch {epoch}", network.eval().requires_grad_(False)))
    return judges


def _digest(clips: Clips, setting: Objective, start: Start, iterations: int, watched: bool) -> str:
    """Names a descent by everything that decides it."""
    code = Path(minimiser.__file__).read_bytes() + Path(losses.__file__).read_bytes()
    text = repr((setting.recipe, setting.gain, start, iterations, watched, clips.names))
    digest = hashlib.sha256(code + text.encode())
    weights = setting.judge.network.state_dict().values() if setting.judge else ()
    for tensor in (clips.clean, clips.noisy, clips.gains, *weights):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:20]
