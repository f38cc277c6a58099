"""The synthetic corpus: reproducible to the byte, disjoint between splits, true to what it says of itself."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest

from data_prep.manifest import SPLITS, ManifestError, read_manifest, read_pair, sha256_of
from data_prep.noise import TEST_NOISES, TRAINING_NOISES, level_db
from data_prep.speech import SpeechError
from data_prep.synthetic import (
    BACKGROUND_SPEAKERS,
    SPEAKERS,
    TEST_SNRS,
    TRAINING_SNRS,
    plan_utterance,
    prepare_synthetic,
)

COUNTS = {"train": 7, "validation": 2, "test": 6}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    prepare_synthetic(folder, 3, COUNTS)
    return folder


def file_contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def pauses_of(folder, utterance):
    """The utterance's rows of pauses.csv, and where it has none: (N,) bool."""
    table = pd.read_csv(folder / "pauses.csv").query("id == @utterance.id")
    active = np.ones(utterance.samples, dtype=bool)
    for pause in table.itertuples():
        active[pause.start : pause.stop] = False
    return table, active


def test_every_file_is_the_same_for_a_seed_whatever_the_number_of_workers(corpus, tmp_path):
    prepare_synthetic(tmp_path, 3, COUNTS, workers=1)
    assert file_contents(tmp_path) == file_contents(corpus)
    prepare_synthetic(tmp_path, 4, COUNTS, workers=3)
    first, second = read_manifest(corpus / "manifest.csv"), read_manifest(tmp_path / "manifest.csv")
    assert not {item.clean_sha256 for item in first} & {item.clean_sha256 for item in second}


def test_the_size_of_one_split_changes_no_utterance_of_another(corpus, tmp_path):
    manifest = prepare_synthetic(tmp_path, 3, {"train": 1, "validation": 0, "test": 6})
    before = {item.id: item.noisy_sha256 for item in read_manifest(corpus / "manifest.csv")}
    after = {item.id: item.noisy_sha256 for item in read_manifest(manifest)}
    assert len(after) == 7
    assert after.items() <= before.items()


def test_manifest_holds_what_was_asked_for_and_its_checksums_are_true(corpus):
    utterances = read_manifest(corpus / "manifest.csv")
    assert Counter(item.split for item in utterances) == {"train": 7, "validation": 2, "test": 6}
    for item in utterances:
        assert item.clean_sha256 == sha256_of(item.clean_path)
        assert item.noisy_sha256 == sha256_of(item.noisy_path)


def test_snr_measured_in_the_files_is_the_snr_asked_for(corpus):
    for item in read_manifest(corpus / "manifest.csv"):
        clean, noisy = read_pair(item)
        _, active = pauses_of(corpus, item)
        snr = level_db(clean[active]) - level_db(noisy - clean)
        assert snr == pytest.approx(item.snr_db, abs=0.01)


def test_pauses_are_where_they_are_said_to_be(corpus):
    for item in read_manifest(corpus / "manifest.csv"):
        clean = read_pair(item)[0]
        pauses, active = pauses_of(corpus, item)
        assert list(pauses["kind"]) in (["leading", "trailing"], ["leading", "inner", "trailing"])
        assert pauses["start"].iloc[0] == 0
        assert pauses["stop"].iloc[-1] == item.samples == len(clean)
        assert -65 < level_db(clean[~active]) < level_db(clean[active]) - 20


def test_levels_resemble_voicebank(corpus):
    for item in read_manifest(corpus / "manifest.csv"):
        clean, noisy = read_pair(item)
        assert 0.02 < np.sqrt(np.square(clean).mean()) < 0.11
        assert max(np.abs(clean).max(), np.abs(noisy).max()) <= 0.951
        assert 1.5 < item.seconds < 9


def test_without_all_files_there_is_no_manifest(tmp_path, monkeypatch):
    prepare_synthetic(tmp_path, 0, {"train": 1})

    def fail(_phrases):
        raise SpeechError("no voice")

    monkeypatch.setattr("data_prep.synthetic.speak", fail)
    with pytest.raises(SpeechError):
        prepare_synthetic(tmp_path, 1, {"train": 2})
    with pytest.raises(ManifestError, match="no manifest"):
        read_manifest(tmp_path / "manifest.csv")


def test_impossible_numbers_are_refused(tmp_path):
    for counts in (dict.fromkeys(COUNTS, 0), {"train": -1, "test": 1}):
        with pytest.raises(ValueError, match="ask for at least one"):
            prepare_synthetic(tmp_path, 0, counts)


def test_voices_are_disjoint_even_those_in_the_babble():
    variants = [
        voice.split("+")[1]
        for speakers in (SPEAKERS, BACKGROUND_SPEAKERS)
        for names in speakers.values()
        for voice in names
    ]
    assert len(variants) == len(set(variants))
    assert len(SPEAKERS["train"]) >= 12


def test_planned_voices_noises_snrs_and_sentences_of_the_test_split_occur_in_no_other():
    plans = {split: [plan_utterance(split, number, 9) for number in range(300)] for split in SPLITS}
    texts, speakers, noises, snrs, voices = (
        {split: set().union(*(of(plan) for plan in members)) for split, members in plans.items()}
        for of in (
            lambda plan: {" ".join(p.text for p in plan.phrases), *(p.text for p in plan.background)},
            lambda plan: {plan.speaker},
            lambda plan: {plan.noise},
            lambda plan: {plan.snr},
            lambda plan: {phrase.voice for phrase in plan.background},
        )
    )
    for name in (texts, speakers, noises, snrs, voices):
        assert not name["test"] & (name["train"] | name["validation"])
    assert not texts["train"] & texts["validation"]
    assert not speakers["train"] & speakers["validation"]
    assert noises["train"] == set(TRAINING_NOISES)
    assert noises["test"] == set(TEST_NOISES)


def test_few_utterances_cover_every_noise_at_every_snr_and_every_voice_alike():
    for split, noises, snrs in (("train", TRAINING_NOISES, TRAINING_SNRS), ("test", TEST_NOISES, TEST_SNRS)):
        pairs = list(product(noises, snrs))
        plans = [plan_utterance(split, number, 0) for number in range(len(pairs))]
        assert Counter((plan.noise, plan.snr) for plan in plans) == Counter(pairs)
        counts = Counter(plan.speaker for plan in plans)
        assert set(counts) == set(SPEAKERS[split])
        assert max(counts.values()) - min(counts.values()) <= 1


def test_rate_and_pitch_vary():
    plans = [plan_utterance("train", number, 0) for number in range(50)]
    assert len({plan.phrases[0].words_per_minute for plan in plans}) > 15
    assert len({plan.phrases[0].pitch for plan in plans}) > 15
