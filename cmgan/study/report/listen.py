"""One utterance to hear on the report's page: noisy, clean, under both losses, and where the loss alone leads."""

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import torch

from cmgan.enhancement.waveforms import enhance
from cmgan.forward import gain_of
from cmgan.metrics.pesq import pesq_score
from cmgan.signal import SAMPLE_RATE
from cmgan.study.comparison.evaluation import trained_generator
from cmgan.study.objective.job import PLAYED
from cmgan.study.paths import training_folder
from cmgan.study.run_results import RunResults
from cmgan.study.wording import number

LEVEL_DECIBELS = 1.0  # an estimate that is quieter than the clean speech by more is also played at its level
HEARD = {
    "published": ("published loss", "a small network of this run, trained with the published loss"),
    "normalised_target": (
        "repaired loss",
        "the same network trained with the clean signal scaled like the noisy one",
    ),
}


@dataclass(frozen=True)
class Player:
    """A waveform (N,) at 16 kHz to play, with what it is and how it measures against the clean speech (N,)."""

    title: str
    says: str
    waveform: np.ndarray
    clean: np.ndarray

    @cached_property
    def measures(self) -> str:
        """PESQ, and the level of the speech against the clean speech's."""
        score = pesq_score(self.clean, self.waveform).value
        gain = gain_of(torch.from_numpy(self.waveform), torch.from_numpy(self.clean)).item()
        rated = "PESQ failed" if np.isnan(score) else f"PESQ {score:.2f}"
        return f"{rated}, gain {number(gain)} ({number(20 * np.log10(max(gain, 1e-3)), '+.1f')} dB)"

    @property
    def source(self) -> str:
        """The waveform as it is, a data URL."""
        return _source(self.waveform)

    @property
    def levelled(self) -> str:
        """The waveform at the level (RMS) of the clean speech, a data URL; "" unless it is clearly quieter."""
        level, right = (
            np.sqrt(np.square(wave, dtype=np.float64).mean()) for wave in (self.waveform, self.clean)
        )
        quieter = 0 < level < right * 10 ** (-LEVEL_DECIBELS / 20)
        return _source(self.waveform * (right / level)) if quieter else ""


def players(results: RunResults) -> list[Player]:
    """What a run has to hear, with its first seed; empty where it kept no recording of the clip of 03_objective."""
    folder = results.root / "objective" / "audio"
    if not (folder / f"{PLAYED['clean']}.flac").is_file():
        return []
    clean, noisy, minimum = (_read(folder / f"{PLAYED[name]}.flac") for name in ("clean", "noisy", "minimum"))
    heard = [("noisy", "what goes in", noisy), ("clean", "what should come out", clean)]
    for arm, (title, says) in HEARD.items():
        checkpoint = training_folder(results.root, arm, results.seeds[0]) / "generator.pt"
        if checkpoint.is_file():
            heard.append((title, says, enhance(trained_generator(checkpoint), noisy)))
    heard.append(
        (
            "minimum of the published loss",
            "no network: where the loss leads when nothing else decides",
            minimum,
        )
    )
    return [Player(title, says, waveform, clean) for title, says, waveform in heard]


def players_in_words(shown: list[Player]) -> list[str]:
    """What to listen for, and how large the sound is; why there is none (Markdown)."""
    if not shown:
        return ["Kept without recordings: the report of a run of your own has players here (`make study`)."]
    seconds = len(shown[0].clean) / SAMPLE_RATE
    size = sum(len(one.source) + len(one.levelled) for one in shown) / 1e6
    return [
        f"One test utterance ({seconds:.1f} s), as it is: what is quieter than the clean speech was made quieter by "
        "the network or the loss. Listen first to the level. Then, where there is a second player, brought to the "
        "level of the clean speech, listen to what loudness does not explain: noise that is left between the words, "
        f"and what has become of the voice. Sound takes {size:.1f} MB of this page."
    ]


def _read(file: Path) -> np.ndarray:
    return soundfile.read(file, dtype="float32")[0]


def _source(waveform: np.ndarray) -> str:
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode()}"
