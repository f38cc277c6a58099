"""When PESQ fails: on random crops, in batches, with less and less speech, and at other levels.

A crop's estimate is its noisy speech. Crops are drawn independently (an utterance, then a place in it, both at
random), so that shares of failed crops are binomial: they speak for this corpus, not for other recordings.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.metrics.pesq import SAFE_SECONDS, PesqScore, pesq_score
from cmgan.signal import SAMPLE_RATE
from cmgan.statistics import CLAIMED_SKIP_SHARE, batch_share, needed_crop_share, proportion_interval

SURVEYED_UTTERANCES = 200  # of each split
PUBLISHED_CROP_SECONDS = 2.0
PUBLISHED_BATCH = 4
SIDES = ("reference", "estimate", "both")
LEVEL_FACTORS = (0.05, 20.0)

_FRAME = SAMPLE_RATE // 100
_LOUD_PERCENTILE = 95
# The valley between background and speech in the frame levels of VoiceBank's clean recordings, whose background
# lies only 25 to 40 dB below the loud level. ITU-T P.56 (15.9 dB below the active speech level) is about the same.
_MARGIN_DB = 20.0
_DRAWS_PER_CROP = 200


def pairs_of(manifest: Path, splits: Sequence[str], limit: int) -> list[UtterancePair]:
    """Utterances of some splits, at most `limit` evenly spread over each."""
    return [pair for split in splits for pair in load_pairs(manifest, split, limit)]


def active_samples(clean: np.ndarray) -> np.ndarray:
    """Where a clean waveform (N,) holds speech, in frames of 10 ms: (N,) bool.

    A frame is active when its power is within 20 dB of the loud level, the 95th percentile over the frames that are
    not digital silence. Does not depend on the level of the recording; silence is inactive, and stationary noise
    without speech is all active. Weak consonants fall below the margin.
    """
    starts = np.arange(0, len(clean), _FRAME)
    energy = np.add.reduceat(np.square(clean, dtype=np.float64), starts)
    power = energy / np.diff(starts, append=len(clean))
    if not power.any():
        return np.zeros(len(clean), dtype=bool)
    loud = np.percentile(power[power > 0], _LOUD_PERCENTILE)
    return np.repeat(power >= loud * 10 ** (-_MARGIN_DB / 10), _FRAME)[: len(clean)]


def random_crops(
    pairs: Sequence[UtterancePair], seconds: float, rng: np.random.Generator
) -> Iterator[tuple[UtterancePair, np.ndarray]]:
    """Crops from random places of random utterances, without end; a shorter utterance repeats, as in training.

    Each with where there is speech in it (N,) bool, by the loud level of the whole utterance.
    """
    activity = [active_samples(pair.clean) for pair in pairs]
    samples = round(seconds * SAMPLE_RATE)
    while True:
        index = rng.integers(len(pairs))
        pair = pairs[index]
        start = rng.integers(max(len(pair.clean) - samples, 0) + 1)
        clean, noisy, active = (
            np.resize(part[start:], samples) for part in (pair.clean, pair.noisy, activity[index])
        )
        yield UtterancePair(pair.id, clean, noisy), active


def scored_crops(
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
        drawn_crops = random_crops(pairs, seconds, np.random.default_rng([seed, 0, number]))
        for drawn, active in islice(drawn_crops, crops):
            power = float(np.mean(np.square(drawn.clean, dtype=np.float64)))
            level = 10 * np.log10(power) if power > 0 else -np.inf
            row = {"crop_seconds": float(seconds), "id": drawn.id, "active_ms": _milliseconds(active)}
            rows.append(row | {"rms_dbfs": level} | _columns(pesq_score(drawn.clean, drawn.noisy)))
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
                {"crop_seconds": seconds, "batch_size": size, "batches": batches, "failed": batch_failed}
                | observed.columns("share")
                | {
                    "crop_share": crop_share.estimate,
                    "predicted": batch_share(crop_share.estimate, size),
                    "predicted_low": batch_share(crop_share.low, size),
                    "predicted_high": batch_share(crop_share.high, size),
                    "needed_crop_share": needed_crop_share(CLAIMED_SKIP_SHARE, size),
                }
            )
    return pd.DataFrame(rows)


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
    if not 0 <= min(doses_ms) <= most <= PUBLISHED_CROP_SECONDS * 1000:
        raise ValueError(f"doses_ms {list(doses_ms)}: use 0 to {PUBLISHED_CROP_SECONDS * 1000:g} ms")
    rng = np.random.default_rng([seed, 2])
    drawn_crops = random_crops(pairs, PUBLISHED_CROP_SECONDS, rng)
    rows = []
    for number in range(crops):
        tried = islice(drawn_crops, _DRAWS_PER_CROP)
        drawn, active = next((crop for crop in tried if _milliseconds(crop[1]) >= most), (None, None))
        if drawn is None:
            raise ValueError(f"no crop with {most} ms of speech in {_DRAWS_PER_CROP} draws: lower doses_ms")
        for dose in doses_ms:
            window = window_of_speech(active, dose, rng)
            silenced = np.where(window, drawn.clean, 0), np.where(window, drawn.noisy, 0)
            rows += [
                {"dose_ms": dose, "side": side, "crop": number, "id": drawn.id, **_columns(score)}
                for side, score in _scores_by_side(drawn, *silenced)
            ]
    return pd.DataFrame(rows)


def window_of_speech(active: np.ndarray, dose_ms: float, rng: np.random.Generator) -> np.ndarray:
    """A contiguous window at a random place that holds `dose_ms` of the active samples: (N,) bool → (N,) bool.

    It begins and ends in speech and is empty for a dose of 0; there must be as much speech as that.
    """
    places = np.flatnonzero(active)
    count = round(dose_ms * SAMPLE_RATE / 1000)
    window = np.zeros(len(active), dtype=bool)
    if count:
        first = rng.integers(len(places) - count + 1)
        window[places[first] : places[first + count - 1] + 1] = True
    return window


def level_changes(
    pairs: Sequence[UtterancePair], factors: Sequence[float], crops: int, seed: int
) -> pd.DataFrame:
    """What multiplying the reference, the estimate or both by a factor does to PESQ, on 2 s crops that have one.

    One row per crop, factor and side: crop, id, side, factor, pesq (unscaled), pesq_scaled, change, pesq_reason
    (of the scaled signals).
    """
    drawn_crops = random_crops(pairs, PUBLISHED_CROP_SECONDS, np.random.default_rng([seed, 3]))
    rows = []
    for number, (drawn, _) in enumerate(islice(drawn_crops, crops)):
        unscaled = pesq_score(drawn.clean, drawn.noisy).value
        for factor in factors:
            scaled = drawn.clean * np.float32(factor), drawn.noisy * np.float32(factor)
            for side, score in _scores_by_side(drawn, *scaled):
                what = {"crop": number, "id": drawn.id, "side": side, "factor": factor}
                pesq = {"pesq": unscaled, "pesq_scaled": score.value, "change": score.value - unscaled}
                rows.append(what | pesq | {"pesq_reason": score.reason})
    return pd.DataFrame(rows)


def failure_shares(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Share of failed PESQ in each group of `by`, a row each: the columns of `by`, n, failed, share, low, high
    (exact 95 % interval) and reasons ("name:count;…").
    """
    rows = []
    for key, group in frame.groupby(by, sort=False):
        failed = group["pesq"].isna()
        interval = proportion_interval(int(failed.sum()), len(group))
        counts = group.loc[failed, "pesq_reason"].value_counts().sort_index()
        reasons = ";".join(f"{reason}:{count}" for reason, count in counts.items())
        row = dict(zip(by, key, strict=True)) | {"n": interval.n, "failed": int(failed.sum())}
        rows.append(row | interval.columns("share") | {"reasons": reasons})
    return pd.DataFrame(rows)


def nearest(values: pd.Series, wanted: float) -> float:
    """The first of the values (n,) that lies nearest to the one wanted."""
    return values.iloc[(values - wanted).abs().argmin()]


def _scores_by_side(
    drawn: UtterancePair, clean: np.ndarray, noisy: np.ndarray
) -> Iterator[tuple[str, PesqScore]]:
    """PESQ with the changed reference `clean`, the changed estimate `noisy`, or both in place of the crop's own."""
    for side in SIDES:
        reference = drawn.clean if side == "estimate" else clean
        yield side, pesq_score(reference, drawn.noisy if side == "reference" else noisy)


def _milliseconds(active: np.ndarray) -> float:
    return int(active.sum()) * 1000 / SAMPLE_RATE


def _columns(score: PesqScore) -> dict[str, float | str]:
    return {"pesq": score.value, "pesq_reason": score.reason}
