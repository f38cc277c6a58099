"""What 03_objective does: read clips, run descents and sweeps, keep their tables, play one clip's stations."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import soundfile
import torch
from IPython.display import HTML

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.metrics.pesq import PesqWorkers
from cmgan.signal import SAMPLE_RATE
from cmgan.study.comparison.listening import Version, page, to_play
from cmgan.study.notebook_parameters import ObjectiveParameters
from cmgan.study.objective.clips import batches_of_clips, recorded_pairs
from cmgan.study.objective.experiments import (
    ClipStations,
    Judge,
    Setting,
    clip_stations,
    load_judges,
    run_descents,
    swept_settings,
    target_settings,
)
from cmgan.study.objective.minima import DESCENT, STARTS, SWEEP, minima, plane_of
from cmgan.study.objective.minimiser import Start
from data_prep.whole_files import write_table

DECIMALS = 6
# Stations in the order in which they are heard, with the names of their files; the clean clip sets the level.
PLAYED = {
    "noisy": "noisy",
    "at its best": "published_at_its_best",
    "minimum": "published_minimum",
    "minimum, normalised": "normalised_minimum",
    "clean": "clean",
}


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
        if self.parameters.recordings:
            return recorded_pairs(Path(self.parameters.recordings), self.parameters.clips)
        return load_pairs(self.root / "data" / "manifest.csv", "test", self.parameters.clips)

    def descents(self, pairs: Sequence[UtterancePair]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Each target's objective minimised from both starts: the way (descents.csv) and the minima."""
        given = self.parameters
        path = self._minimised(pairs, given.seconds, target_settings(given.targets), STARTS, watched=True)
        write_table(path.round(DECIMALS), self.folder / "descents.csv")
        return path, minima(path, DESCENT)

    def judges(self) -> list[Judge]:
        """The discriminators that the run's trainings kept; none before they were trained."""
        return load_judges(self.root / "training", self.parameters.discriminators)

    def sweeps(
        self, pairs: Sequence[UtterancePair], path: pd.DataFrame, judges: Sequence[Judge]
    ) -> pd.DataFrame:
        """All other objectives minimised from the noisy speech; returns all minima, which minima.csv holds.

        path: of `descents`, whose minima are among them.
        """
        given = self.parameters
        settings = swept_settings(given.gains, given.weights, judges)
        swept = self._minimised(pairs, given.sweep_seconds, settings, ("noisy",), judges)
        every = pd.concat([minima(path, DESCENT), minima(swept, SWEEP)], ignore_index=True)
        write_table(every.round(DECIMALS), self.folder / "minima.csv")
        return every

    def _minimised(
        self,
        pairs: Sequence[UtterancePair],
        seconds: float,
        settings: Sequence[Setting],
        starts: Sequence[Start],
        judges: Sequence[Judge] = (),
        watched: bool = False,
    ) -> pd.DataFrame:
        batches, parts = batches_of_clips(pairs, seconds), self.folder / "parts"
        iterations = self.parameters.iterations
        with PesqWorkers(1) as scorer:
            return run_descents(batches, settings, starts, iterations, scorer, judges, watched, parts=parts)

    def stations(self, pairs: Sequence[UtterancePair], clip: str, best_iteration: int) -> ClipStations:
        """The stations of one clip; objective/audio/NAME.wav holds their sound, all at the clean clip's level."""
        pair = next(pair for pair in pairs if pair.id == clip)
        stations = clip_stations(pair, best_iteration, self.parameters.iterations)
        audio = self.folder / "audio"
        audio.mkdir(parents=True, exist_ok=True)
        for name, played in zip(PLAYED, to_play(_versions(stations), same_level=True), strict=True):
            soundfile.write(audio / f"{PLAYED[name]}.wav", played.waveform, SAMPLE_RATE)
        return stations

    def players(self, stations: ClipStations) -> HTML:
        """Players and spectrograms of the stations, brought to one level."""
        return page(_versions(stations), same_level=True)

    def plane(self, path: pd.DataFrame) -> pd.DataFrame:
        """Descents and the run's trained epochs on one plane (plane.csv)."""
        return write_table(plane_of(path, self.root / "training").round(DECIMALS), self.folder / "plane.csv")


def _versions(stations: ClipStations) -> list[Version]:
    return [Version(name, stations.states[name].waveform[0].numpy()) for name in PLAYED]
