"""What 03_objective does: read clips, run descents and sweeps, keep their tables, and one clip to see and hear."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import soundfile
import torch
from IPython.display import HTML

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.forward import Forward
from cmgan.metrics.pesq import PesqWorkers
from cmgan.models.systems import stft_settings
from cmgan.recipe import Budget
from cmgan.signal import SAMPLE_RATE, compressed_spectrum
from cmgan.study.comparison.clip import loud_excerpt, view_rows
from cmgan.study.comparison.listening import Version, page, to_play
from cmgan.study.notebook_parameters import ObjectiveParameters
from cmgan.study.objective.clips import batches_of_clips, clips_of, recorded_pairs
from cmgan.study.objective.experiments import (
    Objective,
    load_judges,
    run_descents,
    swept_settings,
    target_settings,
)
from cmgan.study.objective.minima import DESCENT, STARTS, SWEEP, minima, plane_of
from cmgan.study.objective.minimiser import Start, minimise, state_of
from data_prep.whole_files import write_table

DECIMALS = 6
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


class ObjectiveJob:
    """The steps of 03_objective for one run; tables go to RUN/objective."""

    def __init__(self, parameters: ObjectiveParameters, root: Path) -> None:
        self.parameters, self.root, self.folder = parameters, root, root / "objective"
        if parameters.threads:
            torch.set_num_threads(parameters.threads)

    def pairs(self) -> list[UtterancePair]:
        """The clips: the run's test utterances, or those of a folder; evenly spread where not all are taken.

        Raises AudioError, FileNotFoundError or ValueError, naming the file, for what cannot be used.
        """
        limit = self.parameters.objective_clips
        if self.parameters.recordings:
            return recorded_pairs(Path(self.parameters.recordings), limit)
        return load_pairs(self.root / "data" / "manifest.csv", "test", limit)

    def descents(self, pairs: Sequence[UtterancePair]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Each target's objective minimised from both starts: the way (descents.csv) and the minima."""
        settings = target_settings(self.parameters.objective_targets)
        path = self._minimised(pairs, self.parameters.objective_seconds, settings, STARTS, watched=True)
        write_table(path.round(DECIMALS), self.folder / "descents.csv")
        return path, minima(path, DESCENT)

    def sweeps(self, pairs: Sequence[UtterancePair], path: pd.DataFrame) -> pd.DataFrame:
        """All other objectives minimised from the noisy speech; returns all minima, which minima.csv holds.

        path: of `descents`, whose minima are among them. Discriminators are those that the run's trainings kept.
        """
        given = self.parameters
        judges = load_judges(self.root / "training", given.objective_discriminators)
        settings = swept_settings(given.objective_gains, given.objective_weights, judges)
        swept = self._minimised(pairs, given.objective_sweep_seconds, settings, ("noisy",))
        every = pd.concat([minima(path, DESCENT), minima(swept, SWEEP)], ignore_index=True)
        write_table(every.round(DECIMALS), self.folder / "minima.csv")
        return every

    def stations(self, pairs: Sequence[UtterancePair], clip: str, best_iteration: int) -> ClipStations:
        """The stations of one clip, whose sound objective/audio holds."""
        pair = next(pair for pair in pairs if pair.id == clip)
        stations = clip_stations(pair, best_iteration, self.parameters.objective_iterations)
        stations.write(self.folder / "audio")
        return stations

    def plane(self, path: pd.DataFrame) -> pd.DataFrame:
        """Descents and the run's trained epochs on one plane (plane.csv)."""
        return write_table(plane_of(path, self.root / "training").round(DECIMALS), self.folder / "plane.csv")

    def _minimised(
        self,
        pairs: Sequence[UtterancePair],
        seconds: float,
        settings: Sequence[Objective],
        starts: Sequence[Start],
        watched: bool = False,
    ) -> pd.DataFrame:
        batches, iterations = batches_of_clips(pairs, seconds), self.parameters.objective_iterations
        parts = self.folder / "parts"
        with PesqWorkers(1) as scorer:
            return run_descents(batches, settings, starts, iterations, scorer, watched, parts=parts)
