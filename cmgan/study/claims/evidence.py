"""What a run offers as evidence: its tables, with a clear word where something is not there."""

from dataclasses import dataclass

import pandas as pd

from cmgan.study.claims.effects import MissingEvidenceError
from cmgan.study.run_results import RunResults


@dataclass(frozen=True)
class Evidence:
    """A run's tables and the level of the intervals that decide."""

    results: RunResults
    level: float

    def arm(self, frame: str, arm: str) -> pd.DataFrame:
        """Rows of one arm of `steps`, `epochs`, `validation` or `evaluation`; MissingEvidenceError without any."""
        table = getattr(self.results, frame)
        rows = table[table["arm"] == arm]
        if rows.empty:
            raise MissingEvidenceError(f"arm {arm} was not run")
        return rows

    def table(self, name: str) -> pd.DataFrame:
        """A CSV of the run, e.g. "silence/crops.csv"; MissingEvidenceError when it is not there or has no rows."""
        path = self.results.root / name
        if not path.is_file():
            raise MissingEvidenceError(f"{name} was not written")
        frame = pd.read_csv(path)
        if frame.empty:
            raise MissingEvidenceError(f"{name} has no rows")
        return frame
