"""Players beside spectrograms, and the widgets that choose what is played."""

import base64
import html
import io
from collections.abc import Sequence

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, Audio, display
from matplotlib.figure import Figure

from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, stft
from cmgan.study.comparison.listening import Recordings, Version, level_matched, within_full_scale
from cmgan.study.figure_files import figure_style

FLOOR_DB = -60.0


def levels(waveform: np.ndarray) -> np.ndarray:
    """Spectrum of (N,) as (F, T) in dB; 0 is a bin of magnitude 1 under CMGAN's transform."""
    magnitudes = stft(torch.from_numpy(waveform)[None], CMGAN_STFT).abs()[0]
    return (20 * magnitudes.clamp_min(1e-9).log10()).numpy()


def spectrogram(level: np.ndarray, loudest: float) -> Figure:
    """(F, T) in dB between `loudest` and `FLOOR_DB` below it, with its axes and colour scale."""
    figure, axis = plt.subplots(figsize=(6.4, 1.7))
    seconds = level.shape[1] * CMGAN_STFT.hop / SAMPLE_RATE
    image = axis.imshow(
        level - loudest,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, SAMPLE_RATE / 2000),
        vmin=FLOOR_DB,
        vmax=0,
        cmap="cividis",
    )
    axis.set(xlabel="time (s)", ylabel="kHz")
    axis.grid(visible=False)
    figure.colorbar(image, label="dB", pad=0.01)
    plt.close(figure)
    return figure


def page(versions: Sequence[Version], matched: bool) -> HTML:
    """A row for each version: player and spectrogram, all on the colour scale of the clean speech, the last one."""
    played = within_full_scale(level_matched(versions) if matched else versions)
    images = [levels(one.waveform) for one in played]
    with figure_style():
        pictures = [_png(spectrogram(image, images[-1].max())) for image in images]
    rows = [_row(one, picture) for one, picture in zip(played, pictures, strict=True)]
    return HTML(f"<table style='width: 100%; table-layout: fixed'>{''.join(rows)}</table>")


def choose(recordings: Recordings, arms: Sequence[str], seed: int, utterance: str, same_level: bool) -> None:
    """Show widgets for arms, seed, utterance and level, and below them the page, drawn again on every change.

    Without arms the first and the last, without an utterance the first. The page is ordinary output, so that a
    notebook run without a browser keeps the first choice.
    Raises ValueError for an arm, seed or utterance that cannot be heard.
    """
    arms = list(arms) or list(dict.fromkeys([recordings.arms[0], recordings.arms[-1]]))
    utterance = utterance or next(iter(recordings.utterances))
    wanted = [("arm", arm, recordings.arms) for arm in arms]
    wanted += [("seed", seed, recordings.seeds), ("utterance", utterance, recordings.utterances)]
    for name, value, known in wanted:
        if value not in known:
            raise ValueError(f"{name} {value} cannot be heard: use one of {', '.join(map(str, known))}")
    controls = (
        widgets.SelectMultiple(
            options=recordings.arms,
            value=tuple(arms),
            description="arms",
            rows=min(6, len(recordings.arms) + 1),
        ),
        widgets.Dropdown(options=recordings.seeds, value=seed, description="seed"),
        widgets.Dropdown(options=list(recordings.utterances), value=utterance, description="utterance"),
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


def _png(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130)
    return base64.b64encode(file.getvalue()).decode()


def _row(version: Version, picture: str) -> str:
    title = html.escape(version.title)
    player = Audio(version.waveform, rate=SAMPLE_RATE, normalize=False)._repr_html_()
    image = f"<img style='max-width: 100%' alt='spectrogram: {title}' src='data:image/png;base64,{picture}'>"
    return (
        f"<tr><td style='text-align: left; width: 320px'><strong>{title}</strong><br>{player}</td>"
        f"<td style='text-align: left'>{image}</td></tr>"
    )
