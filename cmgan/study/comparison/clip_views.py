"""One test utterance under several arms: the spectrum a generator writes, and what its waveform sounds like."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cmgan.dataset import Batch, UtterancePair, load_pairs
from cmgan.forward import Forward, forward, gain_of
from cmgan.metrics.pesq_score import pesq_score
from cmgan.models.systems import stft_settings
from cmgan.recipe import Budget
from cmgan.signal import SAMPLE_RATE, decompress, inconsistency
from cmgan.study.comparison.evaluation import trained_generator
from cmgan.study.paths import training_folder
from cmgan.study.run_results import RunResults

CLEAN = "clean"
WRITTEN, HEARD, WAVEFORM, PESQ, GAIN, INCONSISTENCY = [
    "written",
    "heard",
    "waveform",
    "pesq",
    "gain",
    "inconsistency",
]
COMPARED = ("published", "batch_mean_fix", "normalised_target")
ENHANCED_SECONDS, SHOWN_SECONDS = 4.0, 1.2
FRAMES_PER_COLUMN, BINS_PER_ROW, SAMPLES_PER_POINT = 2, 3, 8
FLOOR_DB = -60.0


def clip_views(results: RunResults, arms: Sequence[str] = COMPARED) -> pd.DataFrame:
    """What the arms of `arms` make of one utterance, with the first seed; empty unless two of them left a generator.

    The utterance is the one whose difference in PESQ between the first and the last of these arms is the median,
    the place its loudest `SHOWN_SECONDS`; scores are of the `ENHANCED_SECONDS` around it. Frame of `view_rows`.
    """
    seed = results.seeds[0]
    trained = [arm for arm in arms if _has_generator(results, arm, seed)]
    if len(trained) < 2:
        return pd.DataFrame()
    name = typical_utterance(results.evaluation, trained[0], trained[-1], seed)
    pair = next(
        pair for pair in load_pairs(results.root / "data" / "manifest.csv", "test") if pair.id == name
    )
    excerpt, start = loud_excerpt(pair)
    passes = {arm: _enhanced(results.root, arm, seed, excerpt) for arm in trained}
    some = passes[trained[0]]
    perfect = replace(some, estimate=some.clean_spectrum, waveform=some.clean)
    rows = [view_rows(arm, one, start) for arm, one in {CLEAN: perfect, **passes}.items()]
    return pd.concat(rows, ignore_index=True).assign(id=name)


def typical_utterance(evaluation: pd.DataFrame, arm: str, other: str, seed: int) -> str:
    """Test utterance with the median difference in PESQ between two arms; the first in order where none has one."""
    scores = evaluation[evaluation["seed"] == seed].pivot(index="id", columns="arm", values="pesq")
    differences = (scores[other] - scores[arm]).dropna().sort_values(kind="stable")
    return differences.index[len(differences) // 2] if len(differences) else scores.index[0]


def loud_excerpt(pair: UtterancePair) -> tuple[UtterancePair, float]:
    """The part of a pair around its loudest second, and where in it that begins, in seconds."""
    shown = min(round(SHOWN_SECONDS * SAMPLE_RATE), len(pair.clean))
    energy = np.concatenate([[0.0], np.cumsum(np.square(pair.clean, dtype=np.float64))])
    loudest = int((energy[shown:] - energy[:-shown]).argmax())
    length = min(round(ENHANCED_SECONDS * SAMPLE_RATE), len(pair.clean))
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
    rows = [
        _spectrum_rows(view, decompress(spectrum).abs()[0] / loudest, result.stft.hop, start)
        for view, spectrum in ((WRITTEN, result.estimate), (HEARD, result.reanalysed()))
    ]
    first = round(start * SAMPLE_RATE)
    points = result.waveform[0, first : first + round(SHOWN_SECONDS * SAMPLE_RATE)]
    points = (points / result.clean.abs().max()).numpy()[::SAMPLES_PER_POINT]
    seconds = (np.arange(len(points)) * SAMPLES_PER_POINT / SAMPLE_RATE).round(4)
    rows.append(
        pd.DataFrame({"view": WAVEFORM, "seconds": seconds, "value": points.astype(np.float64).round(4)})
    )
    scores = {
        PESQ: pesq_score(result.clean[0].numpy(), result.waveform[0].numpy()).value,
        GAIN: gain_of(result.waveform, result.clean).item(),
        INCONSISTENCY: inconsistency(result.estimate, result.stft).item(),
    }
    rows.append(pd.DataFrame({"view": list(scores), "value": list(scores.values())}))
    return pd.concat(rows, ignore_index=True).assign(arm=arm)


def _spectrum_rows(view: str, magnitudes: torch.Tensor, hop: int, start: float) -> pd.DataFrame:
    """magnitudes (F, T), relative."""
    seconds_per_frame = hop / SAMPLE_RATE
    first = round(start / seconds_per_frame)
    count = round(SHOWN_SECONDS / seconds_per_frame) // FRAMES_PER_COLUMN * FRAMES_PER_COLUMN
    part = magnitudes[:, first : first + count]
    bins = len(part) // BINS_PER_ROW * BINS_PER_ROW
    columns = part.shape[1] // FRAMES_PER_COLUMN
    part = part[:bins, : columns * FRAMES_PER_COLUMN].square()
    power = part.reshape(-1, BINS_PER_ROW, columns, FRAMES_PER_COLUMN).mean((1, 3)).numpy()
    level = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR_DB)
    row, column = np.indices(level.shape)
    hertz_per_bin = SAMPLE_RATE / 2 / (len(magnitudes) - 1)
    return pd.DataFrame(
        {
            "view": view,
            "seconds": (column.ravel() * FRAMES_PER_COLUMN * seconds_per_frame).round(4),
            "hertz": (row.ravel() * BINS_PER_ROW * hertz_per_bin).round(1),
            # A decimal of a single-precision number is written with all its digits.
            "value": level.ravel().astype(np.float64).round(1),
        }
    )


def _has_generator(results: RunResults, arm: str, seed: int) -> bool:
    kept = (training_folder(results.root, arm, seed) / "generator.pt").is_file()
    return arm in results.arms and kept and results.configs[arm, seed]["recipe"]["generator"] == "tscnet"


def _enhanced(root: Path, arm: str, seed: int, excerpt: UtterancePair) -> Forward:
    folder = training_folder(root, arm, seed)
    config = json.loads((folder / "config.json").read_text())
    settings = stft_settings(config["recipe"]["generator"], Budget(**config["budget"]))
    waveforms = (torch.from_numpy(signal)[None] for signal in (excerpt.clean, excerpt.noisy))
    with torch.no_grad():
        return forward(trained_generator(folder / "generator.pt"), Batch(*waveforms, (excerpt.id,)), settings)
