"""Figures of a prepared corpus: how long, how noisy, and what one utterance looks like."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmgan.signal import CMGAN_STFT, SAMPLE_RATE, compressed_spectrum, magnitude
from cmgan.study.figure_files import TEXT_WIDTH
from data_prep.manifest import SPLITS


def corpus_overview(utterances: pd.DataFrame) -> Figure:
    """Durations by split and signal-to-noise ratios by split; columns split, seconds, snr_db."""
    figure, axes = plt.subplots(1, 2, figsize=(TEXT_WIDTH, 2.2))
    by_split = {split: rows["seconds"] for split, rows in utterances.groupby("split", sort=False)}
    for place, seconds in enumerate(by_split.values()):
        # A fixed fan keeps equal dots apart without chance.
        spread = 0.2 * (np.arange(len(seconds)) % 5 - 2) / 2
        axes[0].scatter(seconds, place + spread, s=9, color="C0", linewidths=0)
    axes[0].set(xlabel="duration (s)", title="duration of the utterances")
    axes[0].set_yticks(
        range(len(by_split)), [f"{split} (n = {len(seconds)})" for split, seconds in by_split.items()]
    )
    axes[0].set_ylim(len(by_split) - 0.5, -0.5)
    axes[0].grid(visible=False, axis="y")
    axes[1].set_title("signal-to-noise ratio")
    if utterances["snr_db"].notna().any():
        table = pd.crosstab(utterances["snr_db"], utterances["split"])
        table = table[[split for split in SPLITS if split in table]]
        table.plot.bar(ax=axes[1], width=0.8)
        axes[1].set(xlabel="SNR over active speech (dB)", ylabel="utterances")
        axes[1].set_ylim(0, 1.35 * table.max().max())
        axes[1].yaxis.set_major_locator(MaxNLocator(integer=True))
        axes[1].legend(title="", ncols=3, loc="upper center")
    else:
        axes[1].text(0.5, 0.5, "not stated by this corpus", ha="center", transform=axes[1].transAxes)
    return figure


def spectrogram_frame(clean: np.ndarray, noisy: np.ndarray) -> pd.DataFrame:
    """Compressed magnitudes of a pair of waveforms (N,), one row per frame and bin: seconds, hertz, clean, noisy."""
    waves = torch.from_numpy(np.stack([clean, noisy]))
    values = magnitude(compressed_spectrum(waves)).numpy()[:, ::2]
    frames, bins = np.indices(values.shape[1:])
    return pd.DataFrame(
        {
            "seconds": (frames * 2 * CMGAN_STFT.hop / SAMPLE_RATE).ravel().round(4),
            "hertz": (bins * SAMPLE_RATE / CMGAN_STFT.n_fft).ravel(),
            "clean": values[0].ravel().round(4),
            "noisy": values[1].ravel().round(4),
        }
    )


def pair_of_spectrograms(frame: pd.DataFrame) -> Figure:
    """Clean and noisy compressed magnitude side by side on one colour scale; frame of `spectrogram_frame`."""
    figure, axes = plt.subplots(1, 2, figsize=(TEXT_WIDTH, 2.2), sharey=True)
    limit = frame[["clean", "noisy"]].max().max()
    for axis, name in zip(axes, ("clean", "noisy"), strict=True):
        image = frame.pivot(index="hertz", columns="seconds", values=name)
        look = {"vmin": 0, "vmax": limit, "cmap": "cividis", "rasterized": True}
        mesh = axis.pcolormesh(image.columns, image.index / 1000, image.to_numpy(), **look)
        axis.set(title=name, xlabel="time (s)")
        axis.grid(visible=False)
    axes[0].set_ylabel("frequency (kHz)")
    figure.colorbar(mesh, ax=axes, label="|X|$^{0.3}$")
    return figure
