"""What 03_objective does: read clips, run descents and sweeps, keep their tables."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.metrics.pesq import PesqWorkers
from cmgan.study.notebook_parameters import ObjectiveParameters
from cmgan.study.objective.clips import batches_of_clips, recorded_pairs
from cmgan.study.objective.experiments import (
    Setting,
    load_judges,
    run_descents,
    swept_settings,
    target_settings,
)
from cmgan.study.objective.minima import DESCENT, STARTS, SWEEP, minima, plane_of
from cmgan.study.objective.minimiser import Start
from cmgan.study.objective.stations import ClipStations, clip_stations
from data_prep.whole_files import write_table

DECIMALS = 6


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
        settings: Sequence[Setting],
        starts: Sequence[Start],
        watched: bool = False,
    ) -> pd.DataFrame:
        batches, iterations = batches_of_clips(pairs, seconds), self.parameters.objective_iterations
        parts = self.folder / "parts"
        with PesqWorkers(1) as scorer:
            return run_descents(batches, settings, starts, iterations, scorer, watched, parts=parts)
