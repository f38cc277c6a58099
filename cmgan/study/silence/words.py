"""What the silence survey says, in sentences put together from its tables (Markdown)."""

import numpy as np
import pandas as pd

from cmgan.study.margins import CLAIMED_SKIP_SHARE, MARGIN_PESQ

PUBLISHED_CROP_SECONDS = 2.0
PUBLISHED_BATCH = 4
LITTLE_SPEECH_MS = 200


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
    lengths = batches["crop_seconds"].unique()
    seconds = lengths[np.abs(lengths - PUBLISHED_CROP_SECONDS).argmin()]
    rows = batches[batches["crop_seconds"] == seconds]
    row = rows.iloc[(rows["batch_size"] - PUBLISHED_BATCH).abs().argmin()]
    excluded = rows.loc[rows["predicted_high"] < CLAIMED_SKIP_SHARE, "batch_size"]
    sizes = f"for batches of {', '.join(map(str, excluded))}" if len(excluded) else "for no batch size"
    return (
        f"With crops of {seconds:g} s and batches of {row['batch_size']:g}, {_percent(row['needed_crop_share'])} of "
        f"the crops would have to fail for {_percent(CLAIMED_SKIP_SHARE)} of the batches to fail. As often as crops "
        f"fail here, {_percent(row['predicted_low'])} to {_percent(row['predicted_high'])} of such batches do. By "
        f"the 95 % interval the claimed share is excluded on this corpus **{sizes}**."
    )


def doses_in_words(shares: pd.DataFrame, responses: pd.DataFrame) -> str:
    """How much speech PESQ needs and on which side; frames of `failure_shares` and `dose_response`."""
    reference = shares[shares["side"] == "reference"].sort_values("dose_ms")
    failing = reference.loc[reference["failed"] > 0, "dose_ms"]
    if failing.empty:
        threshold = "no crop fails, whatever is left in the reference"
    else:
        enough = reference.loc[reference["dose_ms"] > failing.max(), "dose_ms"]
        threshold = f"some crops fail with up to {failing.max():g} ms of speech left in the reference" + (
            f", none with {enough.min():g} ms" if len(enough) else ""
        )
    failed = responses.assign(failed=responses["pesq"].isna()).pivot(
        index=["crop", "dose_ms"], columns="side", values="failed"
    )
    some_speech = failed[failed.index.get_level_values("dose_ms") > 0]
    alike = int((some_speech["reference"] == some_speech["both"]).sum())
    return (
        f"{threshold[0].upper()}{threshold[1:]}. Wherever some speech is left ({len(some_speech)} cases), silencing "
        f"the estimate alone fails {int(some_speech['estimate'].sum())} times, and silencing both fails exactly "
        f"where silencing the reference does in {alike} of {len(some_speech)} cases."
    )


def activity_in_words(crops: pd.DataFrame) -> str:
    """What PESQ makes of crops with hardly any speech; frame of `survey_crops`."""
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
    failures = int((changes["pesq"].notna() & changes["pesq_scaled"].isna()).sum())
    comparison = "below" if largest < MARGIN_PESQ else "not below"
    return (
        f"Over {changes['change'].notna().sum()} comparisons the largest change of PESQ is {largest:.1g}, "
        f"{comparison} the margin of {MARGIN_PESQ:g} that would matter; scaling made {failures} scores fail."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
