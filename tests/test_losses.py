import numpy as np
import pytest
import torch

from cmgan.labels import Labels, LabelSource, inject_failure, labels_from_pesq
from cmgan.losses import discriminator_loss
from cmgan.recipe import Recipe


def _labels(values, kept=None):
    values = np.asarray(values, dtype=float)
    return Labels(values, np.ones(len(values), bool) if kept is None else np.asarray(kept), skip=False)


def test_a_masked_sample_has_no_influence_on_the_discriminator_loss():
    clean, estimate = torch.tensor([[0.9], [0.8]]), torch.tensor([[0.4], [0.3]])
    changed = torch.tensor([[0.4], [0.99]])
    labels = _labels([0.5, np.nan], kept=[True, False])
    assert discriminator_loss(clean, estimate, labels) == discriminator_loss(clean, changed, labels)
    assert torch.isfinite(discriminator_loss(clean, estimate, labels))


def test_with_every_sample_masked_only_the_clean_half_is_left():
    clean, estimate = torch.tensor([[0.5]]), torch.tensor([[0.3]])
    assert discriminator_loss(clean, estimate, _labels([np.nan], kept=[False])).item() == 0.25


def test_one_failure_skips_the_batch_under_the_public_policy_only():
    pesq = np.array([4.5, np.nan, 2.75])
    assert labels_from_pesq(pesq, "skip_batch").skip
    assert not labels_from_pesq(pesq[[0, 2]], "skip_batch").skip
    assert not any(labels_from_pesq(pesq, policy).skip for policy in ("batch_mean", "mask", "fill"))


def test_labels_by_policy_for_a_batch_with_one_failure():
    pesq = np.array([4.5, np.nan, 2.75])
    np.testing.assert_allclose(labels_from_pesq(pesq, "batch_mean").values, [0.75, 0.75, 0.75])
    np.testing.assert_allclose(labels_from_pesq(pesq, "fill").values, [1, 0.5, 0.5])
    masked = labels_from_pesq(pesq, "mask")
    np.testing.assert_array_equal(masked.kept, [True, False, True])
    np.testing.assert_allclose(masked.values, [1, np.nan, 0.5])


def test_the_batch_mean_of_one_sample_is_its_own_score_or_an_invented_half():
    np.testing.assert_allclose(labels_from_pesq(np.array([3.1]), "batch_mean").values, [0.6])
    np.testing.assert_allclose(labels_from_pesq(np.array([np.nan]), "batch_mean").values, [0.5])


def test_injected_failures_hit_the_asked_share_of_batches_and_one_sample_each(rng):
    outcomes = [inject_failure(np.full(4, 2.0), 0.56, rng) for _ in range(2000)]
    assert abs(np.mean([happened for _, happened in outcomes]) - 0.56) < 0.04
    assert {int(np.isnan(scores).sum()) for scores, happened in outcomes if happened} == {1}
    assert not any(np.isnan(scores).any() for scores, happened in outcomes if not happened)


def _shuffling(labels="mask", rate=0.0, seed=0):
    recipe = Recipe(labels=labels, shuffled_labels=True, injected_failure_rate=rate)
    return LabelSource(recipe, np.random.default_rng(seed))


def test_shuffled_labels_are_earlier_samples_scores_and_unrelated_to_the_samples_own():
    rng = np.random.default_rng(3)
    batches = rng.uniform(1, 4.5, (300, 2))
    source = _shuffling()
    labelled = [source.label(batch).labels for batch in batches]
    assert not labelled[0].kept.any()
    given = np.array([labels.values for labels in labelled[1:]])
    own = (batches[1:] - 1) / 3.5
    assert set(given.ravel()) <= set(((batches - 1) / 3.5).ravel())
    assert abs(np.corrcoef(given.ravel(), own.ravel())[0, 1]) < 0.1
    np.testing.assert_allclose(given.mean(), own.mean(), atol=0.03)


def test_shuffled_labels_are_not_the_samples_own_at_batch_size_one():
    source = _shuffling()
    scores = np.linspace(1.1, 4.1, 20)
    labels = [source.label(np.array([score])).labels.values[0] for score in scores]
    assert np.isnan(labels[0])
    assert all(label < (score - 1) / 3.5 for label, score in zip(labels[1:], scores[1:], strict=True))


def test_a_failed_sample_has_no_label_to_pass_on_and_a_skipped_batch_stays_skipped():
    source = _shuffling("skip_batch")
    assert source.label(np.array([np.nan, 2.0])).labels.skip
    first = source.label(np.array([3.0, 3.0])).labels
    assert not first.skip
    assert not first.kept.any()
    np.testing.assert_allclose(source.label(np.array([1.5, 1.5])).labels.values, [2 / 3.5] * 2)


def test_a_label_source_makes_the_labels_of_the_policy_and_injects_at_the_recipes_rate():
    source = LabelSource(Recipe(labels="skip_batch", injected_failure_rate=0.56), np.random.default_rng(0))
    labelled = [source.label(np.full(4, 2.0)) for _ in range(2000)]
    assert np.mean([batch.injected for batch in labelled]) == pytest.approx(0.56, abs=0.04)
    assert all(batch.labels.skip == batch.injected for batch in labelled)
    assert all(np.isnan(batch.pesq).sum() == batch.injected for batch in labelled)
