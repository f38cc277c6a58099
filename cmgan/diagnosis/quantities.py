"""Which quantity a column, key or tag of somebody's log holds, from its name."""

import re

_VALIDATION = frozenset({"test", "val", "valid", "validation", "eval", "dev"})
_DISCRIMINATOR = frozenset({"disc", "discriminator", "d", "critic", "discrim"})
# Terms and bookkeeping that are no total loss.
_NOT_A_TOTAL = frozenset(
    {"mag", "magnitude", "ri", "real", "complex", "imaginary", "phase", "metric", "gan", "adv", "adversarial"}
    | {"consistency", "best", "min", "lowest"}
)
_NOT_VALIDATION_PESQ = frozenset(
    {"best", "max", "train", "training", "label", "failures", "reason", "random", "crop", "loss"}
)
_STEP_WORDS = frozenset({"step", "steps", "iteration", "iter", "global"})
_GLUED = re.compile(
    r"(train|test|validation|valid|val|discriminator|disc|generator|gen|time|mag|best)(?=loss|pesq)"
)


def quantity_of(name: str) -> str:
    """The quantity that a name stands for, or "" for one that is not used here.

    One of epoch, step, rank, loss, disc_loss, validation_loss, validation_disc_loss, pesq, time_loss, gain and
    skipped: "Train/gen_loss", "loss" → loss; "test_loss", "val gen loss" → validation_loss; "Discriminator loss" →
    disc_loss.
    """
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = frozenset(re.split(r"[^a-z0-9]+", _GLUED.sub(r"\1_", separated))) - {""}
    if "pesq" in words:
        return "" if words & _NOT_VALIDATION_PESQ else "pesq"
    if "loss" in words or "losses" in words:
        return _loss(words)
    if words >= {"discriminator", "skipped"}:
        return "skipped"
    if words & {"epoch", "epochs"}:
        return "epoch"
    if words & _STEP_WORDS:
        return "step"
    if words & {"gpu", "rank"}:
        return "rank"
    return "gain" if words - {"train", "training"} == {"gain"} else ""


def _loss(words: frozenset[str]) -> str:
    validation = "validation_" if words & _VALIDATION else ""
    if words & _NOT_A_TOTAL:
        return ""
    if words & _DISCRIMINATOR:
        return f"{validation}disc_loss"
    if "time" in words:
        return "" if validation else "time_loss"
    return f"{validation}loss"
