"""What the label policies make of the same PESQ scores: which labels the discriminator would have learned from."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd

from cmgan.labels import inject_failure, labels_from_pesq
from cmgan.recipe import LabelPolicy
from cmgan.study.margins import CLAIMED_SKIP_SHARE
from cmgan.study.rank_correlation import cluster_rank_correlation
from cmgan.study.silence.words import PUBLISHED_BATCH, PUBLISHED_CROP_SECONDS

POLICIES: tuple[LabelPolicy, ...] = get_args(LabelPolicy)
FAILURE_RATES = (0.0, 0.1, 0.25, CLAIMED_SKIP_SHARE, 0.9)


def published_length(crops: pd.DataFrame) -> pd.DataFrame:
    """The crops whose length is nearest to the published 2 s; frame of `silence.survey_crops`."""
    lengths = crops["crop_seconds"].to_numpy()
    return crops[lengths == _nearest(lengths, PUBLISHED_CROP_SECONDS)].reset_index(drop=True)


def label_samples(
    pesq: np.ndarray, batch_sizes: Sequence[int], failure_rates: Sequence[float], seed: int
) -> pd.DataFrame:
    """Labels that every policy gives to the same scores (n,), NaN where PESQ failed, put into batches at random.

    In a share `failure_rate` of the batches one sample is made to fail, as in training, so that its own PESQ is
    known and hidden from the policy. One row per policy, batch size, failure rate and sample: policy, batch_size,
    failure_rate, batch, pesq (its own), failed, label (NaN: the discriminator does not learn from it). The last
    incomplete batch is dropped, sizes above n are left out. Batches are the same for every policy, and those that
    fail at one rate fail at every higher one.
    """
    rows = []
    for size in batch_sizes:
        batches = len(pesq) // size
        order = np.random.default_rng([seed, 4, size]).permutation(pesq)[: batches * size]
        for rate in failure_rates:
            rng = np.random.default_rng([seed, 5, size])
            given = [inject_failure(batch, rate, rng)[0] for batch in order.reshape(batches, size)]
            rows += [
                pd.DataFrame(
                    {
                        "policy": policy,
                        "batch_size": size,
                        "failure_rate": rate,
                        "batch": np.repeat(np.arange(batches), size),
                        "pesq": order,
                        "failed": np.isnan(np.concatenate([*given, []])),
                        "label": np.concatenate([*(_learned(scores, policy) for scores in given), []]),
                    }
                )
                for policy in POLICIES
            ]
    return pd.concat(rows, ignore_index=True)


def label_effects(samples: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What became of the labels, a row per policy, batch size and failure rate; frame of `label_samples`.

    crops: samples in complete batches. label_std: spread within a batch, pooled over batches, in labels (PESQ /
    3.5); NaN where no batch has two. label_std_all: spread of all labels. rank_correlation: Spearman's, of a label
    with the sample's own PESQ, with rank_correlation_low and _high (95 %, bootstrap over batches; too narrow below
    ten batches); NaN without three labels or where they are all alike. unlabelled_share: samples the discriminator
    does not learn from. invented_share: samples with a label though their PESQ failed, which no score of their own
    stands behind.
    """
    keys = ["policy", "batch_size", "failure_rate"]
    rows = []
    for key, group in samples.groupby(keys, sort=False):
        labelled = group[group["label"].notna()]
        known = labelled[labelled["pesq"].notna()]
        correlation = cluster_rank_correlation(known["label"], known["pesq"], known["batch"], seed)
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                "crops": len(group),
                "label_std": _pooled_std(labelled),
                "label_std_all": labelled["label"].std(),
                "rank_correlation": correlation.estimate,
                "rank_correlation_low": correlation.low,
                "rank_correlation_high": correlation.high,
                "unlabelled_share": group["label"].isna().mean(),
                "invented_share": (group["failed"] & group["label"].notna()).mean(),
            }
        )
    return pd.DataFrame(rows)


def shown_samples(samples: pd.DataFrame) -> pd.DataFrame:
    """The smallest batches and those nearest to the published size, at the claimed failure rate; for a figure."""
    sizes, rates = samples["batch_size"].unique(), samples["failure_rate"].unique()
    shown = {sizes.min(), _nearest(sizes, PUBLISHED_BATCH)}
    return samples[
        samples["batch_size"].isin(shown) & (samples["failure_rate"] == _nearest(rates, CLAIMED_SKIP_SHARE))
    ].reset_index(drop=True)


def labels_in_words(effects: pd.DataFrame) -> str:
    """What sharing a label costs and what skipping costs, at the published batch and at one sample a batch.

    Frame of `label_effects`; without such a batch size, the nearest (Markdown).
    """
    sizes = effects["batch_size"].unique()
    size = _nearest(sizes, PUBLISHED_BATCH)
    rates = effects["failure_rate"].unique()
    rate = _nearest(rates, CLAIMED_SKIP_SHARE)
    intact, failing = (
        effects[(effects["batch_size"] == size) & (effects["failure_rate"] == chosen)].set_index("policy")
        for chosen in (rates.min(), rate)
    )
    single = effects[(effects["batch_size"] == sizes.min()) & (effects["failure_rate"] == rate)]
    single = single.set_index("policy")
    return (
        f"In batches of {size}, the batch's mean as everybody's label has a rank correlation of "
        f"{_with_bounds(intact.loc['batch_mean'])} with a sample's own PESQ where nothing fails, and no spread "
        f"within a batch; each sample's own label has {_with_bounds(intact.loc['mask'])} and a spread of "
        f"{intact.loc['mask', 'label_std']:.3f}. When one sample fails in {_percent(rate)} of the batches, skipping "
        f"leaves {_percent(failing.loc['skip_batch', 'unlabelled_share'])} of the samples without a label, masking "
        f"{_percent(failing.loc['mask', 'unlabelled_share'])}; the batch mean gives "
        f"{_percent(failing.loc['batch_mean', 'invented_share'])} of the samples a label without a measurement. In "
        f"batches of {sizes.min()}, the batch mean's rank correlation is then "
        f"{_with_bounds(single.loc['batch_mean'])}, with {_percent(single.loc['batch_mean', 'invented_share'])} of "
        "the samples given an invented label."
    )


def _nearest(values: np.ndarray, wanted: float) -> float:
    return values[np.abs(values - wanted).argmin()]


def _learned(scores: np.ndarray, policy: LabelPolicy) -> np.ndarray:
    labels = labels_from_pesq(scores, policy)
    learned = labels.kept & (not labels.skip)
    return np.where(learned, labels.values, np.nan)


def _pooled_std(labelled: pd.DataFrame) -> float:
    by_batch = labelled.groupby("batch")["label"]
    freedom = int((by_batch.size() - 1).sum())
    squares = (labelled["label"] - by_batch.transform("mean")).pow(2).sum()
    return float(np.sqrt(squares / freedom)) if freedom else np.nan


def _with_bounds(row: pd.Series) -> str:
    if np.isnan(row["rank_correlation"]):
        return "no value"
    bounds = f"{row['rank_correlation_low']:.2f} to {row['rank_correlation_high']:.2f}"
    return f"{row['rank_correlation']:.2f} ({bounds})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
