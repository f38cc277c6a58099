"""From PESQ scores to the discriminator's labels, under the policies that the claims are about."""

import json
from dataclasses import dataclass

import numpy as np

from cmgan.recipe import LabelPolicy, Recipe

INVENTED_LABEL = 0.5


@dataclass(frozen=True)
class Labels:
    """Targets of D(clean, estimate) for a batch of B samples.

    values (B,) float64 in 0…1, NaN where there is none; kept (B,) bool: samples that enter the loss;
    skip: the discriminator makes no step at all.
    """

    values: np.ndarray
    kept: np.ndarray
    skip: bool

    def part(self, first: int, last: int) -> "Labels":
        """Those of the samples first … last − 1."""
        return Labels(self.values[first:last], self.kept[first:last], self.skip)


def normalised_pesq(pesq: np.ndarray) -> np.ndarray:
    """(PESQ − 1) / 3.5, the public code's label; NaN stays NaN."""
    return (pesq - 1) / 3.5


def labels_from_pesq(pesq: np.ndarray, policy: LabelPolicy) -> Labels:
    """Labels for one batch from its PESQ scores (B,), NaN where PESQ failed.

    skip_batch: one failure and the discriminator makes no step (public code);
    batch_mean: every sample gets the mean of those that succeeded, 0.5 if none did (the debugging effort);
    mask: failed samples are left out of the loss; fill: failed samples get the invented label 0.5.
    """
    scores = normalised_pesq(np.asarray(pesq, dtype=np.float64))
    succeeded = np.isfinite(scores)
    everyone = np.ones_like(succeeded)
    if policy == "skip_batch":
        return Labels(scores, everyone, skip=not succeeded.all())
    if policy == "batch_mean":
        shared = scores[succeeded].mean() if succeeded.any() else INVENTED_LABEL
        return Labels(np.full_like(scores, shared), everyone, skip=False)
    if policy == "fill":
        return Labels(np.where(succeeded, scores, INVENTED_LABEL), everyone, skip=False)
    return Labels(scores, succeeded, skip=False)


@dataclass(frozen=True)
class LabelledBatch:
    """Labels of a batch, the scores (B,) they were made from, and whether a failure was injected into these."""

    labels: Labels
    pesq: np.ndarray
    injected: bool


class LabelSource:
    """Labels batch after batch under one recipe: injected failures, the label policy, shuffled labels.

    With shuffled labels a sample gets the label of one drawn at random from all samples of the same epoch before
    its own batch, so that labels keep their distribution and say nothing about the sample, at batch size 1 too.
    Samples of the first batch have no such label and are left out of the loss. Use a new source for every epoch.
    """

    def __init__(self, recipe: Recipe, rng: np.random.Generator) -> None:
        self._recipe, self._rng = recipe, rng
        self._earlier: list[float] = []

    def state(self) -> str:
        """Where it stands, as text that `restore` takes."""
        return json.dumps({"random": self._rng.bit_generator.state, "earlier": self._earlier})

    def restore(self, state: str) -> None:
        """Go on from where another source of the same recipe stood."""
        there = json.loads(state)
        self._rng.bit_generator.state, self._earlier = there["random"], there["earlier"]

    def label(self, pesq: np.ndarray) -> LabelledBatch:
        """Labels for the scores (B,) of the next batch, NaN where PESQ failed."""
        given, injected = inject_failure(pesq, self._recipe.injected_failure_rate, self._rng)
        labels = labels_from_pesq(given, self._recipe.labels)
        if self._recipe.shuffled_labels and not labels.skip:
            labels = self._shuffled(labels)
        return LabelledBatch(labels, given, injected)

    def _shuffled(self, labels: Labels) -> Labels:
        own = labels.values[labels.kept & np.isfinite(labels.values)]
        drawn = np.full(len(labels.values), np.nan)
        if self._earlier:
            drawn = self._rng.choice(self._earlier, size=len(drawn))
        self._earlier += own.tolist()
        return Labels(drawn, labels.kept & np.isfinite(drawn), skip=False)


def inject_failure(pesq: np.ndarray, rate: float, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """With probability `rate` make one sample of the batch fail: scores (B,) → (scores, whether it happened).

    The same number of random draws is made whatever the outcome, so that arms stay comparable.
    """
    happens, victim = rng.random() < rate, rng.integers(len(pesq))
    if not happens:
        return pesq, False
    failed = pesq.copy()
    failed[victim] = np.nan
    return failed, True
