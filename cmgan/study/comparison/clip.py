"""One test utterance under several arms: the spectrum a generator writes beside that of its waveform."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from cmgan.dataset import Batch, UtterancePair, load_pairs
from cmgan.forward import Forward, forward, gain_of
from cmgan.metrics.pesq import pesq_score
from cmgan.signal import SAMPLE_RATE, decompress, inconsistency
from cmgan.study.arms import arm_label, arm_style
from cmgan.study.comparison.evaluation import trained_generator
from cmgan.study.figure_files import TEXT_WIDTH
from cmgan.study.paths import training_folder
from cmgan.study.run_results import RunResults

CLEAN = "clean"
WRITTEN, HEARD, WAVEFORM = "written", "heard", "waveform"
PESQ, GAIN, INCONSISTENCY = "pesq", "gain", "inconsistency"
COMPARED = ("published", "batch_mean_fix", "normalised_target")
ENHANCED_SECONDS, SHOWN_SECONDS = 4.0, 1.2
FRAMES_PER_COLUMN, BINS_PER_ROW, SAMPLES_PER_POINT = 2, 3, 8
FLOOR_DB = -60.0
ROW_LABELS = {
    WRITTEN: "spectrum written by the\ngenerator: what the\ndiscriminator sees",
    HEARD: "spectrum of its\nwaveform: what a\nlistener hears",
    WAVEFORM: "waveform\n(clean peak = 1)",
}


def clip_views(results: RunResults) -> pd.DataFrame:
    """What the arms of `COMPARED` make of one utterance, with the first seed; empty unless two left a generator.

    The utterance is the one whose difference in PESQ between the first and the last of these arms is the median,
    the place its loudest `SHOWN_SECONDS`; scores are of the `ENHANCED_SECONDS` around it. Frame of `view_rows`.
    """
    seed = results.seeds[0]
    kept = {arm: training_folder(results.root, arm, seed) / "generator.pt" for arm in COMPARED}
    kept = {arm: file for arm, file in kept.items() if arm in results.arms and file.is_file()}
    if len(kept) < 2:
        return pd.DataFrame()
    first, *_, last = kept
    name = typical_utterance(results.evaluation, first, last, seed)
    pairs = load_pairs(results.root / "data" / "manifest.csv", "test")
    excerpt, start = loud_excerpt(next(pair for pair in pairs if pair.id == name))
    batch = Batch(*(torch.from_numpy(signal)[None] for signal in (excerpt.clean, excerpt.noisy)), (name,))
    states = {}
    for arm, file in kept.items():
        generator = trained_generator(file)
        with torch.no_grad():
            states[arm] = forward(generator, batch, generator.stft_settings)
    some = states[first]
    states = {CLEAN: replace(some, estimate=some.clean_spectrum, waveform=some.clean)} | states
    rows = [view_rows(arm, state, start) for arm, state in states.items()]
    return pd.concat(rows, ignore_index=True).assign(id=name)


def typical_utterance(evaluation: pd.DataFrame, arm: str, other: str, seed: int) -> str:
    """Test utterance with the median difference in PESQ between two arms; the first in order where none has one."""
    scores = evaluation[evaluation["seed"] == seed].pivot(index="id", columns="arm", values="pesq")
    differences = (scores[other] - scores[arm]).dropna().sort_values(kind="stable")
    return differences.index[len(differences) // 2] if len(differences) else scores.index[0]


def loud_excerpt(pair: UtterancePair) -> tuple[UtterancePair, float]:
    """The part of a pair around its loudest second, and where in it that begins, in seconds."""
    shown, length = (
        min(round(seconds * SAMPLE_RATE), len(pair.clean)) for seconds in (SHOWN_SECONDS, ENHANCED_SECONDS)
    )
    energy = np.concatenate([[0.0], np.cumsum(np.square(pair.clean, dtype=np.float64))])
    loudest = int((energy[shown:] - energy[:-shown]).argmax())
    first = min(max(loudest - (length - shown) // 2, 0), len(pair.clean) - length)
    part = slice(first, first + length)
    return UtterancePair(pair.id, pair.clean[part], pair.noisy[part]), (loudest - first) / SAMPLE_RATE


def view_rows(arm: str, result: Forward, start: float) -> pd.DataFrame:
    """One utterance under one arm, B = 1, as rows: arm, view, seconds, hertz, value.

    Views: `written`, the estimated spectrum, and `heard`, the spectrum of its waveform, in dB against the loudest
    bin of the clean clip, averaged over neighbouring frames and bins; `waveform`, thinned out; and the scores
    `pesq`, `gain` and `inconsistency`, without time or frequency. From `start` seconds on, for `SHOWN_SECONDS`.
    """
    loudest = decompress(result.clean_spectrum).abs().max()
    spectra = {WRITTEN: result.estimate, HEARD: result.reanalysed()}
    rows = [
        _spectrum_rows(view, decompress(spectrum).abs()[0] / loudest, result.stft.hop, start)
        for view, spectrum in spectra.items()
    ]
    first = round(start * SAMPLE_RATE)
    points = result.waveform[0, first : first + round(SHOWN_SECONDS * SAMPLE_RATE)]
    points = (points / result.clean.abs().max()).double().numpy()[::SAMPLES_PER_POINT].round(4)
    seconds = (np.arange(len(points)) * SAMPLES_PER_POINT / SAMPLE_RATE).round(4)
    rows.append(pd.DataFrame({"view": WAVEFORM, "seconds": seconds, "value": points}))
    scores = {
        PESQ: pesq_score(result.clean[0].numpy(), result.waveform[0].numpy()).value,
        GAIN: gain_of(result.waveform, result.clean).item(),
        INCONSISTENCY: inconsistency(result.estimate, result.stft).item(),
    }
    rows.append(pd.DataFrame({"view": list(scores), "value": list(scores.values())}))
    return pd.concat(rows, ignore_index=True).assign(arm=arm)


def _spectrum_rows(view: str, magnitudes: torch.Tensor, hop: int, start: float) -> pd.DataFrame:
    """magnitudes (F, T), relative."""
    frame = hop / SAMPLE_RATE
    first, count = round(start / frame), round(SHOWN_SECONDS / frame)
    power = magnitudes[:, first : first + count].square()
    bins, columns = len(power) // BINS_PER_ROW, power.shape[1] // FRAMES_PER_COLUMN
    power = power[: bins * BINS_PER_ROW, : columns * FRAMES_PER_COLUMN]
    power = power.reshape(bins, BINS_PER_ROW, columns, FRAMES_PER_COLUMN).mean((1, 3)).numpy()
    level = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR_DB)
    seconds = np.arange(columns) * FRAMES_PER_COLUMN * frame
    hertz = np.arange(bins) * BINS_PER_ROW * (SAMPLE_RATE / 2 / (len(magnitudes) - 1))
    return pd.DataFrame(
        {
            "view": view,
            "seconds": np.tile(seconds.round(4), bins),
            "hertz": np.repeat(hertz.round(1), columns),
            # A decimal of a single-precision number is written with all its digits.
            "value": level.ravel().astype(np.float64).round(1),
        }
    )


def one_clip(frame: pd.DataFrame) -> Figure:
    """A column for the clean speech and each arm, a row for each view; frame of `clip_views`."""
    arms = list(frame["arm"].unique())
    figure, grid = plt.subplots(
        len(ROW_LABELS),
        len(arms),
        figsize=(TEXT_WIDTH, 4.6),
        sharex=True,
        sharey="row",
        height_ratios=(3, 3, 2),
    )
    for column, (arm, rows) in enumerate(frame.groupby("arm", sort=False)):
        for axis, view in zip(grid[:, column], ROW_LABELS, strict=True):
            part = rows[rows["view"] == view]
            if view == WAVEFORM:
                colour = "0.3" if arm == CLEAN else arm_style(arm)["color"]
                axis.plot(part["seconds"], part["value"], color=colour, linewidth=0.5)
            else:
                image = part.pivot(index="hertz", columns="seconds", values="value")
                axis.grid(visible=False)
                look = {"vmin": FLOOR_DB, "vmax": 0, "cmap": "cividis", "rasterized": True}
                mesh = axis.pcolormesh(image.columns, image.index / 1000, image.to_numpy(), **look)
        values = rows.set_index("view")["value"]
        grid[0, column].set_title(
            f"{'clean speech' if arm == CLEAN else arm_label(arm)}\n"
            f"PESQ {values[PESQ]:.2f}, gain {values[GAIN]:.2f}\ninconsistency {values[INCONSISTENCY]:.2f}"
        )
    grid[0, 0].set_xlim(0, SHOWN_SECONDS)
    figure.supxlabel(f"time (s), in {frame['id'].iloc[0]}")
    place = {"xy": (-0.34, 0.5), "xycoords": "axes fraction", "ha": "right", "va": "center"}
    for axis, label in zip(grid[:, 0], ROW_LABELS.values(), strict=True):
        axis.annotate(label, **place, rotation=90, multialignment="center")
        axis.set_ylabel("" if axis is grid[-1, 0] else "frequency (kHz)")
    figure.colorbar(mesh, ax=grid[:2], label="level (dB, 0 = loudest clean bin)", shrink=0.7, aspect=30)
    return figure
