"""eSpeak NG speech: the same for the same request, different voices, and errors instead of silence."""

import espeakng_loader
import numpy as np
import pytest

from data_prep import speech
from data_prep.speech import Phrase, SpeechError, sentences_of, speak
from data_prep.synthetic import BACKGROUND_SPEAKERS, SPEAKERS

TEXT = "The kettle began to whistle."


def median_pitch(samples):
    pitches = []
    for start in range(0, len(samples) - 800, 400):
        frame = samples[start : start + 800] * np.hanning(800)
        correlation = np.fft.irfft(np.abs(np.fft.rfft(frame, 4096)) ** 2)
        lag = 40 + np.argmax(correlation[40:266])
        if frame.std() > 0.01 and correlation[lag] > 0.5 * correlation[0]:
            pitches.append(16_000 / lag)
    return float(np.median(pitches))


def test_speech_depends_on_nothing_spoken_before_the_call():
    phrase = Phrase("en-us+f3", TEXT)
    first = speak([phrase])[0]
    speak([Phrase("en+m3", "Something else.")])
    np.testing.assert_array_equal(first, speak([phrase])[0])


def test_speech_is_as_long_as_its_words_take_and_is_not_clipped():
    slow, fast = speak([Phrase("en-us+m1", TEXT, words_per_minute=rate) for rate in (120, 240)])
    assert 0.8 < len(fast) / 16_000 < len(slow) / 16_000 < 3
    assert np.abs(slow).max() < 0.99


def test_both_ends_are_trimmed_to_silence():
    samples = speak([Phrase("en+m3", TEXT)])[0]
    assert samples[0] == samples[-1] == 0
    assert np.abs(samples[:1_600]).max() > 0.02


def test_female_voices_speak_higher_than_male_ones_and_pitch_raises_a_voice():
    male, female, raised = speak(
        [Phrase("en-us+m1", TEXT), Phrase("en-us+f1", TEXT), Phrase("en-us+m1", TEXT, pitch=80)]
    )
    assert median_pitch(male) < 130 < 150 < median_pitch(female)
    assert median_pitch(raised) > 1.1 * median_pitch(male)


def test_every_planned_voice_is_shipped_and_none_sound_the_same():
    voices = [
        voice for group in (SPEAKERS, BACKGROUND_SPEAKERS) for names in group.values() for voice in names
    ]
    spoken = speak([Phrase(voice, "Pass the tea.") for voice in voices])
    assert len({samples.tobytes() for samples in spoken}) == len(voices) == len(set(voices))
    assert max(np.abs(samples).max() for samples in spoken) < 0.99


@pytest.mark.parametrize(("voice", "named"), [("en-us+nobody", "'nobody'"), ("klingonese", "'klingonese'")])
def test_unknown_voice_is_an_error_though_espeak_would_accept_it(voice, named):
    with pytest.raises(SpeechError, match=f"no voice.*{named}"):
        speak([Phrase(voice, TEXT)])


def test_text_without_sound_is_an_error():
    with pytest.raises(SpeechError, match="gave silence"):
        speak([Phrase("en", " ")])


def test_missing_data_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(SpeechError, match="install"):
        speak([Phrase("en", TEXT)])


def test_a_process_that_hangs_is_an_error(monkeypatch):
    monkeypatch.setattr(speech, "_TIMEOUT_SECONDS", 1e-4)
    with pytest.raises(SpeechError, match="did not answer"):
        speak([Phrase("en", TEXT)])


def test_sentences_are_different_of_5_to_14_words_and_in_two_halves():
    sentences = [sentence for split in ("train", "validation", "test") for sentence in sentences_of(split)]
    assert len(sentences) == len(set(sentences)) >= 120
    assert {len(halves) for halves in sentences} == {2}
    lengths = [len(" ".join(halves).split()) for halves in sentences]
    assert min(lengths) >= 5
    assert max(lengths) <= 14
