"""Evidence from trainings, logs, surveys and experiments: every public function here may be named in claims.yaml."""

import numpy as np
import pandas as pd
from scipy import stats

from cmgan.recipe import Budget
from cmgan.statistics import (
    HEALTHY_BAND,
    batch_share,
    endpoint_table,
    needed_crop_share,
    visible_drop,
)
from cmgan.study.arms import arm as recipe_of
from cmgan.study.comparison.words import FELL, HELD, falls_over_seeds
from cmgan.study.effects import (
    Effect,
    Evidence,
    MissingEvidenceError,
    effect_of_fact,
    effect_of_seeds,
    effect_of_share,
    effect_of_values,
    transformed,
)
from cmgan.study.published.logs import NEVER_SKIPS, losses_with_results, read_results, read_training_logs
from cmgan.study.training.tables import Criterion, early_stopping, fall_by_utterance, pesq_falls, since_peak

# Steps of the published training: 120 epochs of 11,572 utterances in batches of 4.
PUBLISHED_STEPS = 120 * (11_572 // 4)
DAY_SECONDS = 86_400
CROPS = "silence/crops.csv"


# Trainings: one value a seed, from the validation, the evaluation and the steps.


def final_difference(run: Evidence, first: str, second: str, least_batch: int = 1) -> Effect:
    """Validation PESQ of `first` − that of `second` over the last epochs (`endpoint_table`), seed by seed.

    least_batch: crops that a batch must have for the two to differ in what they are compared for.
    """
    sizes = [
        config["budget"]["batch_size"] for (arm, _), config in run.results.configs.items() if arm == first
    ]
    if sizes and max(sizes) < least_batch:
        raise MissingEvidenceError(
            f"with {sizes[0]} crop a batch {first} cannot do what it is compared for: it takes {least_batch} or more"
        )
    return effect_of_seeds(_endpoint_difference(run, first, second, "pesq"))


def best_difference(run: Evidence, baseline: str) -> Effect:
    """The same difference of the arm with the highest mean from the baseline: what there is to explain."""
    run.arm("validation", baseline)
    validation = run.results.validation
    others = [arm for arm in validation["arm"].unique() if arm != baseline]
    if not others:
        raise MissingEvidenceError(f"no arm but {baseline} was run")
    found = {arm: _endpoint_difference(run, arm, baseline, "pesq") for arm in others}
    best = max(found, key=lambda arm: found[arm].mean())
    return effect_of_seeds(found[best], detail=best)


def final_mean(run: Evidence, arm: str, metric: str) -> Effect:
    """Mean test score of an arm's last network."""
    by_seed = run.arm("evaluation", arm).groupby("seed")[metric].mean()
    return effect_of_seeds(by_seed, "pesq" if metric == "pesq" else "plain")


def final_mean_at_published_scale(run: Evidence, arm: str, metric: str) -> Effect:
    """Mean test score of an arm's last network, of a run of the published size and corpus only."""
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
    return effect_of_seeds(fall_by_utterance(validation).mean())


def validation_difference(run: Evidence, first: str, second: str, quantity: str) -> Effect:
    """`quantity` of `first` − that of `second` on the validation utterances over the last epochs."""
    return effect_of_seeds(_endpoint_difference(run, first, second, quantity), "plain")


def validation_ratio(run: Evidence, first: str, second: str, quantity: str) -> Effect:
    """The same difference as a share of the mean of `second`."""
    mean = endpoint_table(run.arm("validation", second), quantity).mean().mean()
    return effect_of_seeds(_endpoint_difference(run, first, second, quantity) / mean, "relative")


def change_while_falling(run: Evidence, arm: str, quantity: str) -> Effect:
    """Relative change of `quantity` from the epoch of the highest PESQ to the last, where the arm's PESQ fell."""
    validation = run.arm("validation", arm)
    if falls_over_seeds(pesq_falls(validation)).at[arm, "verdict"] != FELL:
        raise MissingEvidenceError(f"PESQ of {arm} did not certainly fall")
    changes = since_peak(run.arm("epochs", arm), (quantity,)).set_index("seed")
    return effect_of_seeds(changes["change"] / changes["at_peak"], "relative")


def early_stopping_gain(run: Evidence, arm: str, criterion: Criterion, patience: int) -> Effect:
    """Validation PESQ where early stopping would have ended an arm's training − PESQ at its real end.

    Only seeds whose training it would have stopped count; MissingEvidenceError where there is none.
    """
    replayed = early_stopping(run.arm("epochs", arm), (criterion,), (patience,)).query("stopped")
    if replayed.empty:
        raise MissingEvidenceError(
            f"a patience of {patience} by validation {criterion} stopped no training of {arm}: nothing to judge"
        )
    return effect_of_seeds(replayed.set_index("seed")["gain"])


def steps_above(run: Evidence, arm: str, columns: list, limit: float) -> Effect:
    """Share of an arm's training steps in which any of `columns` exceeds `limit`, of steps that have a value."""
    steps = run.arm("steps", arm).dropna(subset=columns, how="all")
    above = steps[columns].max(axis=1) > limit
    return effect_of_seeds(above.groupby(steps["seed"]).mean(), "share")


def steps_skipped(run: Evidence, arm: str) -> Effect:
    """Share of an arm's training steps in which the discriminator was skipped.

    Whether PESQ fails is a matter of the crops, which steps draw independently, not of the network.
    """
    if recipe_of(arm).labels != "skip_batch":
        raise MissingEvidenceError(f"arm {arm} never skips a batch")
    return effect_of_share(run.arm("steps", arm)["discriminator_skipped"], "steps")


def failed_steps(run: Evidence) -> Effect:
    """Share of all training steps, of every arm that scores its samples, in which some sample's PESQ failed.

    Failures that an arm puts there on purpose do not count.
    """
    steps = run.results.steps
    scored = steps[steps["loss_discriminator"].notna() | steps["discriminator_skipped"].astype(bool)]
    return effect_of_share(scored["pesq_failures"] > scored["failure_injected"], "steps")


def healthy_losses_of_held_arms(run: Evidence) -> Effect:
    """Share of discriminator losses in the band called healthy, in all arms whose PESQ certainly held.

    Over the second half of the epochs, since a discriminator starts with large losses.
    """
    falls = falls_over_seeds(pesq_falls(run.results.validation))
    held = [*falls.index[falls["verdict"] == HELD]]
    steps = run.results.steps
    late = steps[steps["arm"].isin(held) & (steps["epoch"] > steps["epoch"].max() / 2)]
    late = late.dropna(subset="loss_discriminator")
    if late.empty:
        raise MissingEvidenceError("no arm with a discriminator is known to have held its PESQ")
    healthy = late["loss_discriminator"].between(*HEALTHY_BAND)
    return effect_of_seeds(healthy.groupby(late["seed"]).mean(), "share", detail=", ".join(held))


# Published logs and results, which every run has.


def logged_zeros(_run: Evidence, runs: list | None = None, below: float | None = None) -> Effect:
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
    return effect_of_share(logs["disc_loss"] == 0, "log lines")


def healthy_published_losses(_run: Evidence, least_pesq: float) -> Effect:
    """Share of published discriminator losses in the band called healthy, in runs that reached `least_pesq`."""
    lines = losses_with_results(read_training_logs(), read_results())
    good = lines[lines["final_pesq"] >= least_pesq]
    return effect_of_share(good["disc_loss"].between(*HEALTHY_BAND), "log lines")


def published_results_difference(_run: Evidence, version: str, other_version: str) -> Effect:
    """Published PESQ of runs whose code version contains `version` − that of runs with `other_version` (Welch's t).

    Both may be alternatives ("a|b"). Where a run told several epochs, only the row without an epoch counts.
    """
    results = read_results().dropna(subset="pesq")
    results = results[~results["run"].str.contains(", epoch ", regex=False)]
    versions = results["code_version"].astype(str).str
    first, second = (results.loc[versions.contains(name), "pesq"] for name in (version, other_version))
    if min(len(first), len(second)) < 2:
        raise MissingEvidenceError("fewer than two published results in one of the groups")

    def test(value: float) -> tuple[float, float]:
        sides = ("greater", "less")
        return tuple(
            float(stats.ttest_ind(first - value, second, equal_var=False, alternative=side).pvalue)
            for side in sides
        )

    bounds = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    count = len(first) + len(second)
    return Effect(
        first.mean() - second.mean(), *map(float, bounds), count, "published results", "pesq", test=test
    )


def published_fall(_run: Evidence, beginning: str) -> Effect:
    """Highest PESQ that one published run told of − the last; beginning: of its name, before the epoch."""
    results = read_results().dropna(subset="pesq")
    told = results.loc[results["run"].str.startswith(f"{beginning}, epoch"), "pesq"]
    if len(told) < 2:
        raise MissingEvidenceError(f"no published run {beginning!r} tells of two epochs")
    return effect_of_fact(told.max() - told.iloc[-1], 1, "published run", "pesq")


# Surveys of silence, labels and crops.


def failing_batches(run: Evidence, crop_seconds: float, batch_size: int) -> Effect:
    """Share of batches with a failed crop, 1 − (1 − p)^B from the crops of that length."""
    crops = run.table(CROPS)
    crops = crops[np.isclose(crops["crop_seconds"], crop_seconds)]
    if crops.empty:
        raise MissingEvidenceError(f"crops of {crop_seconds:g} s were not surveyed")
    share = effect_of_share(crops["pesq"].isna(), "crops")
    return transformed(
        share,
        lambda p: batch_share(p, batch_size),
        lambda p: needed_crop_share(min(max(p, 0.0), 1.0), batch_size),
    )


def failing_crops(run: Evidence, least_speech_ms: float) -> Effect:
    """Share of random crops, of all lengths, that fail although they hold that much active speech."""
    crops = run.table(CROPS)
    failed = crops.loc[crops["active_ms"] >= least_speech_ms, "pesq"].isna()
    return effect_of_share(failed, "crops")


def failures_with_reason(run: Evidence, reasons: list) -> Effect:
    """Share of the random crops' failures whose reason is one of `reasons`."""
    crops = run.table(CROPS)
    told = crops.loc[crops["pesq"].isna(), "pesq_reason"]
    return effect_of_share(told.isin(reasons), "failures")


def failures_at_dose(run: Evidence, side: str, dose_ms: float) -> Effect:
    """Share of 2 s crops that fail with `dose_ms` of active speech left in the reference, the estimate or both."""
    responses = run.table("silence/dose_response.csv")
    taken = (responses["side"] == side) & np.isclose(responses["dose_ms"], dose_ms)
    return effect_of_share(responses.loc[taken, "pesq"].isna(), "crops")


def level_change(run: Evidence) -> Effect:
    """Largest change of a crop's PESQ when reference, estimate or both are scaled, averaged over crops."""
    changes = run.table("silence/levels.csv")
    return effect_of_values(changes["change"].abs().groupby(changes["crop"]).max(), "crops")


def label_correlation(run: Evidence, policy: str, batch_size: int, failure_rate: float) -> Effect:
    """Rank correlation of a policy's labels with the samples' own PESQ.

    The file has a 95 % interval; margins are tested as if it were a normal one's.
    """
    table = run.table("silence/label_policies.csv")
    taken = (table["policy"] == policy) & (table["batch_size"] == batch_size)
    rows = table[taken & np.isclose(table["failure_rate"], failure_rate)]
    if rows.empty or rows["rank_correlation"].isna().all():
        raise MissingEvidenceError(f"no rank correlation for {policy} in batches of {batch_size}")
    row = rows.iloc[0]
    value, low, high = row["rank_correlation"], row["rank_correlation_low"], row["rank_correlation_high"]
    if low == high:
        return effect_of_fact(value, int(row["crops"]), "crops", "plain")
    normal = stats.norm(value, (high - low) / (2 * stats.norm.ppf(0.975)))
    return Effect(
        *(value, low, high, int(row["crops"])),
        "crops",
        test=lambda x: (float(normal.cdf(x)), float(normal.sf(x))),
    )


def hidden_drop(run: Evidence, utterances: int) -> Effect:
    """The drop of PESQ between two epochs that random crops of so many utterances produce in 5 % of the cases.

    A recording that two splits hold under two names counts once: its score as a whole gives it away.
    """
    scores = run.table("silence/validation_noise.csv").drop_duplicates(["repeat", "whole_pesq"])
    variances = effect_of_values(scores.groupby("utterance")["pesq"].var(ddof=1), "utterances")
    return transformed(
        variances,
        lambda variance: visible_drop(max(variance, 0.0), utterances),
        lambda drop: max(drop, 0.0) ** 2 / visible_drop(1.0, utterances) ** 2,
    )


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
    return effect_of_fact(not together, len(ranks), "processes", "outcome", "out of step")


def rating_inflation(run: Evidence, metric: str) -> Effect:
    """How much higher the public evaluation rates unprocessed noisy files than the measure's original does."""
    return effect_of_values(_inflation(run, metric), "files", "plain")


def inflated_files(run: Evidence, metric: str) -> Effect:
    """Share of noisy files that the public evaluation rates higher than the measure's original does."""
    return effect_of_share(_inflation(run, metric) > 0, "files")


def _inflation(run: Evidence, metric: str) -> pd.Series:
    table = run.table("evidence/composite_inflation.csv")
    return table.loc[table["metric"] == metric, "inflation"].dropna()


def _endpoint_difference(run: Evidence, first: str, second: str, column: str) -> pd.Series:
    """first − second over the last epochs by seed, from utterances and epochs that both have.

    MissingEvidenceError where no seed has both, or where not one value differs: then nothing was compared.
    """
    tables = [endpoint_table(run.arm("validation", arm), column) for arm in (first, second)]
    differences = (tables[0] - tables[1])[tables[0].columns.intersection(tables[1].columns)]
    if not differences.size:
        raise MissingEvidenceError(f"{first} and {second} share no seed")
    if (differences.fillna(0.0) == 0.0).all(axis=None):
        raise MissingEvidenceError(
            f"{first} and {second} gave the same numbers: what sets them apart never acted"
        )
    return differences.mean()
