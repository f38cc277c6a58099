"""What became of the claims that causes rest on: titles from the claims file, verdicts from a run's report."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from cmgan.study.claims.rules import read_claims
from cmgan.study.paths import repository_root

REFERENCE = Path("results", "reference", "report", "claims.csv")


def reference_table() -> Path | None:
    """claims.csv of the study's own reference run; None outside a checkout that has it."""
    try:
        path = repository_root() / REFERENCE
    except FileNotFoundError:
        return None
    return path if path.is_file() else None


def verdicts_in(path: Path) -> dict[str, str]:
    """Verdict of each claim id in a run's report/claims.csv; ValueError, naming the file, for another table."""
    try:
        table = pd.read_csv(path)
        judged = table.dropna(subset=["claim_verdict"]).drop_duplicates("claim")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, KeyError) as error:
        raise ValueError(
            f"{path}: not the claims.csv of a report ({error}); give results/RUN/report/claims.csv"
        ) from error
    return dict(zip(judged["claim"], judged["claim_verdict"], strict=True))


def claim_in_words(claim: str, verdicts: Mapping[str, str]) -> str:
    """`claim C12: title`, with the claim's verdict where there is one."""
    verdict = f" ({verdicts[claim]} by the report)" if claim in verdicts else ""
    return f"claim {claim}: {_titles()[claim]}{verdict}"


@cache
def _titles() -> dict[str, str]:
    return {claim.id: claim.title for claim in read_claims().claims}
