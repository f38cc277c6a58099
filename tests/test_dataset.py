import numpy as np
import pytest

from cmgan.dataset import UtterancePair, batches_per_epoch, crop, epoch_batches


def _pairs(count=7, samples=20_000):
    waves = np.arange(count)[:, None] + np.linspace(0, 0.5, samples, dtype=np.float32)
    return [
        UtterancePair(str(i), wave.astype(np.float32), -wave.astype(np.float32))
        for i, wave in enumerate(waves)
    ]


def _ids(pairs, **settings):
    given = {"batch_size": 2, "crop_seconds": 0.25, "seed": 0, "epoch": 1, "reshuffle": True} | settings
    return [batch.ids for batch in epoch_batches(pairs, **given)]


def test_an_epoch_holds_each_utterance_at_most_once_and_drops_the_incomplete_batch():
    ids = _ids(_pairs())
    assert len(ids) == 3
    assert len({name for batch in ids for name in batch}) == 6


def test_reshuffling_changes_the_order_and_the_fixed_order_repeats():
    assert _ids(_pairs(), epoch=1) != _ids(_pairs(), epoch=2)
    assert _ids(_pairs(), epoch=1, reshuffle=False) == _ids(_pairs(), epoch=2, reshuffle=False)


def test_crops_move_between_epochs_even_in_the_fixed_order():
    first, second = (
        next(epoch_batches(_pairs(), 2, 0.25, seed=0, epoch=epoch, reshuffle=False)) for epoch in (1, 2)
    )
    assert first.ids == second.ids
    assert not np.array_equal(first.clean, second.clean)


def test_the_same_seed_and_epoch_give_the_same_crops_from_the_same_place_in_clean_and_noisy():
    first, again = (next(epoch_batches(_pairs(), 2, 0.25, 3, 1, True)) for _ in range(2))
    assert np.array_equal(first.clean, again.clean)
    assert np.array_equal(first.clean, -first.noisy)


def test_ranks_share_an_epoch_without_overlap():
    ranks = [{n for batch in _ids(_pairs(8), rank=rank, ranks=2) for n in batch} for rank in (0, 1)]
    assert not ranks[0] & ranks[1]
    assert len(ranks[0] | ranks[1]) == 8


def test_a_short_utterance_repeats_from_its_beginning(rng):
    pair = UtterancePair("short", np.arange(3, dtype=np.float32), np.arange(3, dtype=np.float32))
    clean, _ = crop(pair, 7, rng)
    assert clean.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_too_few_utterances_for_a_batch_are_refused():
    with pytest.raises(ValueError, match="lower batch_size"):
        batches_per_epoch(3, 4)
