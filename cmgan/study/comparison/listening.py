"""One test utterance to listen to: noisy, under any arms whose networks a run kept, and clean, with spectrograms."""

import base64
import functools
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML, Audio, display
from matplotlib.figure import Figure

from cmgan.enhancement.waveforms import enhance
from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, stft
from cmgan.study.arms import arm_label
from cmgan.study.comparison.evaluation import trained_generator
from cmgan.study.figure_files import figure_style
from cmgan.study.paths import evaluation_table, found_arms_and_seeds, noisy_table, training_folder
from data_prep.manifest import Utterance, read_manifest, read_pair, select_split

FLOOR_DB = -60.0


@dataclass(frozen=True)
class Version:
    """One way to hear an utterance: its title with the PESQ of 05_evaluation, if any, and the waveform (N,)."""

    title: str
    waveform: np.ndarray


@dataclass(frozen=True)
class Recordings:
    """What a run has to listen to: (arm, seed) with networks, in the order of the arms, and test utterances by id."""

    root: Path
    trained: tuple[tuple[str, int], ...]
    utterances: dict[str, Utterance]

    def versions(self, arms: Sequence[str], seed: int, utterance: str) -> list[Version]:
        """Noisy, enhanced by each of `arms` that was trained with `seed`, clean: same length, 16 kHz, ±1."""
        clean, noisy = read_pair(self.utterances[utterance])
        enhanced = [
            Version(
                f"{arm_label(arm)}, seed {seed}{_pesq(evaluation_table(self.root, arm, seed), utterance)}",
                _enhanced(training_folder(self.root, arm, seed) / "generator.pt", noisy.tobytes()),
            )
            for arm in arms
            if (arm, seed) in self.trained
        ]
        before = Version(f"noisy{_pesq(noisy_table(self.root), utterance)}", noisy)
        return [before, *enhanced, Version("clean", clean)]


def recordings_of(root: Path) -> Recordings:
    """What results/RUN has to listen to.

    Raises FileNotFoundError when the run kept no networks, ManifestError when its recordings are not there.
    """
    trained = tuple(
        pair
        for pair in found_arms_and_seeds(root)
        if (training_folder(root, *pair) / "generator.pt").is_file()
    )
    if not trained:
        raise FileNotFoundError(
            f"{root} has no networks to listen to (training/*/generator.pt): run make study, "
            "or set run to one that kept them"
        )
    utterances = select_split(read_manifest(root / "data" / "manifest.csv"), "test")
    return Recordings(root, trained, {utterance.id: utterance for utterance in utterances})


def _pesq(table: Path, utterance: str) -> str:
    score = pd.read_csv(table).set_index("id")["pesq"].get(utterance) if table.is_file() else None
    if score is None:
        return ""
    return ", PESQ failed" if np.isnan(score) else f", PESQ {score:.2f}"


# A selection that changes in one thing repeats the others.
@functools.lru_cache(maxsize=64)
def _enhanced(checkpoint: Path, noisy: bytes) -> np.ndarray:
    return enhance(trained_generator(checkpoint), np.frombuffer(noisy, np.float32))


def to_play(versions: Sequence[Version], same_level: bool) -> list[Version]:
    """All turned down by one common factor where the loudest would clip, so that their levels stay comparable.

    same_level: all at the RMS level of the last one, the clean speech, before that; silence stays silence.
    """
    waves = [one.waveform for one in versions]
    if same_level:
        levels = [float(np.sqrt(np.square(wave, dtype=np.float64).mean())) for wave in waves]
        gains = [np.float32(levels[-1] / (level or 1)) for level in levels]
        waves = [gain * wave for gain, wave in zip(gains, waves, strict=True)]
    peak = np.float32(max(1.0, *(np.abs(wave).max() for wave in waves)))
    return [Version(one.title, wave / peak) for one, wave in zip(versions, waves, strict=True)]


def decibels(waveform: np.ndarray) -> np.ndarray:
    """Spectrum of (N,) as (F, T) in dB; 0 is a bin of magnitude 1 under CMGAN's transform."""
    magnitudes = stft(torch.from_numpy(waveform)[None], CMGAN_STFT).abs()[0]
    return (20 * magnitudes.clamp_min(1e-9).log10()).numpy()


def spectrogram(level: np.ndarray, loudest: float) -> Figure:
    """(F, T) in dB between `loudest` and `FLOOR_DB` below it, with its axes and colour scale."""
    figure, axis = plt.subplots(figsize=(6.4, 1.7))
    extent = (0, level.shape[1] * CMGAN_STFT.hop / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)
    look = {"origin": "lower", "aspect": "auto", "vmin": FLOOR_DB, "vmax": 0, "cmap": "cividis"}
    image = axis.imshow(level - loudest, extent=extent, **look)
    axis.set(xlabel="time (s)", ylabel="kHz")
    axis.grid(visible=False)
    figure.colorbar(image, label="dB", pad=0.01)
    plt.close(figure)
    return figure


def page(versions: Sequence[Version], same_level: bool) -> HTML:
    """A row for each version: player and spectrogram, all on the colour scale of the clean speech, the last one."""
    played = to_play(versions, same_level)
    images = [decibels(one.waveform) for one in played]
    rows = [_row(one, image, images[-1].max()) for one, image in zip(played, images, strict=True)]
    return HTML(f"<table style='width: 100%; table-layout: fixed'>{''.join(rows)}</table>")


def _row(version: Version, level: np.ndarray, loudest: float) -> str:
    file = io.BytesIO()
    with figure_style():
        spectrogram(level, loudest).savefig(file, format="png", dpi=130)
    picture, title = base64.b64encode(file.getvalue()).decode(), html.escape(version.title)
    player = Audio(version.waveform, rate=SAMPLE_RATE, normalize=False)._repr_html_()
    image = f"<img style='max-width: 100%' alt='spectrogram: {title}' src='data:image/png;base64,{picture}'>"
    return (
        f"<tr><td style='text-align: left; width: 320px'><strong>{title}</strong><br>{player}</td>"
        f"<td style='text-align: left'>{image}</td></tr>"
    )


def choose(recordings: Recordings, arms: Sequence[str], seed: int, utterance: str, same_level: bool) -> None:
    """Show widgets for arms, seed, utterance and level, and below them the page, drawn again on every change.

    Without arms the first and the last, without an utterance the first. The page is ordinary output, so that a
    notebook run without a browser keeps the first choice.
    Raises ValueError for an arm, seed or utterance that cannot be heard.
    """
    known_arms = list(dict.fromkeys(arm for arm, _ in recordings.trained))
    known_seeds = sorted({number for _, number in recordings.trained})
    utterances = list(recordings.utterances)
    arms = tuple(arms) or tuple(dict.fromkeys((known_arms[0], known_arms[-1])))
    utterance = utterance or utterances[0]
    wanted = [("arm", arm, known_arms) for arm in arms]
    wanted += [("seed", seed, known_seeds), ("utterance", utterance, utterances)]
    for name, value, known in wanted:
        if value not in known:
            raise ValueError(f"{name} {value} cannot be heard: use one of {', '.join(map(str, known))}")
    rows = min(6, len(known_arms) + 1)
    controls = (
        widgets.SelectMultiple(options=known_arms, value=arms, description="arms", rows=rows),
        widgets.Dropdown(options=known_seeds, value=seed, description="seed"),
        widgets.Dropdown(options=utterances, value=utterance, description="utterance"),
        widgets.Checkbox(value=same_level, description="same level"),
    )

    def chosen() -> HTML:
        *selection, matched = (control.value for control in controls)
        return page(recordings.versions(*selection), matched)

    first = chosen()
    display(widgets.HBox([controls[0], widgets.VBox(controls[1:])]))
    shown = display(first, display_id=True)
    for control in controls:
        control.observe(lambda _change: shown.update(chosen()), "value")
