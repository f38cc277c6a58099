"""Effects from the silence survey, the published logs and the single experiments of notebooks 02 and 06."""

import numpy as np
from scipy.stats import norm

from cmgan.study.claims.effects import (
    SHOWN_LEVEL,
    MissingEvidenceError,
    effect_of_share,
    effect_of_values,
    outcome,
    transformed,
    welch_effect,
)
from cmgan.study.claims.evidence import Evidence
from cmgan.study.claims.verdicts import Effect
from cmgan.study.margins import HEALTHY_BAND
from cmgan.study.published.logs import NEVER_SKIPS, losses_with_results, read_results, read_training_logs
from cmgan.study.silence.formulas import batch_share, visible_drop

CROPS = "silence/crops.csv"


def logged_zeros(run: Evidence, runs: list | None = None, below: float | None = None) -> Effect:
    """Share of exact zeros (skips) among published lines of training steps that could show one.

    Lines without a step number may repeat others and are left out. runs: beginnings of the runs to take, by default
    all; below: only lines with a smaller loss, e.g. those that were called nearly zero.
    """
    logs = read_training_logs()
    taken = (logs["kind"] == "train_step") & logs["step"].notna()
    taken &= ~logs["code_version"].str.contains(NEVER_SKIPS, regex=False)
    if runs:
        taken &= logs["run"].str.startswith(tuple(runs))
    if below:
        taken &= logs["disc_loss"] < below
    lines = logs.loc[taken, "disc_loss"]
    return effect_of_share(int((lines == 0).sum()), len(lines), run.level, "log lines")


def healthy_published_losses(run: Evidence, least_pesq: float) -> Effect:
    """Share of published discriminator losses in the band called healthy, in runs that reached `least_pesq`."""
    lines = losses_with_results(read_training_logs(), read_results())
    good = lines[lines["final_pesq"] >= least_pesq]
    hits = int(good["disc_loss"].between(*HEALTHY_BAND).sum())
    return effect_of_share(hits, len(good), run.level, "log lines")


def published_results_difference(run: Evidence, version: str, other_version: str) -> Effect:
    """Published PESQ of runs whose code version contains `version` − that of runs with `other_version`.

    Where a run told several epochs, only the row without an epoch counts.
    """
    results = read_results()
    # Other epochs of a run that is there already.
    results = results[~results["run"].str.contains(", epoch ", regex=False)]
    versions = results["code_version"].astype(str)
    groups = [results.loc[versions.str.contains(name), "pesq"].dropna() for name in (version, other_version)]
    return welch_effect(*groups, run.level, "published results")


def failing_batches(run: Evidence, crop_seconds: float, batch_size: int) -> Effect:
    """Share of batches with a failed crop, 1 − (1 − p)^B from the crops of the nearest surveyed length."""
    crops = run.table(CROPS)
    nearest = crops["crop_seconds"].iloc[(crops["crop_seconds"] - crop_seconds).abs().argmin()]
    if not np.isclose(nearest, crop_seconds):
        raise MissingEvidenceError(f"crops of {crop_seconds:g} s were not surveyed")
    failed = crops.loc[crops["crop_seconds"] == nearest, "pesq"].isna()
    share = effect_of_share(int(failed.sum()), len(failed), run.level, "crops")
    return transformed(share, lambda p: batch_share(p, batch_size))


def failing_crops(run: Evidence, least_speech_ms: float) -> Effect:
    """Share of random crops, of all lengths, that fail although they hold that much active speech."""
    crops = run.table(CROPS)
    failed = crops.loc[crops["active_ms"] >= least_speech_ms, "pesq"].isna()
    return effect_of_share(int(failed.sum()), len(failed), run.level, "crops")


def failures_with_reason(run: Evidence, reasons: list) -> Effect:
    """Share of the random crops' failures whose reason is one of `reasons`."""
    crops = run.table(CROPS)
    told = crops.loc[crops["pesq"].isna(), "pesq_reason"]
    return effect_of_share(int(told.isin(reasons).sum()), len(told), run.level, "failures")


def failures_at_dose(run: Evidence, side: str, dose_ms: float) -> Effect:
    """Share of 2 s crops that fail with `dose_ms` of active speech left in the reference, the estimate or both."""
    responses = run.table("silence/dose_response.csv")
    taken = (responses["side"] == side) & np.isclose(responses["dose_ms"], dose_ms)
    failed = responses.loc[taken, "pesq"].isna()
    return effect_of_share(int(failed.sum()), len(failed), run.level, "crops")


def level_change(run: Evidence) -> Effect:
    """Largest change of a crop's PESQ when reference, estimate or both are scaled, averaged over crops."""
    changes = run.table("silence/levels.csv")
    return effect_of_values(changes["change"].abs().groupby(changes["crop"]).max(), run.level, "crops")


def label_correlation(run: Evidence, policy: str, batch_size: int, failure_rate: float) -> Effect:
    """Rank correlation of a policy's labels with the samples' own PESQ.

    The file has a 95 % interval; for the level of the verdicts it is widened as a normal one would be.
    """
    table = run.table("silence/label_policies.csv")
    rows = table[
        (table["policy"] == policy)
        & (table["batch_size"] == batch_size)
        & np.isclose(table["failure_rate"], failure_rate)
    ]
    if rows.empty or rows["rank_correlation"].isna().all():
        raise MissingEvidenceError(f"no rank correlation for {policy} in batches of {batch_size}")
    row = rows.iloc[0]
    value, low, high = row["rank_correlation"], row["rank_correlation_low"], row["rank_correlation_high"]
    wider = norm.ppf((1 + run.level) / 2) / norm.ppf((1 + SHOWN_LEVEL) / 2)
    bounds = (value - wider * (value - low), value + wider * (high - value))
    return Effect(value, *bounds, low, high, int(row["crops"]), "crops")


def hidden_drop(run: Evidence, utterances: int) -> Effect:
    """The drop of PESQ between two epochs that random crops of so many utterances produce in 5 % of the cases."""
    scores = run.table("silence/validation_noise.csv")
    variances = scores.groupby("utterance")["pesq"].var(ddof=1)
    variance = effect_of_values(variances, run.level, "utterances")
    return transformed(variance, lambda value: visible_drop(max(value, 0.0), utterances))


def desynchronised(run: Evidence, scenario: str) -> Effect:
    """1 when the two processes of a scenario did not end with all steps made and equal parameters, else 0."""
    table = run.table("evidence/rank_skip.csv")
    ranks = table[table["scenario"] == scenario]
    if ranks.empty:
        raise MissingEvidenceError(f"scenario {scenario} was not tried")
    together = ranks["finished"].astype(bool).all() and ranks["parameters_equal"].astype(bool).all()
    if "mispaired" in ranks:
        together = together and not ranks["mispaired"].any()
    return outcome(not together, len(ranks), "processes", "out of step")


def rating_inflation(run: Evidence, metric: str) -> Effect:
    """How much higher the public evaluation rates unprocessed noisy files than the measure's original does."""
    table = run.table("evidence/composite_inflation.csv")
    return effect_of_values(table.loc[table["metric"] == metric, "inflation"], run.level, "files", "plain")
