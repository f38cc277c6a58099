"""Evidence from trainings, logs, surveys and experiments: every public function here may be named in claims.yaml."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import norm, ttest_ind

from cmgan.recipe import Budget
from cmgan.statistics import HEALTHY_BAND, batch_share, paired_table, visible_drop
from cmgan.study.arms import arm as recipe_of
from cmgan.study.claims.effects import (
    SHOWN_LEVEL,
    Effect,
    Evidence,
    MissingEvidenceError,
    effect_of_share,
    effect_of_table,
    effect_of_values,
    transformed,
)
from cmgan.study.comparison.words import FELL, HELD, fall_verdicts
from cmgan.study.published.logs import NEVER_SKIPS, losses_with_results, read_results, read_training_logs
from cmgan.study.run_results import NOISY
from cmgan.study.training.tables import Criterion, fall_by_utterance, pesq_falls, stops

# Steps of the published training: 120 epochs of 11,572 utterances in batches of 4.
PUBLISHED_STEPS = 120 * (11_572 // 4)
DAY_SECONDS = 86_400
CROPS = "silence/crops.csv"


# Trainings: from the evaluation, the validation and the steps.


def final_difference(run: Evidence, first: str, second: str) -> Effect:
    """Final test PESQ of `first` − that of `second`, utterance by utterance and seed by seed."""
    frame = pd.concat([run.arm("evaluation", first), run.arm("evaluation", second)])
    return effect_of_table(paired_table(frame, first, second, "pesq"), run.level)


def best_difference(run: Evidence, baseline: str) -> Effect:
    """Final test PESQ of the arm with the highest mean − that of the baseline: what there is to explain."""
    run.arm("evaluation", baseline)
    others = run.results.evaluation[~run.results.evaluation["arm"].isin((baseline, NOISY))]
    if others.empty:
        raise MissingEvidenceError(f"no arm but {baseline} was run")
    best = others.groupby("arm")["pesq"].mean().idxmax()
    return replace(final_difference(run, first=best, second=baseline), detail=best)


def final_mean(run: Evidence, arm: str, metric: str) -> Effect:
    """Mean final test score of an arm."""
    table = run.arm("evaluation", arm).pivot(index="id", columns="seed", values=metric)
    return effect_of_table(table, run.level, "pesq" if metric == "pesq" else "plain")


def final_mean_at_published_scale(run: Evidence, arm: str, metric: str) -> Effect:
    """Mean final test score of an arm, of a run of the published size and corpus only."""
    published = Budget()
    budgets = [config["budget"] for (name, _), config in run.results.configs.items() if name == arm]
    if not budgets:
        raise MissingEvidenceError(f"arm {arm} was not run at the published scale (PROFILE=paper)")
    smaller = [
        f"{name} {budgets[0][name]} instead of {getattr(published, name)}"
        for name in ("channels", "blocks", "epochs", "batch_size", "crop_seconds")
        if budgets[0][name] < getattr(published, name)
    ]
    if smaller:
        seconds = run.arm("steps", arm)["seconds"].median()
        raise MissingEvidenceError(
            f"this run is smaller than the published one ({', '.join(smaller)}): PROFILE=paper is needed, and "
            f"{PUBLISHED_STEPS} steps an arm and seed, {PUBLISHED_STEPS * seconds / DAY_SECONDS:.1f} days even if "
            f"they took only the {seconds:.2f} s of this run's small ones"
        )
    return final_mean(run, arm, metric)


def fall_from_peak(run: Evidence, arm: str) -> Effect:
    """Fall of validation PESQ from its highest epoch to the last (cross-fitted, see `pesq_falls`)."""
    validation = run.arm("validation", arm)
    if validation["epoch"].nunique() < 2:
        raise MissingEvidenceError("a training of one epoch has nothing to fall from")
    return effect_of_table(fall_by_utterance(validation), run.level)


def validation_difference(run: Evidence, first: str, second: str, quantity: str) -> Effect:
    """`quantity` of `first` − that of `second` on the validation utterances after the last epoch."""
    frame = _last_epochs(run, first, second)
    return effect_of_table(paired_table(frame, first, second, quantity), run.level, "plain")


def validation_ratio(run: Evidence, first: str, second: str, quantity: str) -> Effect:
    """The same difference as a share of the mean of `second`."""
    frame = _last_epochs(run, first, second)
    mean = frame.loc[frame["arm"] == second, quantity].mean()
    return effect_of_table(paired_table(frame, first, second, quantity) / mean, run.level, "relative")


def change_while_falling(run: Evidence, arm: str, quantity: str) -> Effect:
    """Relative change of `quantity` from the epoch of the highest PESQ to the last, where the arm's PESQ fell."""
    validation = run.arm("validation", arm)
    if fall_verdicts(pesq_falls(validation))[arm] != FELL:
        raise MissingEvidenceError(f"PESQ of {arm} did not certainly fall")

    def change(seed_run: pd.DataFrame) -> pd.Series:
        epochs = seed_run.groupby("epoch")["pesq"].mean()
        table = seed_run.pivot(index="epoch", columns="id", values=quantity)
        at_peak = table.loc[epochs.idxmax()]
        return (table.iloc[-1] - at_peak) / at_peak.mean()

    return effect_of_table(_by_seed(validation, change), run.level, "relative")


def early_stopping_gain(run: Evidence, arm: str, criterion: Criterion, patience: int) -> Effect:
    """Validation PESQ where early stopping would have ended an arm's training − PESQ at its real end."""
    validation = run.arm("validation", arm)
    epochs = int(validation["epoch"].max())
    if epochs <= patience:
        reason = f"a patience of {patience} cannot stop a training of {epochs} epochs"
        raise MissingEvidenceError(f"{reason}: train for more than {patience} epochs")

    def gain(seed_run: pd.DataFrame) -> pd.Series:
        means = seed_run.groupby("epoch")[["pesq", "loss_total"]].mean().reset_index()
        table = seed_run.pivot(index="epoch", columns="id", values="pesq")
        return table.loc[stops(means, criterion, patience).last_epoch] - table.iloc[-1]

    return effect_of_table(_by_seed(validation, gain), run.level)


def steps_above(run: Evidence, arm: str, columns: list, limit: float) -> Effect:
    """Share of an arm's training steps in which any of `columns` exceeds `limit`, of steps that have a value."""
    steps = run.arm("steps", arm).dropna(subset=columns, how="all")
    return effect_of_share(steps[columns].max(axis=1) > limit, run.level, "steps", steps["seed"])


def steps_skipped(run: Evidence, arm: str) -> Effect:
    """Share of an arm's training steps in which the discriminator was skipped."""
    if recipe_of(arm).labels != "skip_batch":
        raise MissingEvidenceError(f"arm {arm} never skips a batch")
    steps = run.arm("steps", arm)
    return effect_of_share(steps["discriminator_skipped"], run.level, "steps", steps["seed"])


def healthy_losses_of_held_arms(run: Evidence) -> Effect:
    """Share of discriminator losses in the band called healthy, in all arms whose PESQ certainly held.

    Over the second half of the epochs, since a discriminator starts with large losses.
    """
    verdicts = fall_verdicts(pesq_falls(run.results.validation))
    held = [arm for arm, verdict in verdicts.items() if verdict == HELD]
    steps = run.results.steps
    late = steps[steps["arm"].isin(held) & (steps["epoch"] > steps["epoch"].max() / 2)]
    late = late.dropna(subset="loss_discriminator")
    if late.empty:
        raise MissingEvidenceError("no arm with a discriminator is known to have held its PESQ")
    healthy = late["loss_discriminator"].between(*HEALTHY_BAND)
    return effect_of_share(healthy, run.level, "steps", late["seed"], detail=", ".join(held))


# Published logs and results.


def logged_zeros(run: Evidence, runs: list | None = None, below: float | None = None) -> Effect:
    """Share of exact zeros (skips) among published lines of training steps that could show one.

    Lines without a step number may repeat others and are left out. runs: beginnings of the runs to take, by default
    all; below: only lines with a smaller loss, e.g. those that were called nearly zero.
    """
    logs = read_training_logs()
    logs = logs[(logs["kind"] == "train_step") & logs["step"].notna()]
    logs = logs[~logs["code_version"].str.contains(NEVER_SKIPS, regex=False)]
    if runs:
        logs = logs[logs["run"].str.startswith(tuple(runs))]
    if below:
        logs = logs[logs["disc_loss"] < below]
    return effect_of_share(logs["disc_loss"] == 0, run.level, "log lines")


def healthy_published_losses(run: Evidence, least_pesq: float) -> Effect:
    """Share of published discriminator losses in the band called healthy, in runs that reached `least_pesq`."""
    lines = losses_with_results(read_training_logs(), read_results())
    good = lines[lines["final_pesq"] >= least_pesq]
    return effect_of_share(good["disc_loss"].between(*HEALTHY_BAND), run.level, "log lines")


def published_results_difference(run: Evidence, version: str, other_version: str) -> Effect:
    """Published PESQ of runs whose code version contains `version` − that of runs with `other_version` (Welch's t).

    Where a run told several epochs, only the row without an epoch counts.
    """
    results = read_results().dropna(subset="pesq")
    results = results[~results["run"].str.contains(", epoch ", regex=False)]
    versions = results["code_version"].astype(str).str
    first, second = (results.loc[versions.contains(name), "pesq"] for name in (version, other_version))
    if min(len(first), len(second)) < 2:
        raise MissingEvidenceError("fewer than two published results in one of the groups")
    test = ttest_ind(first, second, equal_var=False)
    bounds = (*test.confidence_interval(run.level), *test.confidence_interval(SHOWN_LEVEL))
    count = len(first) + len(second)
    return Effect(first.mean() - second.mean(), *map(float, bounds), count, "published results", "pesq")


# Surveys of silence, labels and crops.


def failing_batches(run: Evidence, crop_seconds: float, batch_size: int) -> Effect:
    """Share of batches with a failed crop, 1 − (1 − p)^B from the crops of that length."""
    crops = run.table(CROPS)
    crops = crops[np.isclose(crops["crop_seconds"], crop_seconds)]
    if crops.empty:
        raise MissingEvidenceError(f"crops of {crop_seconds:g} s were not surveyed")
    share = effect_of_share(crops["pesq"].isna(), run.level, "crops")
    return transformed(share, lambda p: batch_share(p, batch_size))


def failing_crops(run: Evidence, least_speech_ms: float) -> Effect:
    """Share of random crops, of all lengths, that fail although they hold that much active speech."""
    crops = run.table(CROPS)
    failed = crops.loc[crops["active_ms"] >= least_speech_ms, "pesq"].isna()
    return effect_of_share(failed, run.level, "crops")


def failures_with_reason(run: Evidence, reasons: list) -> Effect:
    """Share of the random crops' failures whose reason is one of `reasons`."""
    crops = run.table(CROPS)
    told = crops.loc[crops["pesq"].isna(), "pesq_reason"]
    return effect_of_share(told.isin(reasons), run.level, "failures")


def failures_at_dose(run: Evidence, side: str, dose_ms: float) -> Effect:
    """Share of 2 s crops that fail with `dose_ms` of active speech left in the reference, the estimate or both."""
    responses = run.table("silence/dose_response.csv")
    taken = (responses["side"] == side) & np.isclose(responses["dose_ms"], dose_ms)
    return effect_of_share(responses.loc[taken, "pesq"].isna(), run.level, "crops")


def level_change(run: Evidence) -> Effect:
    """Largest change of a crop's PESQ when reference, estimate or both are scaled, averaged over crops."""
    changes = run.table("silence/levels.csv")
    return effect_of_values(changes["change"].abs().groupby(changes["crop"]).max(), run.level, "crops")


def label_correlation(run: Evidence, policy: str, batch_size: int, failure_rate: float) -> Effect:
    """Rank correlation of a policy's labels with the samples' own PESQ.

    The file has a 95 % interval; for the level of the verdicts it is widened as a normal one would be.
    """
    table = run.table("silence/label_policies.csv")
    taken = (table["policy"] == policy) & (table["batch_size"] == batch_size)
    rows = table[taken & np.isclose(table["failure_rate"], failure_rate)]
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


# Experiments with the public code.


def desynchronised(run: Evidence, scenario: str) -> Effect:
    """1 when the two processes of a scenario did not end with all steps made and equal parameters, else 0.

    Nothing is left to chance there: the interval has no width.
    """
    table = run.table("evidence/rank_skip.csv")
    ranks = table[table["scenario"] == scenario]
    if ranks.empty:
        raise MissingEvidenceError(f"scenario {scenario} was not tried")
    together = ranks["finished"].astype(bool).all() and ranks["parameters_equal"].astype(bool).all()
    if "mispaired" in ranks:
        together = together and not ranks["mispaired"].any()
    bounds = [float(not together)] * 4
    return Effect(float(not together), *bounds, len(ranks), "processes", "outcome", detail="out of step")


def rating_inflation(run: Evidence, metric: str) -> Effect:
    """How much higher the public evaluation rates unprocessed noisy files than the measure's original does."""
    table = run.table("evidence/composite_inflation.csv")
    return effect_of_values(table.loc[table["metric"] == metric, "inflation"], run.level, "files", "plain")


def _last_epochs(run: Evidence, first: str, second: str) -> pd.DataFrame:
    rows = pd.concat([run.arm("validation", first), run.arm("validation", second)])
    return rows[rows["epoch"] == rows.groupby(["arm", "seed"])["epoch"].transform("max")]


def _by_seed(validation: pd.DataFrame, values: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    return pd.DataFrame({seed: values(rows) for seed, rows in validation.groupby("seed")})
