"""Who says what, how and in which noise: the synthetic corpus on paper, before a sound is made."""

from dataclasses import dataclass
from math import lcm

import numpy as np

from data_prep.manifest import SPLITS
from data_prep.noise import BABBLE_VOICES, TEST_NOISES, TRAINING_NOISES
from data_prep.sentences import sentences_of
from data_prep.speech import Phrase

TRAINING_SNRS = (0.0, 5.0, 10.0, 15.0)
TEST_SNRS = (2.5, 7.5, 12.5, 17.5)

# eSpeak NG shapes a speaker by the variant after the plus: no variant occurs in two of these lists.
SPEAKERS = {
    "train": (
        *("en-us+m1", "en+m3", "en-us-nyc+m8", "en-gb-scotland+Michael", "en-us+Mike", "en-029+Diogo"),
        *("en-gb-x-rp+Hugo", "en-us+f1", "en+f3", "en-gb-x-rp+Annie", "en-us+steph", "en-gb-x-gbcwmd+aunty"),
        *("en-gb-scotland+Alicia", "en-us-nyc+Alex"),
    ),
    "validation": ("en-us+rob", "en+f2", "en-gb-scotland+m7", "en-029+linda"),
    "test": (
        "en-us+m4",
        "en-gb-x-gbclan+victor",
        "en-us-nyc+ian",
        "en-us+f5",
        "en-gb-x-rp+belinda",
        "en+f4",
    ),
}
BACKGROUND_SPEAKERS = {
    "train": (
        "en-us+m2",
        "en+m6",
        "en-us+Denis",
        "en-gb-x-rp+miguel",
        "en-us+grandma",
        "en-gb-scotland+Andrea",
    ),
    "test": ("en+boris", "en-us+quincy", "en-us+anika", "en-gb-x-rp+shelby"),
}

# First elements of the spawn keys, so that no two kinds of draw share a generator.
_UTTERANCE, _SPEAKER, _SENTENCE = range(3)


@dataclass(frozen=True)
class UtterancePlan:
    """Everything that determines one pair of files; seconds, dB relative to full scale, dB."""

    id: str
    split: str
    speaker: str
    phrases: tuple[Phrase, ...]
    pauses: tuple[float, ...]
    active_level: float
    floor_level: float
    noise: str
    snr: float
    background: tuple[Phrase, ...]
    seeds: np.random.SeedSequence

    @property
    def text(self) -> str:
        """The sentence."""
        return " ".join(phrase.text for phrase in self.phrases)


def plan_utterances(split: str, count: int, seed: int) -> list[UtterancePlan]:
    """The first `count` utterances of a split; the rest of the corpus has no influence on them.

    Voices, sentences and noises of the test split occur in no other, those of validation voices and sentences
    neither. Noises and SNRs take turns, so that few utterances already cover every pair of them.
    Raises ValueError for a negative count or an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: use one of {', '.join(SPLITS)}")
    if count < 0:
        raise ValueError(f"{split}: cannot plan {count} utterances, the number must be 0 or more")
    return [_plan(split, number, seed) for number in range(count)]


def _plan(split: str, number: int, seed: int) -> UtterancePlan:
    seeds = np.random.SeedSequence(seed, spawn_key=(_UTTERANCE, SPLITS.index(split), number))
    draw_seed, render_seed = seeds.spawn(2)
    rng = np.random.default_rng(draw_seed)
    noises, snrs = (TEST_NOISES, TEST_SNRS) if split == "test" else (TRAINING_NOISES, TRAINING_SNRS)
    noise = noises[number % len(noises)]
    snr = snrs[(number + number // lcm(len(noises), len(snrs))) % len(snrs)]
    speakers, sentences = SPEAKERS[split], sentences_of(split)
    speaker = speakers[_dealt(len(speakers), number, _SPEAKER, split, seed)]
    halves = sentences[_dealt(len(sentences), number, _SENTENCE, split, seed)]
    pauses = tuple(round(_pause_seconds(rng), 3) for _ in range(3))
    manner = {
        "words_per_minute": int(rng.integers(150, 196)),
        "pitch": int(rng.integers(35, 66)),
        "pitch_range": int(rng.integers(40, 71)),
    }
    if rng.random() < 0.4:
        halves, pauses = (" ".join(halves),), (pauses[0], pauses[2])
    return UtterancePlan(
        id=f"{split}_{number:05d}",
        split=split,
        speaker=speaker,
        phrases=tuple(Phrase(speaker, half, **manner) for half in halves),
        pauses=pauses,
        active_level=float(rng.uniform(-26, -20)),
        floor_level=float(rng.uniform(-62, -52)),
        noise=noise,
        snr=snr,
        background=_background(split, BABBLE_VOICES.get(noise, 0), rng),
        seeds=render_seed,
    )


def _pause_seconds(rng: np.random.Generator) -> float:
    # Most pauses are short; one in six is long enough to fill a training crop's larger part with silence.
    return rng.uniform(0.8, 1.5) if rng.random() < 1 / 6 else rng.uniform(0.1, 0.5)


def _dealt(count: int, number: int, purpose: int, split: str, seed: int) -> int:
    """Which of `count` items is number `number` of shuffled decks that each hold all of them once."""
    deck, position = divmod(number, count)
    key = (purpose, SPLITS.index(split), deck)
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)).permutation(count)
    return int(order[position])


def _background(split: str, voices: int, rng: np.random.Generator) -> tuple[Phrase, ...]:
    source = "test" if split == "test" else "train"
    speakers = rng.permutation(len(BACKGROUND_SPEAKERS[source]))[:voices]
    sentences = sentences_of(split)
    texts = rng.permutation(len(sentences))[: 2 * voices].reshape(voices, 2)
    return tuple(
        Phrase(
            BACKGROUND_SPEAKERS[source][speaker],
            ". ".join(" ".join(sentences[text]) for text in pair),
            words_per_minute=int(rng.integers(150, 196)),
        )
        for speaker, pair in zip(speakers, texts, strict=True)
    )
