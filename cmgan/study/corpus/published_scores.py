"""Whether noisy test recordings are the published ones: their scores against those published file by file.

Source: PESQ and segmental SNR of all 824 unprocessed test files of VoiceBank+DEMAND, published with the public code's
evaluation (public issue threads of CMGAN), in data/published_noisy_scores.csv.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair
from cmgan.metrics.pesq_score import pesq_score
from cmgan.metrics.snr import segmental_snr

PUBLISHED = Path(__file__).parent / "data" / "published_noisy_scores.csv"
# Good resamplers move PESQ by less than 0.006 and the segmental SNR by less than 0.05 dB; see tests.
PESQ_TOLERANCE = 0.02
SSNR_TOLERANCE = 0.1
SHARE_THAT_FITS = 0.95
_RESAMPLED_PESQ = 0.3
_RESAMPLED_SSNR = 1.0
_LOOKED_INTO = 8
_LONGEST_LAG = 1600
# Speech has at least 1.26, clipped at a third of its peak at most 1.04.
_CLIPPED_RATIO = 1.15
_LEVEL_TOLERANCE_DB = 0.5


def compare_with_published(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores (columns id, pesq, ssnr) beside the published ones: the difference of each and whether it `fits`.

    Recordings that are not among the published ones are left out.
    """
    published = pd.read_csv(PUBLISHED).rename(columns={"track": "id"})
    both = scores[["id", "pesq", "ssnr"]].merge(published, on="id", suffixes=("", "_published"))
    both["pesq_difference"] = both["pesq"] - both["pesq_published"]
    both["ssnr_difference"] = both["ssnr"] - both["ssnr_published"]
    both["fits"] = _fits(both["pesq_difference"], both["ssnr_difference"])
    return both


def check_published_scores(scores: pd.DataFrame, pairs: list[UtterancePair]) -> str:
    """A sentence that the recordings are the published ones.

    Raises ValueError that names how many are not and the likely cause, or that none is among the published ones.
    """
    compared = compare_with_published(scores)
    if compared.empty:
        raise ValueError(
            "no test recording has the name of a published one (p232_001): is this VoiceBank+DEMAND?"
        )
    fitting, count = int(compared["fits"].sum()), len(compared)
    medians = (
        f"median difference {compared['pesq_difference'].abs().median():.4f} PESQ, "
        f"{compared['ssnr_difference'].abs().median():.3f} dB segmental SNR"
    )
    if fitting < SHARE_THAT_FITS * count:
        cause = likely_cause(compared[~compared["fits"]], pairs)
        raise ValueError(
            f"{count - fitting} of {count} noisy test recordings score other than published ({medians}); "
            f"likely cause: {cause}. Prepare the recordings again before training on them"
        )
    return f"{fitting} of {count} noisy test recordings score as published: {medians}."


def likely_cause(misfits: pd.DataFrame, pairs: list[UtterancePair]) -> str:
    """What most of a few recordings that do not fit have in common; rows of `compare_with_published`."""
    by_id = {pair.id: pair for pair in pairs}
    some = misfits.iloc[np.unique(np.linspace(0, len(misfits) - 1, _LOOKED_INTO).round().astype(int))]
    causes = Counter(_cause(by_id[row.id], row) for row in some.itertuples())
    return causes.most_common(1)[0][0]


def _cause(pair: UtterancePair, row: tuple) -> str:
    clean, noisy = pair.clean, pair.noisy
    if _as_published(noisy, clean, row):
        return "clean and noisy are swapped"
    lag = _lag(clean, noisy)
    if lag and _as_published(*_aligned(clean, noisy, lag), row):
        return "noisy is shifted against clean" + f" ({'late' if lag > 0 else 'early'})"
    if _is_clipped(clean) or _is_clipped(noisy):
        return "the recordings are clipped"
    level = np.dot(clean, noisy) / np.dot(clean, clean)
    ssnr_at_level = segmental_snr(clean, noisy / level) - row.ssnr_published if level > 0 else np.inf
    if abs(row.pesq_difference) <= PESQ_TOLERANCE and abs(ssnr_at_level) <= _LEVEL_TOLERANCE_DB:
        return "the level of noisy was changed against clean"
    if abs(row.pesq_difference) < _RESAMPLED_PESQ and abs(row.ssnr_difference) < _RESAMPLED_SSNR:
        return "they were resampled by other means (band or filter differ)"
    return "they are other recordings than the published ones"


def _as_published(reference: np.ndarray, degraded: np.ndarray, row: tuple) -> bool:
    pesq = pesq_score(reference, degraded).value
    return bool(_fits(pesq - row.pesq_published, segmental_snr(reference, degraded) - row.ssnr_published))


def _fits(pesq_difference: pd.Series | float, ssnr_difference: pd.Series | float) -> pd.Series | bool:
    return (abs(pesq_difference) <= PESQ_TOLERANCE) & (abs(ssnr_difference) <= SSNR_TOLERANCE)


def _lag(clean: np.ndarray, noisy: np.ndarray) -> int:
    """Samples by which noisy is late against clean, where the two are most alike."""
    size = 2 * len(clean)
    alike = np.fft.irfft(np.fft.rfft(noisy, size) * np.conj(np.fft.rfft(clean, size)), size)
    lags = np.arange(-_LONGEST_LAG, _LONGEST_LAG + 1)
    return int(lags[np.argmax(alike[lags])])


def _aligned(clean: np.ndarray, noisy: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    return (clean[:-lag], noisy[lag:]) if lag > 0 else (clean[-lag:], noisy[:lag])


def _is_clipped(waveform: np.ndarray) -> bool:
    """Whether the loudest samples are all about as loud, as resampling leaves them that were all the same."""
    loud, loudest = np.quantile(np.abs(waveform), [0.99, 0.999])
    return bool(loudest < _CLIPPED_RATIO * loud)
