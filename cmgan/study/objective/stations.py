"""Stations of one clip's descents, as after a network's pass: to be seen, and heard at one level."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import soundfile
from IPython.display import HTML

from cmgan.dataset import UtterancePair
from cmgan.forward import Forward
from cmgan.models.systems import stft_settings
from cmgan.recipe import Budget
from cmgan.signal import SAMPLE_RATE, compressed_spectrum
from cmgan.study.comparison.clip import loud_excerpt, view_rows
from cmgan.study.comparison.listening import Version, page, to_play
from cmgan.study.objective.clips import clips_of
from cmgan.study.objective.experiments import target_settings
from cmgan.study.objective.minimiser import minimise, state_of

# In the order in which they are heard, with the names of their files; the clean clip sets the level.
PLAYED = {
    "noisy": "noisy",
    "at its best": "published_at_its_best",
    "minimum": "published_minimum",
    "minimum, normalised": "normalised_minimum",
    "clean": "clean",
}


@dataclass(frozen=True)
class ClipStations:
    """One clip's estimates by name, each as after a network's pass, and where its loudest part begins, in seconds."""

    clip: str
    start: float
    states: dict[str, Forward]

    def views(self) -> pd.DataFrame:
        """The stations but the noisy one, around the clip's loudest part, as `clip.one_clip` draws them."""
        shown = {name: state for name, state in self.states.items() if name != "noisy"}
        rows = [view_rows(name, state, self.start) for name, state in shown.items()]
        return pd.concat(rows, ignore_index=True).assign(id=self.clip)

    def versions(self) -> list[Version]:
        """What is played."""
        return [Version(name, self.states[name].waveform[0].numpy()) for name in PLAYED]

    def players(self) -> HTML:
        """Players and spectrograms, brought to one level."""
        return page(self.versions(), same_level=True)

    def write(self, folder: Path) -> None:
        """NAME.flac of every station, turned down together where one would clip: their levels stay comparable."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, played in zip(PLAYED.values(), to_play(self.versions(), same_level=False), strict=True):
            soundfile.write(folder / f"{name}.flac", played.waveform, SAMPLE_RATE)


def clip_stations(pair: UtterancePair, best_iteration: int, iterations: int) -> ClipStations:
    """Stations of one clip's descents from its noisy excerpt (`clip.loud_excerpt`).

    `noisy`; `clean`; `at its best`, after `best_iteration` of the published objective's descent; `minimum` of the
    published objective; `minimum, normalised`.
    """
    excerpt, start = loud_excerpt(pair)
    clips = clips_of([excerpt])
    published, normalised = (setting.recipe for setting in target_settings(("published", "normalised")))
    way = minimise(clips, published, "noisy", iterations, (0, best_iteration))
    stations = {shot.iteration: shot.estimate for shot in way}
    stft = stft_settings("tscnet", Budget())
    estimates = {
        "noisy": stations[0],
        "clean": compressed_spectrum(clips.clean, stft),
        "at its best": stations[best_iteration],
        "minimum": stations[iterations],
        "minimum, normalised": minimise(clips, normalised, "noisy", iterations)[-1].estimate,
    }
    states = {name: state_of(clips, estimate, stft) for name, estimate in estimates.items()}
    return ClipStations(pair.id, start, states)
