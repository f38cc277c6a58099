"""What holds for every input: labels, crops, the manifest, intervals, the training objective.

Signals, metrics and the minimised objective have theirs beside their other tests.
"""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan.dataset import UtterancePair, crop, epoch_batches
from cmgan.labels import Labels, LabelSource, labels_from_pesq, normalised_pesq
from cmgan.losses import discriminator_loss, generator_losses
from cmgan.recipe import LabelPolicy, LossWeights, Recipe
from cmgan.statistics import (
    batch_share,
    holm,
    mean_interval,
    needed_crop_share,
    proportion_interval,
    seed_interval,
)
from data_prep.manifest import SPLITS, Utterance, read_manifest, write_manifest

seeds = st.integers(0, 10_000)
policies = st.sampled_from(get_args(LabelPolicy))
scores = st.lists(st.floats(1, 4.5) | st.just(np.nan), min_size=1, max_size=8).map(np.array)
values = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


@given(pesq=scores, policy=policies)
def test_a_label_that_enters_the_loss_is_the_samples_own_or_what_its_policy_says(pesq, policy):
    labels, failed = labels_from_pesq(pesq, policy), np.isnan(pesq)
    assert labels.skip == (policy == "skip_batch" and failed.any())
    np.testing.assert_array_equal(labels.kept, ~failed if policy == "mask" else np.ones_like(failed))
    if not labels.skip:
        assert np.all((labels.values[labels.kept] >= 0) & (labels.values[labels.kept] <= 1))
    if policy == "batch_mean":
        expected = np.nanmean(normalised_pesq(pesq)) if not failed.all() else 0.5
        np.testing.assert_allclose(labels.values, expected)
    else:
        np.testing.assert_array_equal(labels.values[~failed], normalised_pesq(pesq)[~failed])


@given(
    batches=st.lists(st.tuples(st.floats(1, 4.5), st.floats(1, 4.5)), min_size=1, max_size=8),
    cut=st.integers(0, 8),
    seed=seeds,
    policy=policies,
)
def test_a_label_source_taken_up_anywhere_labels_as_if_nothing_had_happened(batches, cut, seed, policy):
    recipe = Recipe(labels=policy, injected_failure_rate=0.5, shuffled_labels=True)
    whole, first, second = (LabelSource(recipe, np.random.default_rng(seed + part)) for part in (0, 0, 1))
    expected = [whole.label(np.array(batch)).labels for batch in batches]
    begun = [first.label(np.array(batch)).labels for batch in batches[:cut]]
    second.restore(first.state())
    for one, other in zip(
        expected, begun + [second.label(np.array(batch)).labels for batch in batches[cut:]], strict=True
    ):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.kept, other.kept)


@given(length=st.integers(1, 300), samples=st.integers(1, 600), seed=seeds)
def test_a_crop_is_one_stretch_of_the_utterance_or_the_utterance_again_and_again(length, samples, seed):
    wave = np.arange(length, dtype=np.float32)
    clean, noisy = crop(UtterancePair("u", wave, -wave), samples, np.random.default_rng(seed))
    start = clean[0] if length > samples else 0
    np.testing.assert_array_equal(clean, (start + np.arange(samples)) % length)
    np.testing.assert_array_equal(noisy, -clean)
    assert 0 <= start <= max(length - samples, 0)


@given(
    count=st.integers(1, 12),
    size=st.integers(1, 4),
    ranks=st.integers(1, 3),
    seed=seeds,
    reshuffle=st.booleans(),
)
def test_processes_together_train_on_the_batches_of_one_process(count, size, ranks, seed, reshuffle):
    waves = [np.full(5_000, number, np.float32) for number in range(max(count, size * ranks))]
    pairs = [UtterancePair(str(number), wave, wave) for number, wave in enumerate(waves)]
    given_to_all = (0.25, seed, 1, reshuffle)
    parts = [
        [batch.ids for batch in epoch_batches(pairs, size, *given_to_all, rank, ranks)]
        for rank in range(ranks)
    ]
    alone = [batch.ids for batch in epoch_batches(pairs, size * ranks, *given_to_all)]
    assert [sum(together, ()) for together in zip(*parts, strict=True)] == alone
    used = [name for ids in alone for name in ids]
    assert len(used) == len(set(used)) == len(pairs) - len(pairs) % (size * ranks)


# Any text that a UTF-8 file can hold, but for what data preparation refuses in a name.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(words, st.sampled_from(SPLITS), words, words, words, st.none() | st.floats(-20, 40)),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row[0],
    )
)
def test_a_manifest_comes_back_as_it_was_written_whatever_its_text(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("corpus")
    paths = [folder / name for name in ("clean, 'one'.wav", 'noisy "one".wav')]
    for path in paths:
        path.touch()
    utterances = [
        Utterance(name, split, speaker, *paths, 1, 16_000, snr, noise, "0", "1", note)
        for name, split, speaker, noise, note, snr in rows
    ]
    assert read_manifest(write_manifest(utterances, folder / "manifest.csv")) == utterances
    assert sorted(map(Path, folder.iterdir())) == sorted([*paths, folder / "manifest.csv"])


@settings(deadline=None, max_examples=10)
@given(values=values, shift=st.floats(-50, 50), seed=seeds)
def test_an_interval_of_seeds_holds_the_mean_and_moves_with_the_values_and_a_bootstrap_stays_among_them(
    values, shift, seed
):
    found, moved, among = (
        seed_interval(values),
        seed_interval(np.array(values) + shift),
        mean_interval(values, seed),
    )
    # Values that differ by rounding only count as equal.
    assert [found.estimate, among.estimate] == pytest.approx(2 * [np.mean(values)], abs=1e-9)
    assert found.low <= found.estimate + 1e-9
    assert found.high >= found.estimate - 1e-9
    assert min(values) - 1e-9 <= among.low <= among.high <= max(values) + 1e-9
    expected = (found.low + shift, found.high + shift)
    assert (moved.low, moved.high) == pytest.approx(expected, abs=1e-6 * (1 + np.ptp(values)))


@given(trials=st.integers(1, 500), share=st.floats(0, 1), size=st.integers(1, 64))
def test_the_interval_of_a_share_holds_it_and_shares_of_crops_and_batches_are_inverse(trials, share, size):
    successes = round(share * trials)
    found, of_more = (proportion_interval(many * successes, many * trials) for many in (1, 10))
    assert 0 <= found.low <= of_more.low <= found.estimate <= of_more.high <= found.high <= 1
    assert batch_share(needed_crop_share(share, size), size) == pytest.approx(share, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_adjusted_p_values_are_no_smaller_keep_the_order_and_stay_shares(p_values):
    adjusted = np.array(holm(p_values))
    assert np.all((adjusted >= np.array(p_values)) & (adjusted <= 1))
    assert np.all(np.diff(adjusted[np.argsort(p_values)]) >= 0)


@settings(deadline=None, max_examples=30)
@given(seed=seeds, weights=st.tuples(*[st.floats(0, 2)] * 4))
def test_the_training_objective_is_its_weighted_terms_and_nothing_at_clean_speech(seed, weights):
    rng = np.random.default_rng(seed)
    clean, estimate = (torch.from_numpy(rng.standard_normal((2, 2, 5, 4))) for _ in range(2))
    wave, other = (torch.from_numpy(rng.standard_normal((2, 50))) for _ in range(2))
    score, weight = torch.from_numpy(rng.uniform(0, 1, (2, 1))), LossWeights(*weights)
    losses = generator_losses(estimate, clean, other, wave, score, weight)
    terms = torch.stack([losses.real_imaginary, losses.magnitude, losses.time, losses.metric])
    assert (terms > 0).all()
    assert losses.total.item() == pytest.approx(float(terms @ terms.new_tensor(weights)))
    assert generator_losses(clean, clean, wave, wave, torch.ones(2, 1), weight).total.item() == 0
    # The magnitude's part never exceeds what the complex spectra differ by.
    assert losses.magnitude <= losses.real_imaginary + 1e-12


@given(seed=seeds, size=st.integers(1, 6))
def test_the_discriminators_loss_does_not_depend_on_the_order_of_the_batch(seed, size):
    rng = np.random.default_rng(seed)
    clean, estimate, label = (rng.uniform(0, 1, size) for _ in range(3))
    kept, order = rng.random(size) < 0.7, rng.permutation(size)
    losses = [
        discriminator_loss(
            torch.from_numpy(clean[place])[:, None],
            torch.from_numpy(estimate[place])[:, None],
            Labels(np.where(kept, label, np.nan)[place], kept[place], skip=False),
        ).item()
        for place in (np.arange(size), order)
    ]
    assert losses[0] == pytest.approx(losses[1])
    assert np.isfinite(losses[0])
