"""Effects that arms have on each other and on themselves: from the evaluation, the validation and the steps."""

from collections.abc import Callable

import pandas as pd

from cmgan.recipe import Budget
from cmgan.study.arms import arm as recipe_of
from cmgan.study.claims.effects import (
    MissingEvidenceError,
    effect_of_share_by_seed,
    effect_of_table,
)
from cmgan.study.claims.evidence import Evidence
from cmgan.study.claims.verdicts import Effect, Scale
from cmgan.study.comparison.words import FELL, HELD, fall_verdicts
from cmgan.study.margins import HEALTHY_BAND
from cmgan.study.run_results import NOISY
from cmgan.study.statistics import paired_table
from cmgan.study.training.early_stopping import Criterion, stops
from cmgan.study.training.tables import fall_by_utterance, pesq_falls

# Steps of the published training: 120 epochs of 11,572 utterances in batches of 4.
PUBLISHED_STEPS = 120 * (11_572 // 4)
DAY_SECONDS = 86_400
SCALES: dict[str, Scale] = {"pesq": "pesq"}


def final_difference(run: Evidence, first: str, second: str, metric: str = "pesq") -> Effect:
    """Final test score of `first` − that of `second`, utterance by utterance and seed by seed."""
    frame = pd.concat([run.arm("evaluation", first), run.arm("evaluation", second)])
    return effect_of_table(
        paired_table(frame, first, second, metric), run.level, scale=SCALES.get(metric, "plain")
    )


def best_difference(run: Evidence, baseline: str) -> Effect:
    """Final test PESQ of the arm with the highest mean − that of the baseline: what there is to explain."""
    run.arm("evaluation", baseline)
    others = run.results.evaluation[~run.results.evaluation["arm"].isin((baseline, NOISY))]
    if others.empty:
        raise MissingEvidenceError(f"no arm but {baseline} was run")
    best = others.groupby("arm")["pesq"].mean().idxmax()
    effect = final_difference(run, first=best, second=baseline)
    return Effect(**vars(effect) | {"detail": best})


def final_mean(run: Evidence, arm: str, metric: str) -> Effect:
    """Mean final test score of an arm."""
    return effect_of_table(
        run.arm("evaluation", arm).pivot(index="id", columns="seed", values=metric),
        run.level,
        scale=SCALES.get(metric, "plain"),
    )


def fall_from_peak(run: Evidence, arm: str) -> Effect:
    """Fall of validation PESQ from its highest epoch to the last (cross-fitted, see `pesq_falls`)."""
    validation = run.arm("validation", arm)
    if validation["epoch"].nunique() < 2:
        raise MissingEvidenceError("a training of one epoch has nothing to fall from")
    return effect_of_table(fall_by_utterance(validation), run.level)


def validation_difference(run: Evidence, first: str, second: str, quantity: str) -> Effect:
    """`quantity` of `first` − that of `second` on the validation utterances after the last epoch."""
    frame = pd.concat([_last_epoch(run, first), _last_epoch(run, second)])
    return effect_of_table(paired_table(frame, first, second, quantity), run.level, scale="plain")


def validation_ratio(run: Evidence, first: str, second: str, quantity: str) -> Effect:
    """The same difference as a share of the mean of `second`."""
    mean = _last_epoch(run, second)[quantity].mean()
    frame = pd.concat([_last_epoch(run, first), _last_epoch(run, second)])
    return effect_of_table(paired_table(frame, first, second, quantity) / mean, run.level, scale="relative")


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

    return effect_of_table(_by_seed(validation, change), run.level, scale="relative")


def early_stopping_gain(run: Evidence, arm: str, criterion: Criterion, patience: int) -> Effect:
    """Validation PESQ where early stopping would have ended an arm's training − PESQ at its real end."""
    validation = run.arm("validation", arm)
    epochs = int(validation["epoch"].max())
    if epochs <= patience:
        raise MissingEvidenceError(
            f"a patience of {patience} cannot stop a training of {epochs} epochs: "
            f"train for more than {patience} epochs"
        )

    def gain(seed_run: pd.DataFrame) -> pd.Series:
        means = seed_run.groupby("epoch")[["pesq", "loss_total"]].mean().reset_index()
        table = seed_run.pivot(index="epoch", columns="id", values="pesq")
        return table.loc[stops(means, criterion, patience).last_epoch] - table.iloc[-1]

    return effect_of_table(_by_seed(validation, gain), run.level)


def steps_above(run: Evidence, arm: str, columns: list, limit: float) -> Effect:
    """Share of an arm's training steps in which any of `columns` exceeds `limit`, of steps that have a value."""
    steps = run.arm("steps", arm)
    largest = steps[columns].max(axis=1).dropna()
    return _share_of_steps(steps.loc[largest.index], largest > limit, run.level)


def steps_skipped(run: Evidence, arm: str) -> Effect:
    """Share of an arm's training steps in which the discriminator was skipped."""
    if recipe_of(arm).labels != "skip_batch":
        raise MissingEvidenceError(f"arm {arm} never skips a batch")
    steps = run.arm("steps", arm)
    return _share_of_steps(steps, steps["discriminator_skipped"].astype(bool), run.level)


def healthy_losses_of_held_arms(run: Evidence) -> Effect:
    """Share of discriminator losses in the band called healthy, in all arms whose PESQ certainly held.

    Over the second half of the epochs, since a discriminator starts with large losses.
    """
    verdicts = fall_verdicts(pesq_falls(run.results.validation))
    held = [arm for arm, verdict in verdicts.items() if verdict == HELD]
    steps = run.results.steps
    late = steps[steps["arm"].isin(held) & (steps["epoch"] > steps["epoch"].max() / 2)]
    late = late[late["loss_discriminator"].notna()]
    if late.empty:
        raise MissingEvidenceError("no arm with a discriminator is known to have held its PESQ")
    effect = _share_of_steps(late, late["loss_discriminator"].between(*HEALTHY_BAND), run.level)
    return Effect(**vars(effect) | {"detail": ", ".join(held)})


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
    return final_mean(run, arm=arm, metric=metric)


def _last_epoch(run: Evidence, arm: str) -> pd.DataFrame:
    rows = run.arm("validation", arm)
    return rows[rows["epoch"] == rows.groupby("seed")["epoch"].transform("max")]


def _by_seed(validation: pd.DataFrame, values: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    return pd.DataFrame({seed: values(rows) for seed, rows in validation.groupby("seed")})


def _share_of_steps(steps: pd.DataFrame, hits: pd.Series, level: float) -> Effect:
    counts = steps.assign(hits=hits).groupby("seed")["hits"].agg(["sum", "size"])
    return effect_of_share_by_seed(counts.set_axis(["hits", "trials"], axis=1), level, "steps")
