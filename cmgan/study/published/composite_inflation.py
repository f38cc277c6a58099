"""What the scale of the slope measure does to CSIG, CBAK and COVL in the public evaluation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair
from cmgan.metrics.composite import composite, spectral_distances
from cmgan.metrics.pesq_score import pesq_score
from cmgan.metrics.snr import segmental_snr
from cmgan.study.statistics import mean_interval

RATINGS = ("csig", "cbak", "covl")
LABELS = {"csig": "CSIG", "cbak": "CBAK", "covl": "COVL"}
MARGIN_RATING = 0.1


def composite_inflation(pairs: Sequence[UtterancePair]) -> pd.DataFrame:
    """Ratings of noisy speech with WSS as the MATLAB original has it and as the public evaluation has it.

    One row per utterance and metric: id, metric (csig, cbak, covl, wss), int16_scale, float_scale, inflation
    (float − int16). NaN where PESQ failed or a signal has no frames.
    """
    rows = []
    for pair in pairs:
        clean, noisy = (signal.astype(np.float64) for signal in (pair.clean, pair.noisy))
        pesq, ssnr = pesq_score(clean, noisy).value, segmental_snr(clean, noisy)
        scales = []
        for scale in ("int16", "float"):
            distances = spectral_distances(clean, noisy, scale)
            scales.append(vars(composite(pesq, distances, ssnr)) | {"wss": distances.wss})
        right, public = scales
        rows += [
            {
                "id": pair.id,
                "metric": metric,
                "int16_scale": right[metric],
                "float_scale": public[metric],
                "inflation": public[metric] - right[metric],
            }
            for metric in (*RATINGS, "wss")
        ]
    return pd.DataFrame(rows)


def mean_inflation(inflation: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean inflation of each metric with its 95 % interval over utterances; frame of `composite_inflation`.

    One row per metric: metric, inflation, low, high, utterances.
    """
    rows = []
    for metric, group in inflation.groupby("metric", sort=False):
        mean = mean_interval(group["inflation"], seed)
        rows.append(
            {
                "metric": metric,
                "inflation": mean.estimate,
                "low": mean.low,
                "high": mean.high,
                "utterances": mean.n,
            }
        )
    return pd.DataFrame(rows)


def inflation_in_words(inflation: pd.DataFrame, seed: int = 0) -> str:
    """How far the public evaluation's ratings lie above the original's; frame of `composite_inflation`."""
    means = mean_inflation(inflation, seed).set_index("metric")
    parts = [
        f"{LABELS[metric]} by {_signed(means.loc[metric, 'inflation'])} ({_signed(means.loc[metric, 'low'])} to "
        f"{_signed(means.loc[metric, 'high'])})"
        for metric in RATINGS
    ]
    above, below = (
        [LABELS[metric] for metric in RATINGS if reached(means.loc[metric])]
        for reached in (lambda row: row["low"] > MARGIN_RATING, lambda row: row["high"] < MARGIN_RATING)
    )
    verdicts = [
        f"certainly {relation} than {MARGIN_RATING:g} for {', '.join(names)}"
        for relation, names in (("more", above), ("less", below))
        if names
    ]
    verdict = " and ".join(verdicts) or f"neither certainly more nor less than {MARGIN_RATING:g}"
    ratings = inflation[inflation["metric"].isin(RATINGS)]
    return (
        f"On {means['utterances'].min()} files the public evaluation's scale moves "
        f"{', '.join(parts)}, mean and 95 % interval: {verdict}. The largest single change is "
        f"{_signed(ratings['inflation'].max())}; WSS itself falls from {_mean(inflation, 'int16_scale'):.1f} to "
        f"{_mean(inflation, 'float_scale'):.1f}."
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _mean(inflation: pd.DataFrame, column: str) -> float:
    return inflation.loc[inflation["metric"] == "wss", column].mean()
