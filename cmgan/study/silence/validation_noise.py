"""How much validation PESQ moves when nothing but the places of the random crops does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair, crop, load_pairs
from cmgan.metrics.pesq_score import pesq_score
from cmgan.signal import SAMPLE_RATE
from cmgan.study.margins import MARGIN_PESQ
from cmgan.study.silence.formulas import visible_drop
from cmgan.study.silence.words import PUBLISHED_CROP_SECONDS
from cmgan.study.statistics import Interval, mean_interval
from data_prep.manifest import read_manifest, select_split

SCORED_UTTERANCES = 60
PUBLISHED_VALIDATION = 824  # utterances: the public code validates on the whole test split
CLAIMED_COLLAPSE = 0.5
EPOCH_SIZES = (1, 2, 3, 6, 12, 25, 50, 100, 200, 400, PUBLISHED_VALIDATION)


def validated_pairs(manifest: Path) -> list[UtterancePair]:
    """Utterances of the validation and the test split, at most SCORED_UTTERANCES evenly spread over each."""
    return [
        pair for split in ("validation", "test") for pair in load_pairs(manifest, split, SCORED_UTTERANCES)
    ]


def utterances_of_a_run(manifest: Path, limit: int) -> int:
    """How many validation utterances training scores after an epoch; limit 0 takes the whole split."""
    available = len(select_split(read_manifest(manifest), "validation"))
    return min(limit, available) if limit else available


def crop_repeats(crops: int) -> int:
    """Crops of each utterance in a survey of `crops` a length: fewer, since there are many utterances."""
    return max(3, crops // 12)


def random_crop_scores(
    pairs: Sequence[UtterancePair], repeats: int, seed: int, crop_seconds: float = PUBLISHED_CROP_SECONDS
) -> pd.DataFrame:
    """PESQ of noisy speech on `repeats` random crops of every utterance, beside that of the whole file.

    Crops are the trainer's own: an utterance that is shorter repeats and gives the same crop each time. One row
    per crop: utterance, repeat, pesq, whole_pesq (NaN where they failed).
    """
    rows = []
    samples = round(crop_seconds * SAMPLE_RATE)
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


def crop_variance_of_estimates(trainings: Sequence[pd.DataFrame], seed: int) -> Interval:
    """The same for estimates, from validation.csv of each training: how the random crop departs from the whole file.

    An epoch draws one crop of each utterance; the difference of its PESQ from that of the whole estimate is taken,
    so that what was learned between epochs cancels. Variances are averaged over trainings, then over utterances.
    """
    stacked = pd.concat(dict(enumerate(trainings)), names=["training"])
    difference = (stacked["pesq_random_crop"] - stacked["pesq"]).rename("difference")
    variances = difference.groupby([stacked.index.get_level_values("training"), stacked["id"]]).var(ddof=1)
    return mean_interval(variances.groupby("id").mean(), seed)


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


def estimates_in_words(trainings: Sequence[pd.DataFrame], seed: int = 0) -> str:
    """How noisy random crops were in this run's validations; validation.csv of each training."""
    variance = crop_variance_of_estimates(trainings, seed)
    if not variance.n:
        return "Trainings of a single epoch do not show how noisy their random crops are."
    drops = {count: visible_drop(variance.estimate, count) for count in (variance.n, PUBLISHED_VALIDATION)}
    return (
        f"In this run's own validations ({len(trainings)} trainings, {variance.n} utterances) the estimates' crops "
        f"have a standard deviation of {np.sqrt(variance.estimate):.2f} around whole files, so that by accident "
        f"epochs differ by {' or by '.join(f'{drop:.2g} over {count} utterances' for count, drop in drops.items())}."
    )


def noise_in_words(scores: pd.DataFrame, drops: pd.DataFrame) -> str:
    """Whether random crops hide the claimed collapse; frames of `random_crop_scores` and `visible_drops`."""
    by_utterance = scores.groupby("utterance").agg(crops=("pesq", "mean"), whole=("whole_pesq", "first"))
    offset = (by_utterance["crops"] - by_utterance["whole"]).mean()
    marked = drops[drops["mark"].fillna("") != ""].sort_values("utterances")
    parts = [
        f"with {row.utterances} ({_NAMES[row.mark]}) a drop of {row.drop:.2g} PESQ (95 % interval {row.low:.2g} to "
        f"{row.high:.2g})"
        for row in marked.itertuples()
    ]
    enough = drops.loc[drops["high"] < CLAIMED_COLLAPSE, "utterances"]
    seen = (
        f"with {enough.min()} utterance{'s' if enough.min() > 1 else ''} or more"
        if len(enough)
        else "with none of these numbers"
    )
    single = drops["standard_error"].iloc[0] * np.sqrt(drops["utterances"].iloc[0])
    return (
        f"Between random crops of {PUBLISHED_CROP_SECONDS:g} s of one utterance PESQ has a standard deviation of "
        f"{single:.2f} ({scores['utterance'].nunique()} utterances, {len(scores)} crops). Two epochs that differ "
        f"in their crops alone show {'; '.join(parts)} or more in 5 % of the cases. A collapse of "
        f"{CLAIMED_COLLAPSE:g} stands out **{seen}**; a change of {MARGIN_PESQ:g} needs "
        f"{_needed(drops)}. Crops score {abs(offset):.2f} {'above' if offset > 0 else 'below'} whole files on "
        "average, in every epoch alike."
    )


_NAMES = {"published": "the published test split", "this run": "this run's validation"}


def _needed(drops: pd.DataFrame) -> str:
    enough = drops.loc[drops["drop"] < MARGIN_PESQ, "utterances"]
    if enough.empty:
        return f"more than {drops['utterances'].max()}"
    return f"about {enough.min()} utterance" + "s" * int(enough.min() != 1)
