"""The arms set against each other, in numbers: tidy tables in, tidy tables out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cmgan.study.run_results import NOISY, RunResults
from cmgan.study.statistics import hierarchical_difference, mean_interval, seed_interval
from cmgan.study.training.early_stopping import replay
from cmgan.study.training.tables import (
    failures_by_reason,
    falls_by_arm,
    identical_arms,
    pesq_falls,
    since_peak,
    skip_rates,
)

METRICS = ("pesq", "ssnr", "si_sdr", "stoi", "csig", "cbak", "covl", "gain")
BASELINE = "published"
DIFFERENCE_COLUMNS = (
    "arm",
    "baseline",
    "metric",
    "difference",
    "low",
    "high",
    "utterances",
    "missing",
    "seed_low",
    "seed_high",
    "seeds",
    "smallest",
    "largest",
)


@dataclass(frozen=True)
class Comparison:
    """All tables of a run, each named after the function that makes it; arms are set against `baseline`."""

    baseline: str
    final_metrics: pd.DataFrame
    differences: pd.DataFrame
    differences_from_noisy: pd.DataFrame
    pesq_falls: pd.DataFrame
    falls_by_arm: pd.DataFrame
    since_peak: pd.DataFrame
    skip_rates: pd.DataFrame
    failures_by_reason: pd.DataFrame
    early_stopping: pd.DataFrame
    identical_arms: list[tuple[str, ...]]


def compare(results: RunResults) -> Comparison:
    """Every table of this module for a run; the baseline is `BASELINE` or, where that was not run, the first arm."""
    baseline = BASELINE if BASELINE in results.arms else results.arms[0]
    return Comparison(
        baseline=baseline,
        final_metrics=final_metrics(results.evaluation),
        differences=differences(results.evaluation, baseline),
        differences_from_noisy=differences(results.evaluation, NOISY),
        pesq_falls=pesq_falls(results.validation),
        falls_by_arm=falls_by_arm(results.validation),
        since_peak=since_peak(results.epochs),
        skip_rates=skip_rates(results.steps),
        failures_by_reason=failures_by_reason(results.steps),
        early_stopping=replay(results.epochs),
        identical_arms=identical_arms(results.epochs),
    )


def final_metrics(evaluation: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean of each metric by arm, its interval over utterances and, apart from it, over seeds.

    Columns: arm, metric, mean, low, high, utterances, missing (utterances that lack a value for some seed),
    seed_low, seed_high, seeds. The interval over utterances holds for these trained networks (BCa bootstrap, each
    utterance averaged over seeds), that over seeds for these utterances (Student's t; NaN for fewer than two).
    """
    rows = []
    for arm in evaluation["arm"].unique():
        for metric in METRICS:
            table = _by_utterance(evaluation, arm, metric)
            complete = table.dropna()
            over_utterances = mean_interval(complete.mean(axis=1), seed)
            over_seeds = seed_interval(complete.mean(axis=0))
            is_noisy = arm == NOISY
            rows.append(
                {
                    "arm": arm,
                    "metric": metric,
                    "mean": over_utterances.estimate,
                    "low": over_utterances.low,
                    "high": over_utterances.high,
                    "utterances": over_utterances.n,
                    "missing": len(table) - len(complete),
                    "seed_low": np.nan if is_noisy else over_seeds.low,
                    "seed_high": np.nan if is_noisy else over_seeds.high,
                    "seeds": 0 if is_noisy else over_seeds.n,
                }
            )
    return pd.DataFrame(rows)


def differences(evaluation: pd.DataFrame, baseline: str, seed: int = 0) -> pd.DataFrame:
    """Paired difference of every other arm from `baseline` in each metric, utterance by utterance.

    Columns: arm, baseline, metric, difference, low, high, utterances, missing, seed_low, seed_high, seeds, and
    smallest and largest, the range of the seeds' own differences. `baseline` may be "noisy".
    """
    frame = _noisy_for_every_seed(evaluation) if baseline == NOISY else evaluation
    arms = [arm for arm in evaluation["arm"].unique() if arm not in (baseline, NOISY)]
    rows = []
    for arm in arms:
        for metric in METRICS:
            both = hierarchical_difference(frame, arm, baseline, metric, seed)
            rows.append(
                {
                    "arm": arm,
                    "baseline": baseline,
                    "metric": metric,
                    "difference": both.over_utterances.estimate,
                    "low": both.over_utterances.low,
                    "high": both.over_utterances.high,
                    "utterances": both.over_utterances.n,
                    "missing": both.over_utterances.dropped,
                    "seed_low": both.over_seeds.low,
                    "seed_high": both.over_seeds.high,
                    "seeds": both.over_seeds.n,
                    "smallest": min(both.by_seed, default=np.nan),
                    "largest": max(both.by_seed, default=np.nan),
                }
            )
    # A run of one arm has no difference, and a table of none still has its columns.
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def _by_utterance(evaluation: pd.DataFrame, arm: str, metric: str) -> pd.DataFrame:
    rows = evaluation[evaluation["arm"] == arm]
    # The noisy files have no seed; one column then.
    return rows.assign(seed=rows["seed"].fillna(-1)).pivot(index="id", columns="seed", values=metric)


def _noisy_for_every_seed(evaluation: pd.DataFrame) -> pd.DataFrame:
    is_noisy = evaluation["arm"] == NOISY
    enhanced, noisy = evaluation[~is_noisy], evaluation[is_noisy]
    copies = [noisy.assign(seed=seed) for seed in enhanced["seed"].unique()]
    return pd.concat([enhanced, *copies], ignore_index=True)
