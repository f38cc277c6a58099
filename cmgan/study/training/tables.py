"""What the training logs of all arms say, in numbers: tidy tables in, tidy tables out."""

from collections import Counter

import numpy as np
import pandas as pd

from cmgan.study.arms import arm as recipe_of
from cmgan.study.statistics import Interval, mean_interval, proportion_interval, seed_interval

# What is followed from the epoch of the highest PESQ to the last one.
MECHANISM = (
    "pesq",
    "gain",
    "inconsistency",
    "loss_magnitude",
    "loss_time_published",
    "loss_time_normalised",
    "phase_error",
    "loss_total",
)
QUANTILES = {"minimum": 0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "maximum": 1}
INJECTED = "injected"


def pesq_falls(validation: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """How far validation PESQ fell from its highest epoch to the last one, for every arm and seed.

    Columns: arm, seed, peak_epoch, peak, final_epoch, final, fall, low, high, utterances. `fall` and its interval
    over utterances are cross-fitted: each utterance's fall is taken from the epoch that is best for the *other*
    utterances, since a maximum chosen on the same noise falls by itself.
    """
    rows = []
    for (arm, number), run in validation.groupby(["arm", "seed"], sort=False):
        means = run.groupby("epoch")["pesq"].mean()
        fall = mean_interval(_cross_fitted_falls(run), seed)
        rows.append(
            {
                "arm": arm,
                "seed": number,
                "peak_epoch": means.idxmax() if means.notna().any() else pd.NA,
                "peak": means.max(),
                "final_epoch": means.index[-1],
                "final": means.iloc[-1],
                "fall": fall.estimate,
                "low": fall.low,
                "high": fall.high,
                "utterances": fall.n,
            }
        )
    return pd.DataFrame(rows)


def falls_by_arm(validation: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The falls of `pesq_falls` averaged over seeds, with the interval over utterances and, apart, over seeds.

    Columns: arm, fall, low, high, utterances, seed_low, seed_high, seeds, smallest and largest (of the seeds).
    """
    rows = []
    for arm, runs in validation.groupby("arm", sort=False):
        table = fall_by_utterance(runs).dropna()
        over_utterances = mean_interval(table.mean(axis=1), seed)
        over_seeds = seed_interval(table.mean(axis=0))
        rows.append(
            {
                "arm": arm,
                "fall": over_utterances.estimate,
                "low": over_utterances.low,
                "high": over_utterances.high,
                "utterances": over_utterances.n,
                "seed_low": over_seeds.low,
                "seed_high": over_seeds.high,
                "seeds": over_seeds.n,
                "smallest": table.mean(axis=0).min(),
                "largest": table.mean(axis=0).max(),
            }
        )
    return pd.DataFrame(rows)


def fall_by_utterance(runs: pd.DataFrame) -> pd.DataFrame:
    """Cross-fitted fall (see `pesq_falls`) of one arm, an utterance a row and a seed a column."""
    return pd.DataFrame({number: _cross_fitted_falls(run) for number, run in runs.groupby("seed")})


def since_peak(epochs: pd.DataFrame) -> pd.DataFrame:
    """What losses, gain and inconsistency did between the epoch of the highest PESQ and the last one.

    Columns: arm, seed, quantity (see `MECHANISM`), at_peak, final, change.
    """
    rows = []
    for (arm, seed), run in epochs.groupby(["arm", "seed"], sort=False):
        if run["pesq"].notna().any():
            peak, final = run.loc[run["pesq"].idxmax()], run.iloc[-1]
            for name in MECHANISM:
                change = final[name] - peak[name]
                values = {"at_peak": peak[name], "final": final[name], "change": change}
                rows.append({"arm": arm, "seed": seed, "quantity": name} | values)
    return pd.DataFrame(rows, columns=["arm", "seed", "quantity", "at_peak", "final", "change"])


def skip_rates(steps: pd.DataFrame) -> pd.DataFrame:
    """Share of steps without a discriminator step by arm, all seeds together, with its exact interval.

    Columns: arm, labels (the policy), steps, skipped, share, low, high, failures (samples whose PESQ failed),
    injected. An arm without a discriminator has no share.
    """
    rows = []
    for arm, run in steps.groupby("arm", sort=False):
        adversarial = bool((run["loss_discriminator"].notna() | run["discriminator_skipped"]).any())
        skipped = int(run["discriminator_skipped"].sum())
        share = proportion_interval(skipped, len(run)) if adversarial else Interval(np.nan, np.nan, np.nan, 0)
        rows.append(
            {
                "arm": arm,
                "labels": recipe_of(arm).labels if adversarial else "none",
                "steps": len(run),
                "skipped": skipped,
                "share": share.estimate,
                "low": share.low,
                "high": share.high,
                "failures": int(run["pesq_failures"].sum()),
                "injected": int(run["failure_injected"].sum()),
            }
        )
    return pd.DataFrame(rows)


def failures_by_reason(steps: pd.DataFrame) -> pd.DataFrame:
    """Number of training samples whose PESQ failed, by arm and reason; columns arm, reason, failures, steps."""
    rows = []
    for arm, run in steps.groupby("arm", sort=False):
        counts = Counter({INJECTED: int(run["failure_injected"].sum())})
        for entry in run["failure_reasons"].dropna():
            for part in filter(None, str(entry).split(";")):
                reason, _, count = part.rpartition(":")
                counts[reason] += int(count)
        rows += [
            {"arm": arm, "reason": reason, "failures": count, "steps": len(run)}
            for reason, count in sorted(counts.items())
            if count
        ]
    return pd.DataFrame(rows, columns=["arm", "reason", "failures", "steps"])


def distribution(steps: pd.DataFrame, column: str) -> pd.DataFrame:
    """Quantiles of a column of the steps by arm, all seeds together: arm, n, then the names of `QUANTILES`."""
    rows = []
    for arm, run in steps.groupby("arm", sort=False):
        values = run[column].dropna()
        quantiles = {name: values.quantile(share) for name, share in QUANTILES.items()}
        rows.append({"arm": arm, "n": len(values)} | quantiles)
    return pd.DataFrame(rows)


def gradient_norms(steps: pd.DataFrame, limit: float) -> pd.DataFrame:
    """Quantiles of both networks' gradient norms by arm, with the share of steps whose norm exceeds `limit`.

    Columns: those of `distribution`, network, limit, share_above, clipped (whether the arm clips at all).
    """
    frames = []
    for network in ("generator", "discriminator"):
        column = f"gradient_norm_{network}"
        above = [(run[column].dropna() > limit).mean() for _, run in steps.groupby("arm", sort=False)]
        frame = distribution(steps, column).assign(network=network, limit=limit, share_above=above)
        frames.append(frame.assign(clipped=[recipe_of(arm).gradient_clip > 0 for arm in frame["arm"]]))
    return pd.concat(frames, ignore_index=True)


def identical_arms(epochs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Groups of arms whose PESQ and losses agree in every epoch of every seed: what sets them apart never acted."""
    columns = ["seed", "epoch", "pesq", "loss_magnitude", "loss_real_imaginary"]
    groups: dict[bytes, list[str]] = {}
    for arm, run in epochs.groupby("arm", sort=False):
        groups.setdefault(run[columns].to_numpy(float).tobytes(), []).append(arm)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _cross_fitted_falls(run: pd.DataFrame) -> pd.Series:
    """Fall of each utterance (index id) of one arm and seed; NaN where a needed score is missing."""
    table = run.pivot(index="epoch", columns="id", values="pesq")
    falls = {}
    for utterance, own in table.items():
        others = table.drop(columns=utterance).mean(axis=1).dropna()
        falls[utterance] = own[others.idxmax()] - own.iloc[-1] if len(others) else np.nan
    return pd.Series(falls, dtype=float)
