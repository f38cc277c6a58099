"""What the label policies make of the same PESQ scores: which labels the discriminator would have learned from."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd

from cmgan.labels import inject_failure, labels_from_pesq
from cmgan.recipe import LabelPolicy
from cmgan.statistics import CLAIMED_SKIP_SHARE, cluster_rank_correlation
from cmgan.study.silence.survey import PUBLISHED_BATCH, PUBLISHED_CROP_SECONDS, nearest

FAILURE_RATES = (0.0, 0.1, 0.25, CLAIMED_SKIP_SHARE, 0.9)


def published_length(crops: pd.DataFrame) -> pd.DataFrame:
    """The crops whose length is nearest to the published 2 s; frame of `scored_crops`."""
    return crops[crops["crop_seconds"] == nearest(crops["crop_seconds"], PUBLISHED_CROP_SECONDS)]


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
    frames = []
    for size in batch_sizes:
        batches = len(pesq) // size
        order = np.random.default_rng([seed, 4, size]).permutation(pesq)[: batches * size]
        for rate in failure_rates:
            rng = np.random.default_rng([seed, 5, size])
            given = [inject_failure(batch, rate, rng)[0] for batch in order.reshape(batches, size)]
            for policy in get_args(LabelPolicy):
                labels = [labels_from_pesq(scores, policy) for scores in given]
                learned = [np.where(one.kept & (not one.skip), one.values, np.nan) for one in labels]
                columns = {
                    "policy": policy,
                    "batch_size": size,
                    "failure_rate": rate,
                    "batch": np.repeat(np.arange(batches), size),
                    "pesq": order,
                    "failed": np.isnan(np.ravel(given)),
                    "label": np.ravel(learned),
                }
                frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


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
        by_batch = labelled.groupby("batch")["label"]
        squares = (labelled["label"] - by_batch.transform("mean")).pow(2).sum()
        freedom = len(labelled) - by_batch.ngroups
        row = {
            "crops": len(group),
            "label_std": np.sqrt(squares / freedom) if freedom else np.nan,
            "label_std_all": labelled["label"].std(),
            "rank_correlation": correlation.estimate,
            "rank_correlation_low": correlation.low,
            "rank_correlation_high": correlation.high,
            "unlabelled_share": group["label"].isna().mean(),
            "invented_share": (group["failed"] & group["label"].notna()).mean(),
        }
        rows.append(dict(zip(keys, key, strict=True)) | row)
    return pd.DataFrame(rows)


def shown_samples(samples: pd.DataFrame) -> pd.DataFrame:
    """The smallest batches and those nearest to the published size, at the claimed failure rate; for a figure."""
    sizes = samples["batch_size"].min(), nearest(samples["batch_size"], PUBLISHED_BATCH)
    rate = nearest(samples["failure_rate"], CLAIMED_SKIP_SHARE)
    return samples[samples["batch_size"].isin(sizes) & (samples["failure_rate"] == rate)]
