"""What the silence survey says, in sentences put together from its tables (Markdown)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cmgan.statistics import CLAIMED_SKIP_SHARE, MARGIN_PESQ, visible_drop
from cmgan.study.silence.survey import PUBLISHED_BATCH, PUBLISHED_CROP_SECONDS, nearest
from cmgan.study.silence.validation_noise import (
    CLAIMED_COLLAPSE,
    PUBLISHED_VALIDATION,
    crop_variance_of_estimates,
)
from cmgan.study.wording import counted

LITTLE_SPEECH_MS = 200
_VALIDATIONS = {"published": "the published test split", "this run": "this run's validation"}


def crops_in_words(shares: pd.DataFrame) -> str:
    """Failures a crop length; frame of `failure_shares` by crop_seconds."""
    parts = [
        f"{row.failed} of {row.n} crops of {row.crop_seconds:g} s have no PESQ (95 % interval of the share: "
        f"{_percent(row.low)} to {_percent(row.high)})"
        for row in shares.itertuples()
    ]
    return f"{'; '.join(parts)}."


def batches_in_words(batches: pd.DataFrame) -> str:
    """Whether the claimed share of failing batches can be, at the crop length nearest to the published 2 s.

    Frame of `batch_failures`. Judged by the interval of the share of single crops, which all crops went into.
    """
    seconds = nearest(batches["crop_seconds"], PUBLISHED_CROP_SECONDS)
    rows = batches[batches["crop_seconds"] == seconds].set_index("batch_size", drop=False)
    row = rows.loc[nearest(rows["batch_size"], PUBLISHED_BATCH)]
    excluded = rows.index[rows["predicted_high"] < CLAIMED_SKIP_SHARE]
    sizes = f"for batches of {', '.join(map(str, excluded))}" if len(excluded) else "for no batch size"
    return (
        f"With crops of {seconds:g} s and batches of {row['batch_size']:g}, {_percent(row['needed_crop_share'])} of "
        f"the crops would have to fail for {_percent(CLAIMED_SKIP_SHARE)} of the batches to fail. As often as crops "
        f"fail here, {_percent(row['predicted_low'])} to {_percent(row['predicted_high'])} of such batches do. By "
        f"the 95 % interval the claimed share is excluded on this corpus **{sizes}**."
    )


def doses_in_words(shares: pd.DataFrame, responses: pd.DataFrame) -> str:
    """How much speech PESQ needs and on which side; frames of `failure_shares` and `dose_response`."""
    reference = shares[shares["side"] == "reference"]
    failing = reference.loc[reference["failed"] > 0, "dose_ms"]
    threshold = "No crop fails, whatever is left in the reference"
    if len(failing):
        enough = reference.loc[reference["dose_ms"] > failing.max(), "dose_ms"]
        threshold = f"Some crops fail with up to {failing.max():g} ms of speech left in the reference" + (
            f", none with {enough.min():g} ms" if len(enough) else ""
        )
    some_speech = responses[responses["dose_ms"] > 0]
    failed = some_speech.assign(failed=some_speech["pesq"].isna()).pivot(
        index=["crop", "dose_ms"], columns="side", values="failed"
    )
    alike = (failed["reference"] == failed["both"]).sum()
    return (
        f"{threshold}. Wherever some speech is left ({len(failed)} cases), silencing the estimate alone fails "
        f"{failed['estimate'].sum()} times, and silencing both fails exactly where silencing the reference does in "
        f"{alike} of {len(failed)} cases."
    )


def activity_in_words(crops: pd.DataFrame) -> str:
    """What PESQ makes of crops with hardly any speech; frame of `scored_crops`."""
    little = crops["active_ms"] < LITTLE_SPEECH_MS
    failed = crops["pesq"].isna()
    return (
        f"{little.sum()} of {len(crops)} crops hold less than {LITTLE_SPEECH_MS} ms of active speech; "
        f"{(little & ~failed).sum()} of these still get a score. {(little & failed).sum()} of the {failed.sum()} "
        "failures are among them."
    )


def levels_in_words(changes: pd.DataFrame) -> str:
    """The largest change that a level makes, against the margin that would matter; frame of `level_changes`."""
    largest = changes["change"].abs().max()
    failures = (changes["pesq"].notna() & changes["pesq_scaled"].isna()).sum()
    comparison = "below" if largest < MARGIN_PESQ else "not below"
    return (
        f"Over {changes['change'].notna().sum()} comparisons the largest change of PESQ is {largest:.1g}, "
        f"{comparison} the margin of {MARGIN_PESQ:g} that would matter; scaling made {failures} scores fail."
    )


def labels_in_words(effects: pd.DataFrame) -> str:
    """What sharing a label costs and what skipping costs, at the published batch and at one sample a batch.

    Frame of `label_effects`; without such a batch size, the nearest.
    """
    rows = effects.set_index(["batch_size", "failure_rate", "policy"]).sort_index()
    size, smallest = nearest(effects["batch_size"], PUBLISHED_BATCH), effects["batch_size"].min()
    rate = nearest(effects["failure_rate"], CLAIMED_SKIP_SHARE)
    intact, failing = rows.xs((size, effects["failure_rate"].min())), rows.xs((size, rate))
    unlabelled, invented = 100 * failing["unlabelled_share"], 100 * failing["invented_share"]
    single = rows.loc[(smallest, rate, "batch_mean")]
    return (
        f"In batches of {size}, the batch's mean as everybody's label has a rank correlation of "
        f"{_correlation(intact.loc['batch_mean'])} with a sample's own PESQ where nothing fails, and no spread "
        f"within a batch; each sample's own label has {_correlation(intact.loc['mask'])} and a spread of "
        f"{intact.loc['mask', 'label_std']:.3f}. When one sample fails in {100 * rate:.0f} % of the batches, "
        f"skipping leaves {unlabelled['skip_batch']:.0f} % of the samples without a label, "
        f"masking {unlabelled['mask']:.0f} %; the batch mean gives "
        f"{invented['batch_mean']:.0f} % of the samples a label without a measurement. In "
        f"batches of {smallest}, the batch mean's rank correlation is then {_correlation(single)}, with "
        f"{100 * single['invented_share']:.0f} % of the samples given an invented label."
    )


def noise_in_words(scores: pd.DataFrame, drops: pd.DataFrame) -> str:
    """Whether random crops hide the claimed collapse; frames of `random_crop_scores` and `visible_drops`."""
    by_utterance = scores.groupby("utterance").agg(crops=("pesq", "mean"), whole=("whole_pesq", "first"))
    offset = (by_utterance["crops"] - by_utterance["whole"]).mean()
    parts = [
        f"with {row.utterances} ({_VALIDATIONS[row.mark]}) a drop of {row.drop:.2g} PESQ "
        f"(95 % interval {row.low:.2g} to {row.high:.2g})"
        for row in drops[drops["mark"].isin(_VALIDATIONS)].itertuples()
    ]
    enough = drops.loc[drops["high"] < CLAIMED_COLLAPSE, "utterances"]
    seen = f"{counted(enough.min(), 'utterance')} or more" if len(enough) else "none of these numbers"
    enough = drops.loc[drops["drop"] < MARGIN_PESQ, "utterances"]
    most = drops["utterances"].max()
    needed = f"about {counted(enough.min(), 'utterance')}" if len(enough) else f"more than {most}"
    single = drops["standard_error"].iloc[0] * np.sqrt(drops["utterances"].iloc[0])
    return (
        f"Between random crops of {PUBLISHED_CROP_SECONDS:g} s of one utterance PESQ has a standard deviation of "
        f"{single:.2f} ({scores['utterance'].nunique()} utterances, {len(scores)} crops). Two epochs that differ "
        f"in their crops alone show {'; '.join(parts)} or more in 5 % of the cases. A collapse of "
        f"{CLAIMED_COLLAPSE:g} stands out **with {seen}**; a change of {MARGIN_PESQ:g} needs {needed}. Crops score "
        f"{abs(offset):.2f} {'above' if offset > 0 else 'below'} whole files on average, in every epoch alike."
    )


def estimates_in_words(trainings: Sequence[pd.DataFrame]) -> str:
    """How noisy random crops were in this run's validations; validation.csv of each training."""
    variance = crop_variance_of_estimates(trainings)
    if not variance.n:
        return "Trainings of a single epoch do not show how noisy their random crops are."
    drops = [
        f"{visible_drop(variance.estimate, count):.2g} over {count} utterances"
        for count in (variance.n, PUBLISHED_VALIDATION)
    ]
    return (
        f"In this run's own validations ({len(trainings)} trainings, {variance.n} utterances) the estimates' crops "
        f"have a standard deviation of {np.sqrt(variance.estimate):.2f} around whole files, so that by accident "
        f"epochs differ by {' or by '.join(drops)}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _correlation(row: pd.Series) -> str:
    value, low, high = row[["rank_correlation", "rank_correlation_low", "rank_correlation_high"]]
    return "no value" if np.isnan(value) else f"{value:.2f} ({low:.2f} to {high:.2f})"
