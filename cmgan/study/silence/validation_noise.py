"""How much validation PESQ moves when nothing but the places of the random crops does."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair, crop
from cmgan.metrics.pesq import pesq_score
from cmgan.signal import SAMPLE_RATE
from cmgan.statistics import Interval, mean_interval, visible_drop
from cmgan.study.silence.survey import PUBLISHED_CROP_SECONDS

SCORED_UTTERANCES = 60  # of each split
PUBLISHED_VALIDATION = 824  # utterances: the public code validates on the whole test split
CLAIMED_COLLAPSE = 0.5
EPOCH_SIZES = (1, 2, 3, 6, 12, 25, 50, 100, 200, 400, PUBLISHED_VALIDATION)


def random_crop_scores(pairs: Sequence[UtterancePair], repeats: int, seed: int) -> pd.DataFrame:
    """PESQ of noisy speech on `repeats` random 2 s crops of every utterance, beside that of the whole file.

    Crops are the trainer's own: an utterance that is shorter repeats and gives the same crop each time. One row
    per crop: utterance, repeat, pesq, whole_pesq (NaN where they failed).
    """
    rows = []
    samples = round(PUBLISHED_CROP_SECONDS * SAMPLE_RATE)
    for number, pair in enumerate(pairs):
        rng = np.random.default_rng([seed, 6, number])
        whole = pesq_score(pair.clean, pair.noisy).value
        for repeat in range(repeats):
            score = pesq_score(*crop(pair, samples, rng)).value
            rows.append({"utterance": pair.id, "repeat": repeat, "pesq": score, "whole_pesq": whole})
    return pd.DataFrame(rows)


def crop_variance(scores: pd.DataFrame, seed: int) -> Interval:
    """Variance of PESQ between crops of one utterance, averaged over utterances, with its interval over these.

    Frame of `random_crop_scores`; utterances with fewer than two scores are left out and counted.
    """
    return mean_interval(scores.groupby("utterance")["pesq"].var(ddof=1), seed)


def crop_variance_of_estimates(trainings: Sequence[pd.DataFrame]) -> Interval:
    """The same for estimates, from validation.csv of each training: how the random crop departs from the whole file.

    An epoch draws one crop of each utterance; the difference of its PESQ from that of the whole estimate is taken,
    so that what was learned between epochs cancels. Variances are averaged over trainings, then over utterances.
    """
    stacked = pd.concat(dict(enumerate(trainings)), names=["training"]).reset_index("training")
    difference = stacked["pesq_random_crop"] - stacked["pesq"]
    variances = difference.groupby([stacked["training"], stacked["id"]]).var(ddof=1)
    return mean_interval(variances.groupby("id").mean(), seed=0)


def visible_drops(scores: pd.DataFrame, validation_utterances: int, seed: int) -> pd.DataFrame:
    """`visible_drop` by number of utterances in an epoch, with its interval; frame of `random_crop_scores`.

    One row per number: utterances, standard_error, drop, low, high, mark: which validation has that many
    ("this run", "published", or empty).
    """
    variance = crop_variance(scores, seed)
    marks = {PUBLISHED_VALIDATION: "published", validation_utterances: "this run"}
    rows = [
        {
            "utterances": count,
            "standard_error": np.sqrt(variance.estimate / count),
            "drop": visible_drop(variance.estimate, count),
            "low": visible_drop(variance.low, count),
            "high": visible_drop(variance.high, count),
            "mark": marks.get(count, ""),
        }
        for count in sorted({*EPOCH_SIZES, validation_utterances})
    ]
    return pd.DataFrame(rows)
