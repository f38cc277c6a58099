"""What the scale of the slope measure does to CSIG, CBAK and COVL in the public evaluation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair
from cmgan.metrics.composite import composite, spectral_distances
from cmgan.metrics.pesq import pesq_score
from cmgan.metrics.snr import segmental_snr
from cmgan.statistics import mean_interval
from cmgan.study.wording import number

RATINGS = ("csig", "cbak", "covl")
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
        rated = {}
        for scale in ("int16", "float"):
            distances = spectral_distances(clean, noisy, scale)
            rated[f"{scale}_scale"] = vars(composite(pesq, distances, ssnr)) | {"wss": distances.wss}
        rows += [
            {"id": pair.id, "metric": metric} | {scale: values[metric] for scale, values in rated.items()}
            for metric in (*RATINGS, "wss")
        ]
    table = pd.DataFrame(rows)
    return table.assign(inflation=table["float_scale"] - table["int16_scale"])


def mean_inflation(inflation: pd.DataFrame) -> pd.DataFrame:
    """Mean inflation of each metric with its 95 % interval over utterances; frame of `composite_inflation`.

    One row per metric: metric, inflation, low, high, utterances.
    """
    rows = []
    for metric, group in inflation.groupby("metric", sort=False):
        mean = mean_interval(group["inflation"], seed=0)
        rows.append({"metric": metric} | mean.columns("inflation") | {"utterances": mean.n})
    return pd.DataFrame(rows)


def inflation_in_words(inflation: pd.DataFrame) -> str:
    """How far the public evaluation's ratings lie above the original's; frame of `composite_inflation`."""
    means = mean_inflation(inflation).set_index("metric")
    ratings = means.loc[list(RATINGS)]
    parts = [
        "{} by {} ({} to {})".format(
            metric.upper(), *(number(row[name], "+.3f") for name in ("inflation", "low", "high"))
        )
        for metric, row in ratings.iterrows()
    ]
    verdicts = [
        f"certainly {relation} than {MARGIN_RATING:g} for {', '.join(names.str.upper())}"
        for relation, names in (
            ("more", ratings.index[ratings["low"] > MARGIN_RATING]),
            ("less", ratings.index[ratings["high"] < MARGIN_RATING]),
        )
        if len(names)
    ]
    verdict = " and ".join(verdicts) or f"neither certainly more nor less than {MARGIN_RATING:g}"
    largest = inflation.loc[inflation["metric"].isin(RATINGS), "inflation"].max()
    wss = inflation.loc[inflation["metric"] == "wss", ["int16_scale", "float_scale"]].mean()
    return (
        f"On {means['utterances'].min()} files the public evaluation's scale moves "
        f"{', '.join(parts)}, mean and 95 % interval: {verdict}. The largest single change is "
        f"{number(largest, '+.3f')}; WSS itself falls from {wss['int16_scale']:.1f} to {wss['float_scale']:.1f}."
    )
