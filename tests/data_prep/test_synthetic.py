"""The synthetic corpus: reproducible to the byte, disjoint between splits, true to what it says of itself."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest

from data_prep.manifest import SPLITS, ManifestError, read_manifest, read_pair, verify_checksums
from data_prep.mixing import Pause, active_mask, level_db, snr_db
from data_prep.noise import TEST_NOISES, TRAINING_NOISES
from data_prep.plan import BACKGROUND_SPEAKERS, SPEAKERS, TEST_SNRS, TRAINING_SNRS, plan_utterances
from data_prep.speech import SpeechError
from data_prep.synthetic import prepare_synthetic

COUNTS = {"train_utterances": 7, "validation_utterances": 2, "test_utterances": 6}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    prepare_synthetic(folder, 3, **COUNTS)
    return folder


def file_contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def pauses_of(folder, name):
    table = pd.read_csv(folder / "pauses.csv")
    return [Pause(row.kind, row.start, row.stop) for row in table[table["id"] == name].itertuples()]


def test_every_file_is_the_same_for_a_seed_whatever_the_number_of_workers(corpus, tmp_path):
    prepare_synthetic(tmp_path, 3, **COUNTS, workers=1)
    assert file_contents(tmp_path) == file_contents(corpus)
    prepare_synthetic(tmp_path, 4, **COUNTS, workers=3)
    first, second = read_manifest(corpus / "manifest.csv"), read_manifest(tmp_path / "manifest.csv")
    assert not {item.clean_sha256 for item in first} & {item.clean_sha256 for item in second}


def test_the_size_of_one_split_changes_no_utterance_of_another(corpus, tmp_path):
    manifest = prepare_synthetic(tmp_path, 3, train_utterances=1, validation_utterances=0, test_utterances=6)
    before = {item.id: item.noisy_sha256 for item in read_manifest(corpus / "manifest.csv")}
    after = {item.id: item.noisy_sha256 for item in read_manifest(manifest)}
    assert len(after) == 7
    assert after.items() <= before.items()


def test_manifest_holds_what_was_asked_for_and_its_checksums_are_true(corpus):
    utterances = read_manifest(corpus / "manifest.csv")
    assert Counter(item.split for item in utterances) == {"train": 7, "validation": 2, "test": 6}
    verify_checksums(utterances)


def test_snr_measured_in_the_files_is_the_snr_asked_for(corpus):
    for item in read_manifest(corpus / "manifest.csv"):
        clean, noisy = read_pair(item)
        active = active_mask(len(clean), pauses_of(corpus, item.id))
        assert snr_db(clean, noisy - clean, active) == pytest.approx(item.snr_db, abs=0.01)


def test_pauses_are_where_they_are_said_to_be(corpus):
    for item in read_manifest(corpus / "manifest.csv"):
        clean = read_pair(item)[0]
        pauses = pauses_of(corpus, item.id)
        active = active_mask(len(clean), pauses)
        assert [pause.kind for pause in pauses] in (["leading", "trailing"], ["leading", "inner", "trailing"])
        assert pauses[0].start == 0
        assert pauses[-1].stop == item.samples == len(clean)
        assert -65 < level_db(clean[~active]) < level_db(clean[active]) - 20


def test_levels_resemble_voicebank(corpus):
    for item in read_manifest(corpus / "manifest.csv"):
        clean, noisy = read_pair(item)
        assert 0.02 < np.sqrt(np.square(clean).mean()) < 0.11
        assert max(np.abs(clean).max(), np.abs(noisy).max()) <= 0.951
        assert 1.5 < item.seconds < 9


def test_without_all_files_there_is_no_manifest(tmp_path, monkeypatch):
    prepare_synthetic(tmp_path, 0, train_utterances=1, validation_utterances=0, test_utterances=0)

    def fail(_phrases):
        raise SpeechError("no voice")

    monkeypatch.setattr("data_prep.synthetic.speak", fail)
    with pytest.raises(SpeechError):
        prepare_synthetic(tmp_path, 1, train_utterances=2, validation_utterances=0, test_utterances=0)
    with pytest.raises(ManifestError, match="no manifest"):
        read_manifest(tmp_path / "manifest.csv")


def test_progress_counts_every_utterance(tmp_path):
    seen = []
    counts = dict.fromkeys(COUNTS, 1)
    prepare_synthetic(tmp_path, 0, **counts, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_impossible_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no utterances asked for"):
        prepare_synthetic(tmp_path, 0, **dict.fromkeys(COUNTS, 0))
    with pytest.raises(ValueError, match="train: cannot plan -1"):
        prepare_synthetic(tmp_path, 0, train_utterances=-1)


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
    plans = {split: plan_utterances(split, 300, seed=9) for split in SPLITS}
    texts, speakers, noises, snrs, voices = (
        {split: set().union(*(of(plan) for plan in members)) for split, members in plans.items()}
        for of in (
            lambda plan: {plan.text, *(phrase.text for phrase in plan.background)},
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
        plans = plan_utterances(split, len(pairs), seed=0)
        assert Counter((plan.noise, plan.snr) for plan in plans) == Counter(pairs)
        counts = Counter(plan.speaker for plan in plans)
        assert set(counts) == set(SPEAKERS[split])
        assert max(counts.values()) - min(counts.values()) <= 1


def test_rate_and_pitch_vary():
    plans = plan_utterances("train", 50, seed=0)
    assert len({plan.phrases[0].words_per_minute for plan in plans}) > 15
    assert len({plan.phrases[0].pitch for plan in plans}) > 15


def test_unknown_split_is_refused():
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        plan_utterances("dev", 1, 0)
