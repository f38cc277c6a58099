"""One test utterance to listen to: noisy, under any arms whose networks a run kept, and clean."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.enhancement.waveforms import enhance
from cmgan.study.arm_styles import arm_label
from cmgan.study.comparison.evaluation import trained_generator
from cmgan.study.paths import evaluation_table, noisy_table, training_folder
from cmgan.study.run_results import found_arms_and_seeds
from data_prep.manifest import Utterance, read_manifest, read_pair, select_split


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

    @property
    def arms(self) -> list[str]:
        """Arms with a network for some seed."""
        return list(dict.fromkeys(arm for arm, _ in self.trained))

    @property
    def seeds(self) -> list[int]:
        """Seeds with a network for some arm."""
        return sorted({seed for _, seed in self.trained})

    def versions(self, arms: Sequence[str], seed: int, utterance: str) -> list[Version]:
        """Noisy, enhanced by each of `arms` that was trained with `seed`, clean: same length, 16 kHz, ±1."""
        clean, noisy = read_pair(self.utterances[utterance])
        enhanced = [
            Version(
                f"{arm_label(arm)}, seed {seed}{self._pesq(evaluation_table(self.root, arm, seed), utterance)}",
                _enhanced(training_folder(self.root, arm, seed) / "generator.pt", noisy.tobytes()),
            )
            for arm in arms
            if (arm, seed) in self.trained
        ]
        before = Version(f"noisy{self._pesq(noisy_table(self.root), utterance)}", noisy)
        return [before, *enhanced, Version("clean", clean)]

    def _pesq(self, table: Path, utterance: str) -> str:
        if not table.is_file():
            return ""
        score = pd.read_csv(table).set_index("id")["pesq"].get(utterance)
        if score is None:
            return ""
        return ", PESQ failed" if np.isnan(score) else f", PESQ {score:.2f}"


def recordings_of(root: Path) -> Recordings:
    """What results/RUN has to listen to.

    Raises FileNotFoundError when the run kept no networks, ManifestError when its recordings are not there.
    """
    trained = tuple(
        (arm, seed)
        for arm, seed in found_arms_and_seeds(root)
        if (training_folder(root, arm, seed) / "generator.pt").is_file()
    )
    if not trained:
        raise FileNotFoundError(
            f"{root} has no networks to listen to (training/*/generator.pt): run make study, "
            "or set run to one that kept them"
        )
    utterances = select_split(read_manifest(root / "data" / "manifest.csv"), "test")
    return Recordings(root, trained, {utterance.id: utterance for utterance in utterances})


def level_matched(versions: Sequence[Version]) -> list[Version]:
    """All at the RMS level of the last one, the clean speech; silence stays silence."""
    target = _rms(versions[-1].waveform)
    return [
        Version(one.title, one.waveform * np.float32(target / (_rms(one.waveform) or 1))) for one in versions
    ]


def within_full_scale(versions: Sequence[Version]) -> list[Version]:
    """All turned down by one common factor where the loudest would clip, so that their levels stay comparable."""
    peak = max(1.0, *(np.abs(one.waveform).max() for one in versions))
    return [Version(one.title, one.waveform / np.float32(peak)) for one in versions]


def _rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.square(waveform, dtype=np.float64).mean()))


# A selection that changes in one thing repeats the others.
@functools.lru_cache(maxsize=64)
def _enhanced(checkpoint: Path, noisy: bytes) -> np.ndarray:
    return enhance(trained_generator(checkpoint), np.frombuffer(noisy, np.float32))
