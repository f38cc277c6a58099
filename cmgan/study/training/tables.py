"""What the training logs of all arms say, as tables: falls of PESQ, skipped steps, early stopping replayed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from cmgan.metrics.speech import METRICS
from cmgan.recipe import Recipe
from cmgan.statistics import Interval, fall_by_utterance, mean_interval, proportion_interval, seed_interval
from cmgan.study.arms import arm as recipe_of

LABELS = METRICS | {
    "inconsistency": "spectral inconsistency",
    "phase_error": "phase error (rad)",
    "loss_total": "total loss",
    "loss_magnitude": "magnitude loss",
    "loss_real_imaginary": "real and imaginary loss",
    "loss_time": "time loss",
    "loss_time_published": "time loss (published target)",
    "loss_time_normalised": "time loss (normalised target)",
    "loss_metric": "metric loss",
    "loss_discriminator": "discriminator loss",
    "gradient_norm_generator": "gradient norm, generator",
}
SPEECH = ("pesq", "gain", "inconsistency")
LOSSES = ("loss_magnitude", "loss_time_published", "loss_time_normalised")
# What is followed from the epoch of the highest PESQ to the last one.
MECHANISM = (*SPEECH, *LOSSES, "phase_error", "loss_total")
QUANTILES = {"minimum": 0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "maximum": 1}
BOOTSTRAP_SEED = 0

Criterion = Literal["loss", "pesq"]
CRITERIA: dict[Criterion, str] = {"loss": "loss_total", "pesq": "pesq"}
PATIENCES = (3, 5, 10, 15)  # 15 is the debugging effort's


class Spread(NamedTuple):
    """Mean of one value an utterance and seed, with its 95 % interval over seeds.

    low, high: Student's t over the seeds' means, NaN for fewer than two; of unprocessed files, which no seed made,
    over utterances (BCa bootstrap). smallest, largest: of the seeds' means. missing: utterances that lack a value for
    some seed and are left out.
    """

    mean: float
    low: float
    high: float
    utterances: int
    missing: int
    seeds: int
    smallest: float
    largest: float


def spread(table: pd.DataFrame, trained: bool = True) -> Spread:
    """Mean and interval of a table with an utterance a row and a seed a column; trained: whether seeds made it."""
    complete = table.dropna()
    by_seed = complete.mean(axis=0)
    interval = seed_interval(by_seed) if trained else mean_interval(complete.mean(axis=1), BOOTSTRAP_SEED)
    return Spread(
        *(interval.estimate, interval.low, interval.high, len(complete), len(table) - len(complete)),
        *(by_seed.count() if trained else 0, by_seed.min(), by_seed.max()),
    )


def pesq_falls(validation: pd.DataFrame) -> pd.DataFrame:
    """How far validation PESQ fell from its highest epoch to the last one, for every arm and seed.

    Columns: arm, seed, peak_epoch, peak, final_epoch, final, fall, low, high, utterances. `fall` and its interval
    over utterances are cross-fitted: each utterance's fall is taken from the epoch that is best for the *other*
    utterances, since a maximum chosen on the same noise falls by itself.
    """
    rows = []
    for (arm, seed), run in validation.groupby(["arm", "seed"], sort=False):
        means = run.groupby("epoch")["pesq"].mean()
        fall = mean_interval(fall_by_utterance(run)[seed], BOOTSTRAP_SEED)
        peak_epoch = means.idxmax() if means.notna().any() else pd.NA
        rows.append(
            {"arm": arm, "seed": seed, "peak_epoch": peak_epoch, "peak": means.max()}
            | {"final_epoch": means.index[-1], "final": means.iloc[-1]}
            | fall.columns("fall")
            | {"utterances": fall.n}
        )
    return pd.DataFrame(rows)


def since_peak(epochs: pd.DataFrame, quantities: Sequence[str] = MECHANISM) -> pd.DataFrame:
    """What losses, gain and inconsistency did between the epoch of the highest PESQ and the last one.

    Columns: arm, seed, quantity, at_peak, final, change.
    """
    rows = []
    for (arm, seed), run in epochs.groupby(["arm", "seed"], sort=False):
        if run["pesq"].notna().any():
            peak, final = run.loc[run["pesq"].idxmax()], run.iloc[-1]
            rows += [
                (arm, seed, name, peak[name], final[name], final[name] - peak[name]) for name in quantities
            ]
    return pd.DataFrame(rows, columns=["arm", "seed", "quantity", "at_peak", "final", "change"])


def reading_of_epochs(epochs: pd.DataFrame) -> str:
    """Sentences on where PESQ peaked in one training and what the losses did afterwards (Markdown)."""
    best, last = epochs.loc[epochs["pesq"].idxmax()], epochs.iloc[-1]
    if best["epoch"] == last["epoch"]:
        return f"PESQ is highest in the last epoch ({last.pesq:.2f}); it has not fallen within this budget."
    directions = ", ".join(
        f"the {name} {'fell' if last[column] < best[column] else 'rose'} "
        f"from {best[column]:.3f} to {last[column]:.3f}"
        for column, name in (("loss_total", "total loss"), ("loss_magnitude", "magnitude loss"))
    )
    return (
        f"PESQ peaked in epoch {best.epoch:.0f} at {best.pesq:.2f} and ended at {last.pesq:.2f}; "
        f"meanwhile {directions}. The gain of the estimate ended at {last.gain:.2f}."
    )


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
            {"arm": arm, "labels": recipe_of(arm).labels if adversarial else "none"}
            | {"steps": len(run), "skipped": skipped}
            | share.columns("share")
            | {"failures": int(run["pesq_failures"].sum()), "injected": int(run["failure_injected"].sum())}
        )
    return pd.DataFrame(rows)


def failures_by_reason(steps: pd.DataFrame) -> pd.DataFrame:
    """Number of training samples whose PESQ failed, by arm and reason; columns arm, reason, failures, steps."""
    rows = []
    for arm, run in steps.groupby("arm", sort=False):
        counts = Counter({"injected": int(run["failure_injected"].sum())})
        for entry in run["failure_reasons"].dropna():
            for part in filter(None, str(entry).split(";")):
                reason, _, count = part.rpartition(":")
                counts[reason] += int(count)
        rows += [(arm, reason, count, len(run)) for reason, count in sorted(counts.items()) if count]
    return pd.DataFrame(rows, columns=["arm", "reason", "failures", "steps"])


def distribution(steps: pd.DataFrame, column: str) -> pd.DataFrame:
    """Quantiles of a column of the steps by arm, all seeds together: arm, n, then the names of `QUANTILES`."""
    rows = [
        {"arm": arm, "n": values.count()} | {name: values.quantile(q) for name, q in QUANTILES.items()}
        for arm, values in steps.groupby("arm", sort=False)[column]
    ]
    return pd.DataFrame(rows)


def gradient_norms(steps: pd.DataFrame, limit: float) -> pd.DataFrame:
    """Quantiles of both networks' gradient norms by arm, with the share of steps whose norm exceeds `limit`.

    Columns: those of `distribution`, network, limit, share_above, clipped (whether the arm clips at all).
    """
    frames = []
    for network in ("generator", "discriminator"):
        column = f"gradient_norm_{network}"
        above = [(norms.dropna() > limit).mean() for _, norms in steps.groupby("arm", sort=False)[column]]
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


class Stop(NamedTuple):
    """last_epoch: where training ends; best_epoch: the best by the criterion up to there; stopped: before its end."""

    stopped: bool
    last_epoch: int
    best_epoch: int


def stops(epochs: pd.DataFrame, criterion: Criterion, patience: int) -> Stop:
    """Where early stopping ends one training, by the trainer's own rule (Recipe.patience, minimum_improvement).

    epochs: columns epoch, loss_total and pesq in order. A missing value is no improvement.
    """
    numbers = epochs["epoch"].astype(int).tolist()
    sign = 1 if criterion == "loss" else -1
    best, best_epoch, waited = np.inf, numbers[0], 0
    for epoch, value in zip(numbers, sign * epochs[CRITERIA[criterion]], strict=True):
        waited += 1
        if value < best - Recipe.minimum_improvement:
            best, best_epoch, waited = value, epoch, 0
        if waited >= patience:
            break
    return Stop(epoch < numbers[-1], epoch, best_epoch)


def early_stopping(
    epochs: pd.DataFrame, criteria: Iterable[Criterion] = CRITERIA, patiences: Sequence[int] = PATIENCES
) -> pd.DataFrame:
    """Early stopping replayed on every training, on validation loss and on PESQ; frame: `RunResults.epochs`.

    One row per arm, seed, criterion and patience: stopped, last_epoch, best_epoch, pesq_best (at best_epoch, the
    checkpoint worth keeping), pesq_stopped (at last_epoch), pesq_end (of the whole training), gain (pesq_stopped −
    pesq_end).
    """
    rows = []
    for (arm, seed), run in epochs.groupby(["arm", "seed"], sort=False):
        pesq = run.set_index("epoch")["pesq"]
        for criterion, patience in product(criteria, patiences):
            stop = stops(run, criterion, patience)
            best, stopped, end = pesq[stop.best_epoch], pesq[stop.last_epoch], pesq.iloc[-1]
            rows.append(
                {"arm": arm, "seed": seed, "criterion": criterion, "patience": patience}
                | stop._asdict()
                | {"pesq_best": best, "pesq_stopped": stopped, "pesq_end": end, "gain": stopped - end}
            )
    return pd.DataFrame(rows)
