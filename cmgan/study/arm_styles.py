"""How an arm looks in every figure: the same colour, line and marker whichever arms are drawn beside it."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from cmgan.study.arms import ARMS

# Warm and solid: un-normalised time target. Cool and dashed: normalised. The two families differ in blue against
# orange, which colour-blind readers keep, and in the line, which survives greyscale; markers tell the arms of a
# family apart, without shapes that look like a dot when small.
WARM = ("#b2182b", "#e66100", "#8c510a", "#dd9c00", "#d6604d", "#7f3b08")
COOL = ("#0b4f9c", "#0086a8", "#5e3c99", "#4393c3", "#2d7f73", "#8073ac")
MARKERS = "osD^vPX<>*d"
FIRST_MARKER = {"published": 0, "normalised": 3}
NOISY_COLOUR = "0.35"
WHITE_EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.4}


def arm_style(arm: str) -> dict[str, str]:
    """Keyword arguments color, linestyle and marker for an arm; grey for the unprocessed noisy speech."""
    if arm not in ARMS:
        return {"color": NOISY_COLOUR, "linestyle": ":", "marker": "x"}
    target = ARMS[arm].time_target
    index = [name for name, recipe in ARMS.items() if recipe.time_target == target].index(arm)
    published = target == "published"
    colours = WARM if published else COOL
    return {
        "color": colours[index % len(colours)],
        "linestyle": "-" if published else (0, (4, 1.5)),
        "marker": MARKERS[(FIRST_MARKER[target] + index) % len(MARKERS)],
    }


def arm_rows(axis: Axes, arms: Sequence[str]) -> None:
    """Turn the y axis into one row an arm, the first on top."""
    axis.set_yticks(range(len(arms)), [arm_label(arm) for arm in arms])
    axis.set_ylim(len(arms) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")


def arm_label(arm: str) -> str:
    """The arm's name as it is written in figures."""
    return arm.replace("_", " ")
