"""What a whole run says in short, and what its scale cannot say: sentences from its tables."""

from cmgan.study.comparison import words
from cmgan.study.comparison.tables import Comparison
from cmgan.study.run_results import NOISY, RunResults

FEW_UTTERANCES = 10


def introduction(results: RunResults) -> str:
    """What the page is about, in two sentences."""
    test = results.evaluation["id"].nunique()
    return (
        f"{len(results.arms)} ways of training CMGAN (arms) with {len(results.seeds)} seeds each, validated every "
        f"epoch and tested on {test} utterances. Every number and verdict here is computed from the run's files."
    )


def answer(compared: Comparison) -> list[str]:
    """The run in short: which arms fell, what the losses did, who ends where, what was skipped."""
    return [
        *words.falls_in_words(compared.pesq_falls, compared.falls_by_arm),
        *words.what_losses_did(compared.pesq_falls, compared.since_peak),
        *words.differences_in_words(compared.differences),
        words.skips_in_words(compared.skip_rates),
        *words.identical_in_words(compared.identical_arms),
    ]


def limits(results: RunResults) -> list[str]:
    """The scale of the run in sentences, from its settings and counts."""
    budget = next(iter(results.configs.values()))["budget"]
    noisy = results.evaluation[results.evaluation["arm"] == NOISY]
    seeds, validated = len(results.seeds), results.validation["id"].nunique()
    too_narrow = (
        f"; over these {validated}, bootstrap intervals are too narrow" if validated < FEW_UTTERANCES else ""
    )
    return [
        f"Width of the network {budget['channels']}, two-stage blocks {budget['blocks']}, epochs {budget['epochs']}; "
        "published: 64, 4 and 120. What happens at that size may come earlier, later or not at all here.",
        f"{seeds} seed{'s' * (seeds != 1)} an arm: intervals over utterances speak for these trained networks, not "
        "for the next ones; intervals over so few seeds are wide or missing.",
        f"{validated} validation utterances decide whether PESQ fell{too_narrow}.",
        f"{noisy['id'].nunique()} test utterances of one corpus: scores on them, on synthetic speech above all, are "
        "not comparable with published ones; arms are compared with each other only.",
        "The same seed starts every arm from the same weights and the same crops, so arms that never differed in "
        "what they did give the same numbers.",
        "Intervals are not corrected for the number of comparisons, but for those that decide on claims.",
    ]
