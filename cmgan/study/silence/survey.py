"""When PESQ fails: on random crops, in batches, with less and less speech, and at other levels.

A crop's estimate is its noisy speech. Crops are drawn independently (an utterance, then a place in it, both at
random), so that shares of failed crops are binomial: they speak for this corpus, not for other recordings.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.metrics.pesq_score import SAFE_SECONDS, PesqScore, pesq_score
from cmgan.study.margins import CLAIMED_SKIP_SHARE
from cmgan.study.silence.activity import level_dbfs
from cmgan.study.silence.crops import CropSource, window_of_speech
from cmgan.study.silence.formulas import batch_share, needed_crop_share
from cmgan.study.statistics import proportion_interval

SURVEYED_UTTERANCES = 200
DOSE_CROP_SECONDS = 2.0
SIDES = ("reference", "estimate", "both")
LEVEL_FACTORS = (0.05, 20.0)


def surveyed_pairs(manifest: Path) -> list[UtterancePair]:
    """Utterances of the training and the test split, at most SURVEYED_UTTERANCES evenly spread over each."""
    return [pair for split in ("train", "test") for pair in load_pairs(manifest, split, SURVEYED_UTTERANCES)]


def survey_crops(
    pairs: Sequence[UtterancePair], crop_seconds: Sequence[float], crops: int, seed: int
) -> pd.DataFrame:
    """PESQ of noisy against clean speech on `crops` random crops of each length.

    One row per crop: crop_seconds, id, active_ms (by the whole utterance's loud level), rms_dbfs (of the clean
    crop), pesq (NaN where it failed), pesq_reason. Raises ValueError for a length that PESQ cannot take.
    """
    too_long = [seconds for seconds in crop_seconds if not 0 < seconds <= SAFE_SECONDS]
    if too_long:
        raise ValueError(f"crop_seconds {too_long}: use lengths above 0 and up to {SAFE_SECONDS:g} s")
    rows = []
    for number, seconds in enumerate(crop_seconds):
        source = CropSource(pairs, seconds, np.random.default_rng([seed, 0, number]))
        for _ in range(crops):
            drawn = source.draw()
            rows.append(
                {
                    "crop_seconds": float(seconds),
                    "id": drawn.id,
                    "active_ms": drawn.active_ms,
                    "rms_dbfs": level_dbfs(drawn.clean),
                    **_columns(pesq_score(drawn.clean, drawn.noisy)),
                }
            )
    return pd.DataFrame(rows)


def batch_failures(survey: pd.DataFrame, batch_sizes: Sequence[int], seed: int) -> pd.DataFrame:
    """Share of batches with at least one failed crop, beside 1 − (1 − p)^B from the crops' own share p.

    The surveyed crops of each length are shuffled once and cut into complete batches of B. One row per length
    and B: crop_seconds, batch_size, batches, failed, share, low, high (exact interval), crop_share (p),
    predicted, predicted_low, predicted_high (from the exact interval of p), needed_crop_share: the p with which
    a share of CLAIMED_SKIP_SHARE of the batches would fail. Sizes above the number of crops are left out.
    """
    rows = []
    rng = np.random.default_rng([seed, 1])
    for seconds, group in survey.groupby("crop_seconds"):
        failed = rng.permutation(group["pesq"].isna().to_numpy())
        crop_share = proportion_interval(int(failed.sum()), len(failed))
        for size in batch_sizes:
            batches = len(failed) // size
            if not batches:
                continue
            batch_failed = int(failed[: batches * size].reshape(batches, size).any(axis=1).sum())
            observed = proportion_interval(batch_failed, batches)
            rows.append(
                {
                    "crop_seconds": seconds,
                    "batch_size": size,
                    "batches": batches,
                    "failed": batch_failed,
                    "share": observed.estimate,
                    "low": observed.low,
                    "high": observed.high,
                    "crop_share": crop_share.estimate,
                    "predicted": batch_share(crop_share.estimate, size),
                    "predicted_low": batch_share(crop_share.low, size),
                    "predicted_high": batch_share(crop_share.high, size),
                    "needed_crop_share": needed_crop_share(CLAIMED_SKIP_SHARE, size),
                }
            )
    return pd.DataFrame(rows)


def dose_crops(crops: int) -> int:
    """Crops for `dose_response` in a survey of `crops` a length: fewer, since each costs a score a dose and side."""
    return max(5, crops // 7)


def dose_response(
    pairs: Sequence[UtterancePair], doses_ms: Sequence[float], crops: int, seed: int
) -> pd.DataFrame:
    """PESQ when all but `dose` ms of the speech in a 2 s crop is replaced by digital silence.

    Every crop has at least the largest dose of speech and is used for all doses and sides. What stays is one
    window at a random place with `dose` ms of active speech and the pauses between; the reference, the estimate
    or both are silenced outside it. One row per crop, dose and side: dose_ms, side, crop, id, pesq, pesq_reason.
    Raises ValueError when the corpus has no such crops or a dose exceeds the crop.
    """
    most = max(doses_ms)
    if not 0 <= min(doses_ms) <= most <= DOSE_CROP_SECONDS * 1000:
        raise ValueError(f"doses_ms {list(doses_ms)}: use 0 to {DOSE_CROP_SECONDS * 1000:g} ms")
    rng = np.random.default_rng([seed, 2])
    source = CropSource(pairs, DOSE_CROP_SECONDS, rng)
    rows = []
    for number in range(crops):
        drawn = source.draw_with_speech(most)
        for dose in doses_ms:
            window = window_of_speech(drawn.active, dose, rng)
            silenced = np.where(window, drawn.clean, 0), np.where(window, drawn.noisy, 0)
            for side in SIDES:
                clean = silenced[0] if side != "estimate" else drawn.clean
                noisy = silenced[1] if side != "reference" else drawn.noisy
                score = pesq_score(clean, noisy)
                rows.append(
                    {"dose_ms": dose, "side": side, "crop": number, "id": drawn.id, **_columns(score)}
                )
    return pd.DataFrame(rows)


def level_changes(
    pairs: Sequence[UtterancePair], factors: Sequence[float], crops: int, seed: int
) -> pd.DataFrame:
    """What multiplying the reference, the estimate or both by a factor does to PESQ, on 2 s crops that have one.

    One row per crop, factor and side: crop, id, side, factor, pesq (unscaled), pesq_scaled, change (scaled −
    unscaled), pesq_reason (of the scaled signals).
    """
    source = CropSource(pairs, DOSE_CROP_SECONDS, np.random.default_rng([seed, 3]))
    rows = []
    for number in range(crops):
        drawn = source.draw()
        unscaled = pesq_score(drawn.clean, drawn.noisy)
        for factor in factors:
            for side in SIDES:
                clean = drawn.clean * np.float32(factor if side != "estimate" else 1)
                noisy = drawn.noisy * np.float32(factor if side != "reference" else 1)
                scaled = pesq_score(clean, noisy)
                rows.append(
                    {
                        "crop": number,
                        "id": drawn.id,
                        "side": side,
                        "factor": factor,
                        "pesq": unscaled.value,
                        "pesq_scaled": scaled.value,
                        "change": scaled.value - unscaled.value,
                        "pesq_reason": scaled.reason,
                    }
                )
    return pd.DataFrame(rows)


def failure_shares(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Share of failed PESQ in each group of `by`, a row each: the columns of `by`, n, failed, share, low, high
    (exact 95 % interval) and reasons ("name:count;…").
    """
    rows = []
    for key, group in frame.groupby(list(by), sort=False):
        failed = group["pesq"].isna()
        interval = proportion_interval(int(failed.sum()), len(group))
        counts = group.loc[failed, "pesq_reason"].value_counts().sort_index()
        rows.append(
            dict(zip(by, key, strict=True))
            | {
                "n": interval.n,
                "failed": int(failed.sum()),
                "share": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "reasons": ";".join(f"{reason}:{count}" for reason, count in counts.items()),
            }
        )
    return pd.DataFrame(rows)


def _columns(score: PesqScore) -> dict[str, float | str]:
    return {"pesq": score.value, "pesq_reason": score.reason}
