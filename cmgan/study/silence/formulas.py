"""Failure shares and visible drops in closed form: what the surveys measure, the claims predict."""

import math

_NORMAL_QUANTILE = 1.96


def batch_share(crop_share: float, batch_size: int) -> float:
    """Share of batches with at least one failure when crops fail independently: 1 − (1 − p)^B."""
    return 1 - (1 - crop_share) ** batch_size


def needed_crop_share(share_of_batches: float, batch_size: int) -> float:
    """The share of crops that must fail for that share of batches to fail; inverse of `batch_share`."""
    return 1 - (1 - share_of_batches) ** (1 / batch_size)


def visible_drop(variance: float, utterances: int) -> float:
    """The drop between two epochs that 95 % of the time is no accident of the crops: 1.96·√2·SE.

    Both epochs are means over the same utterances with one random crop each, so that SE = √(variance / utterances).
    """
    return float(_NORMAL_QUANTILE * math.sqrt(2 * variance / utterances))
