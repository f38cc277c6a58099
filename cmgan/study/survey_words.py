"""What the silence survey and the published logs of a run say, from the tables that their notebooks left."""

from pathlib import Path

import pandas as pd

from cmgan.study import published_logs, silence_findings
from cmgan.study.silence import failure_shares


def silence_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/silence/*.csv; none when 02_silence_analysis was not run."""
    tables = _tables(run_root / "silence", "crops", "batches", "dose_response", "levels")
    if not tables:
        return []
    crops, batches, responses, levels = tables
    return [
        silence_findings.crops_in_words(failure_shares(crops, ["crop_seconds"])),
        silence_findings.batches_in_words(batches),
        silence_findings.doses_in_words(failure_shares(responses, ["side", "dose_ms"]), responses),
        silence_findings.activity_in_words(crops),
        silence_findings.levels_in_words(levels),
    ]


def evidence_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/evidence/*.csv; none when 05_published_logs was not run."""
    tables = _tables(run_root / "evidence", "skips", "discriminator_losses", "results")
    if not tables:
        return []
    skips, losses, results = tables
    return [
        published_logs.skips_in_words(skips.fillna({"code_version": ""})),
        published_logs.losses_in_words(losses),
        published_logs.validation_in_words(results),
    ]


def _tables(folder: Path, *names: str) -> list[pd.DataFrame]:
    files = [folder / f"{name}.csv" for name in names]
    return [pd.read_csv(file) for file in files] if all(file.is_file() for file in files) else []
