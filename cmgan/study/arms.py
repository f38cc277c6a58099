"""The arms: named recipes, each departing from the published one in what a claim is about, and their looks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cmgan.recipe import LossWeights, Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The public multi-GPU code: un-normalised time target, whole-batch skips, one order for all epochs.
PUBLISHED = Recipe(time_target="published", labels="skip_batch", reshuffle=False)
NORMALISED = replace(PUBLISHED, time_target="normalised")
BATCH_MEAN = replace(PUBLISHED, labels="batch_mean")

ARMS: dict[str, Recipe] = {
    "published": PUBLISHED,
    "batch_mean_fix": replace(PUBLISHED, labels="batch_mean", gradient_clip=5.0, patience=15),
    "masked_labels": replace(PUBLISHED, labels="mask"),
    "normalised_target": NORMALISED,
    "recommended": Recipe(time_target="normalised", labels="mask", metric_input="reanalysed", reshuffle=True),
    "no_metric_loss": replace(PUBLISHED, loss_weights=LossWeights(metric=0.0)),
    "rebalanced_weights": replace(PUBLISHED, loss_weights=LossWeights(0.1, 0.5, 0.2, 0.2)),
    "single_rank_shuffle": replace(PUBLISHED, reshuffle=True),
    "reanalysed_metric": replace(PUBLISHED, metric_input="reanalysed"),
    "gradient_clipping": replace(PUBLISHED, gradient_clip=5.0),
    "early_stopping": replace(PUBLISHED, patience=15),
    "batch_mean_labels": BATCH_MEAN,
    "batch_mean_56": replace(PUBLISHED, labels="batch_mean", injected_failure_rate=0.56),
    "mask_56": replace(PUBLISHED, labels="mask", injected_failure_rate=0.56),
    "mpsenet": Recipe(generator="mpsenet", metric_input="reanalysed"),
    "mpsenet_variant": Recipe(
        generator="mpsenet", metric_input="reanalysed", labels="skip_batch", gradient_clip=1.0
    ),
    **{
        f"{family}skip_{percent}": replace(recipe, injected_failure_rate=percent / 100)
        for family, recipe in (("", PUBLISHED), ("normalised_", NORMALISED))
        for percent in (10, 25, 56, 90)
    },
    **{
        f"{name}_batch_{size}": replace(recipe, batch_size=size)
        for name, recipe in (
            ("published", PUBLISHED),
            ("normalised_target", NORMALISED),
            ("batch_mean_labels", BATCH_MEAN),
        )
        for size in (1, 2, 4)
    },
    # Controls: neither of the two suspects, and a discriminator that can learn nothing about a sample.
    "normalised_no_metric": replace(NORMALISED, loss_weights=LossWeights(metric=0.0)),
    "shuffled_labels": replace(PUBLISHED, shuffled_labels=True),
    # Repairs that leave the time target as published: files at the network's level, and less or no time loss.
    "published_rms_1": replace(PUBLISHED, recording_rms=1.0),
    "published_rms_quarter": replace(PUBLISHED, recording_rms=0.25),
    "small_time_loss": replace(PUBLISHED, loss_weights=LossWeights(time=0.02)),
    "no_time_loss": replace(PUBLISHED, loss_weights=LossWeights(time=0.0)),
}

DESCRIPTIONS: dict[str, str] = {
    "published": "the public multi-GPU code: time target before normalisation, whole-batch skips, one order",
    "batch_mean_fix": "published, with all the debugging effort applied: batch-mean labels, clipping at 5.0, "
    "early stopping with patience 15",
    "masked_labels": "published, but only the failed sample is left out of the discriminator's loss",
    "normalised_target": "published, but the time loss compares with the clean signal after normalisation",
    "recommended": "normalised target, masked labels, reshuffled epochs, metric on the re-analysed waveform",
    "no_metric_loss": "published, without discriminator",
    "rebalanced_weights": "published, with loss weights 0.1, 0.5, 0.2, 0.2",
    "single_rank_shuffle": "published, with a new order every epoch as on a single GPU",
    "reanalysed_metric": "published, but the discriminator sees the magnitude of the waveform",
    "gradient_clipping": "published, with gradients clipped at 5.0",
    "early_stopping": "published, with early stopping on the validation loss, patience 15",
    "mpsenet": "MP-SENet: magnitude and phase decoders, its own losses, metric on the re-analysed waveform",
    "mpsenet_variant": "MP-SENet as the debugging effort's second system had it: whole-batch skips, clipping at 1.0",
    "batch_mean_56": "skip_56, but the discriminator learns the mean of the samples that have a score, or 0.5",
    "mask_56": "skip_56, but only the failed sample is left out of the discriminator's loss",
    "normalised_no_metric": "normalised target, without discriminator: a control that must not collapse",
    "shuffled_labels": "published, but every label is the score of another, earlier sample: a control",
    "published_rms_1": "published, with recordings scaled to RMS 1, so that its gain is about 1",
    "published_rms_quarter": "published, with recordings scaled to RMS 0.25, so that its gain is about 4",
    "small_time_loss": "published, with a weight of 0.02 for the time loss",
    "no_time_loss": "published, without the time loss",
    "batch_mean_labels": "published, with the batch's mean PESQ as the label of every sample",
}

# Warm and solid: un-normalised time target. Cool and dashed: normalised. The two families differ in blue against
# orange, which colour-blind readers keep, and in the line, which survives greyscale; markers tell the arms of a
# family apart, without shapes that look like a dot when small.
MARKERS = "osD^vPX<>*d"
FAMILIES = {  # colours, line and first marker by time target
    "published": (("#b2182b", "#e66100", "#8c510a", "#dd9c00", "#d6604d", "#7f3b08"), "-", 0),
    "normalised": (("#0b4f9c", "#0086a8", "#5e3c99", "#4393c3", "#2d7f73", "#8073ac"), (0, (4, 1.5)), 3),
}
NOISY_COLOUR = "0.35"
WHITE_EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.4}


def arm(name: str) -> Recipe:
    """The recipe of a named arm; ValueError lists the names when there is none."""
    if name not in ARMS:
        raise ValueError(f"unknown arm {name!r}: use one of {', '.join(ARMS)}")
    return ARMS[name]


def describe(name: str) -> str:
    """One phrase on what sets an arm apart."""
    if name in DESCRIPTIONS:
        return DESCRIPTIONS[name]
    recipe = arm(name)
    if recipe.batch_size:
        family = name.removesuffix(f"_batch_{recipe.batch_size}")
        return f"{family}, with {recipe.batch_size} crop{'s' * (recipe.batch_size > 1)} a batch"
    return f"{recipe.time_target} time target, PESQ made to fail in {recipe.injected_failure_rate:.0%} of batches"


def arm_style(arm: str) -> dict[str, str | tuple]:
    """Keyword arguments color, linestyle and marker for an arm; grey for the unprocessed noisy speech."""
    if arm not in ARMS:
        return {"color": NOISY_COLOUR, "linestyle": ":", "marker": "x"}
    target = ARMS[arm].time_target
    index = [name for name, recipe in ARMS.items() if recipe.time_target == target].index(arm)
    colours, line, first_marker = FAMILIES[target]
    marker = MARKERS[(first_marker + index) % len(MARKERS)]
    return {"color": colours[index % len(colours)], "linestyle": line, "marker": marker}


def arm_line(arm: str) -> dict[str, str | tuple]:
    """The same without the marker."""
    style = arm_style(arm)
    return {"color": style["color"], "linestyle": style["linestyle"]}


def arm_rows(axis: "Axes", arms: Sequence[str]) -> None:
    """Turn the y axis into one row an arm, the first on top."""
    axis.set_yticks(range(len(arms)), [arm_label(arm) for arm in arms])
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")


def arm_label(arm: str) -> str:
    """The arm's name as it is written in figures."""
    return arm.replace("_", " ")
