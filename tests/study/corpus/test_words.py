import numpy as np
import pandas as pd
import pytest

from cmgan.study.corpus.words import corpus_in_words, example_in_words, noisy_in_words


@pytest.fixture
def utterances():
    return pd.DataFrame(
        {
            "split": ["train", "train", "validation", "test"],
            "seconds": [1.0, 2.5, 2.0, 3.0],
            "snr_db": [0.0, 5.0, 5.0, 2.5],
        }
    )


def test_a_corpus_is_told_by_lengths_and_ratios(utterances):
    text = corpus_in_words(utterances)
    assert "train: 2 of 1.0 to 2.5 s" in text
    assert "train 0 and 5 dB; validation 5 dB; test 2.5 dB" in text
    assert text.endswith("Training and test share none.")


def test_a_ratio_that_training_and_test_share_is_named(utterances):
    assert corpus_in_words(utterances.assign(snr_db=5.0)).endswith("Training and test share 5 dB.")


def test_many_ratios_are_told_by_their_ends(utterances):
    many = pd.concat([utterances.assign(snr_db=float(ratio)) for ratio in range(-2, 12)])
    assert "train −2 to 11 dB" in corpus_in_words(many)


def test_a_corpus_that_states_no_ratio_is_said_not_to(utterances):
    assert corpus_in_words(utterances.assign(snr_db=np.nan)).endswith(
        "does not state its signal-to-noise ratios."
    )


def test_noisy_scores_are_the_mark_to_beat():
    text = noisy_in_words(pd.DataFrame({"pesq": [1.5, 2.5, np.nan], "ssnr": [-1.0, -2.0, -3.0]}))
    assert "2 test utterances have a mean PESQ of 2.00 (1.50 to 2.50) and a segmental SNR of −2.0 dB" in text
    assert (
        noisy_in_words(pd.DataFrame({"pesq": [np.nan], "ssnr": [0.0]}))
        == "PESQ failed for every noisy test utterance."
    )


def test_noise_that_fills_the_quiet_half_alone_is_told_so():
    clean = np.array([0.1, 0.1, 1.0, 1.0])
    # 6 dB is a factor of 1.23 in magnitudes to the power 0.3.
    noisy = np.array([0.2, 0.2, 1.2, 1.2])
    text = example_in_words(pd.DataFrame({"clean": clean, "noisy": noisy}))
    assert text.startswith("Noise raises 50 % of all bins by more than 6 dB")
    assert "in the clean speech 100 %, of the others 0 %" in text
