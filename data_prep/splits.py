"""Divide a corpus into train, validation and test, by speaker wherever the number of speakers allows it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from data_prep.corpus import CorpusError, Recording

_EVALUATED_SHARE = 0.15


def assign_splits(recordings: Sequence[Recording], seed: int) -> list[Recording]:
    """Give every recording a split, by speaker wherever the number of speakers allows it.

    Splits that the folders show stay. Otherwise, of three speakers or more about 15 % of the recordings, whole
    speakers, go to test and validation each; of two, the one with more recordings trains and the other tests; one
    is split by recording. Where no speaker is left for validation it takes 15 % of the training recordings.
    Raises CorpusError where there are too few recordings for three splits.
    """
    rng = np.random.default_rng(seed)
    shown = {recording.split for recording in recordings}
    if "" in shown and shown != {""}:
        odd = next(recording for recording in recordings if not recording.split)
        raise CorpusError(
            f"{odd.clean_path}: not in a train, validation or test folder as others are; move it there"
        )
    if shown == {""}:
        assigned = _split_by_speaker(recordings, rng)
    elif "train" not in shown or "test" not in shown:
        raise CorpusError(
            f"{recordings[0].clean_path.parent}: the folders show only {', '.join(sorted(shown))} recordings; "
            f"add train and test, or put all in one clean/ and noisy/"
        )
    else:
        assigned = list(recordings)
    if all(recording.split != "validation" for recording in assigned):
        assigned = _hold_out(assigned, "validation", "train", rng)
    return assigned


def limit_splits(
    recordings: Sequence[Recording], limits: Mapping[str, int | None], seed: int
) -> list[Recording]:
    """At most the given number of recordings of each split, drawn at random and kept in order; None is no limit.

    A larger limit keeps what a smaller one kept. Raises CorpusError for a limit below 1.
    """
    kept: list[Recording] = []
    for position, (split, limit) in enumerate(limits.items()):
        if limit is not None and limit < 1:
            raise CorpusError(
                f"{split} limit is {limit}; ask for at least one recording, or leave the limit out"
            )
        members = [recording for recording in recordings if recording.split == split]
        order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(position,))).permutation(
            len(members)
        )
        kept += [members[index] for index in sorted(order[:limit])]
    return kept


def _split_by_speaker(recordings: Sequence[Recording], rng: np.random.Generator) -> list[Recording]:
    speakers = sorted({recording.speaker for recording in recordings})
    if len(speakers) == 1:
        return _hold_out(
            [replace(recording, split="train") for recording in recordings], "test", "train", rng
        )
    count = {name: sum(recording.speaker == name for recording in recordings) for name in speakers}
    if len(speakers) == 2:
        trains = max(speakers, key=lambda name: (count[name], -speakers.index(name)))
        return [replace(item, split="train" if item.speaker == trains else "test") for item in recordings]
    wanted = _EVALUATED_SHARE * len(recordings)
    order = [speakers[index] for index in rng.permutation(len(speakers))]
    split_of: dict[str, str] = {}
    for split, to_leave in (("test", 2), ("validation", 1)):
        taken = 0
        while len(order) > to_leave:
            name = next((name for name in order if taken + count[name] <= wanted), None)
            if name is None and taken:
                break
            # Where no speaker is small enough, one must be taken whole all the same.
            name = name or min(order, key=count.__getitem__)
            order.remove(name)
            taken += count[name]
            split_of[name] = split
    return [replace(recording, split=split_of.get(recording.speaker, "train")) for recording in recordings]


def _hold_out(
    recordings: list[Recording], split: str, source: str, rng: np.random.Generator
) -> list[Recording]:
    """Move 15 % of a split's recordings, at least one, to another split, and say so in their note."""
    members = [index for index, recording in enumerate(recordings) if recording.split == source]
    if len(members) < 2:
        raise CorpusError(
            f"{recordings[0].clean_path.parent}: {len(members)} recordings left to take {split} recordings from; "
            f"add recordings, preferably of three speakers or more"
        )
    moved = rng.permutation(members)[: max(1, round(_EVALUATED_SHARE * len(members)))]
    note = f"{split} shares its speaker with {source}"
    return [
        replace(recording, split=split, note=note) if index in moved else recording
        for index, recording in enumerate(recordings)
    ]
