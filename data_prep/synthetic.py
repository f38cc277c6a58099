"""The default corpus: eSpeak NG speech with known pauses in synthetic noise, planned and made; no download."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import lcm
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm
from tqdm.contrib.concurrent import thread_map

from data_prep.audio import write_audio
from data_prep.manifest import SPLITS, Utterance, write_manifest
from data_prep.noise import (
    BABBLE_VOICES,
    TEST_NOISES,
    TRAINING_NOISES,
    Pause,
    coloured,
    join_with_pauses,
    make_noise,
    mix,
    scaled_to,
)
from data_prep.speech import Phrase, sentences_of, speak
from data_prep.whole_files import alone_in, write_table

UTTERANCES = {"train": 160, "validation": 20, "test": 40}
# 5 dB above VoiceBank+DEMAND's, whose mean PESQ of noisy test files is then met: PESQ rates synthetic voices lower.
TRAINING_SNRS = (5.0, 10.0, 15.0, 20.0)
TEST_SNRS = (7.5, 12.5, 17.5, 22.5)

# eSpeak NG shapes a speaker by the variant after the plus: no variant occurs in two of these lists.
SPEAKERS = {
    split: voices.split()
    for split, voices in {
        "train": "en-us+m1 en+m3 en-us-nyc+m8 en-gb-scotland+Michael en-us+Mike en-029+Diogo en-gb-x-rp+Hugo "
        "en-us+f1 en+f3 en-gb-x-rp+Annie en-us+steph en-gb-x-gbcwmd+aunty en-gb-scotland+Alicia en-us-nyc+Alex",
        "validation": "en-us+rob en+f2 en-gb-scotland+m7 en-029+linda",
        "test": "en-us+m4 en-gb-x-gbclan+victor en-us-nyc+ian en-us+f5 en-gb-x-rp+belinda en+f4",
    }.items()
}
BACKGROUND_SPEAKERS = {
    "train": [
        "en-us+m2",
        "en+m6",
        "en-us+Denis",
        "en-gb-x-rp+miguel",
        "en-us+grandma",
        "en-gb-scotland+Andrea",
    ],
    "test": ["en+boris", "en-us+quincy", "en-us+anika", "en-gb-x-rp+shelby"],
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


def prepare_synthetic(
    output_folder: Path, seed: int, utterances: Mapping[str, int] = UTTERANCES, *, workers: int = 2
) -> Path:
    """Write that many utterances of each split and return the path of their manifest.csv.

    Beside the manifest, pauses.csv (id, kind, start, stop in samples) and spoken.csv (id, text, speed, pitch,
    levels) record what was asked for. The same seed gives the same bytes in every file, for any number of workers
    and whatever the sizes of the other splits. Until all files are written there is no manifest. Raises ValueError
    for a negative number or no utterance at all, SpeechError where eSpeak NG fails, BlockingIOError where another
    process prepares a corpus there.
    """
    if min(utterances.values()) < 0 or not any(utterances.values()):
        raise ValueError(
            f"utterances asked for: {dict(utterances)}; ask for at least one, and for none below 0"
        )
    plans = [
        plan_utterance(split, number, seed) for split, count in utterances.items() for number in range(count)
    ]
    with alone_in(output_folder):
        return _write_corpus(plans, output_folder, workers)


def _write_corpus(plans: Sequence[UtterancePlan], folder: Path, workers: int) -> Path:
    manifest = folder / "manifest.csv"
    manifest.unlink(missing_ok=True)
    # Threads suffice: speech is made in processes of their own, and NumPy and SciPy release the lock.
    written = thread_map(
        lambda plan: _write_pair(plan, folder),
        plans,
        max_workers=workers,
        tqdm_class=tqdm,
        unit="utterance",
        disable=None,
    )
    pauses = [{"id": item.id} | asdict(pause) for item, own_pauses in written for pause in own_pauses]
    write_table(pd.DataFrame(pauses), folder / "pauses.csv")
    write_table(pd.DataFrame([_spoken(plan) for plan in plans]), folder / "spoken.csv")
    return write_manifest([item for item, _ in written], manifest)


def plan_utterance(split: str, number: int, seed: int) -> UtterancePlan:
    """Utterance `number` (from 0) of a split; the rest of the corpus has no influence on it.

    Voices, sentences and noises of the test split occur in no other split, and so do voices and sentences of the
    validation split. Noises and SNRs take turns, so that few utterances already cover every pair of them.
    """
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
    return int(
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)).permutation(count)[position]
    )


def _background(split: str, voices: int, rng: np.random.Generator) -> tuple[Phrase, ...]:
    names = BACKGROUND_SPEAKERS["test" if split == "test" else "train"]
    speakers = rng.permutation(len(names))[:voices]
    sentences = sentences_of(split)
    texts = rng.permutation(len(sentences))[: 2 * voices].reshape(voices, 2)
    return tuple(
        Phrase(
            names[speaker],
            ". ".join(" ".join(sentences[text]) for text in pair),
            words_per_minute=int(rng.integers(150, 196)),
        )
        for speaker, pair in zip(speakers, texts, strict=True)
    )


def _write_pair(plan: UtterancePlan, folder: Path) -> tuple[Utterance, list[Pause]]:
    clean, noisy, pauses = _rendered(plan)
    paths = folder / "clean" / f"{plan.id}.wav", folder / "noisy" / f"{plan.id}.wav"
    for path, samples in zip(paths, (clean, noisy), strict=True):
        write_audio(path, samples)
    written = Utterance.of_files(plan.id, plan.split, plan.speaker, paths, len(clean), plan.snr, plan.noise)
    return written, pauses


def _rendered(plan: UtterancePlan) -> tuple[np.ndarray, np.ndarray, list[Pause]]:
    """Clean and noisy signals, two (N,) float64 of scale ±1 at 16 kHz, and where nobody speaks.

    The clean signal keeps a faint recording noise in its pauses, as a microphone would.
    """
    spoken = speak([*plan.phrases, *plan.background])
    speech, active, pauses = join_with_pauses(spoken[: len(plan.phrases)], plan.pauses)
    rng = np.random.default_rng(plan.seeds)
    floor = scaled_to(coloured(len(speech), rng, 1.0), plan.floor_level)
    clean = scaled_to(speech, plan.active_level, active) + floor
    noise = make_noise(plan.noise, len(speech), rng, spoken[len(plan.phrases) :])
    return *mix(clean, noise, active, plan.snr), pauses


def _spoken(plan: UtterancePlan) -> dict[str, str | int | float]:
    manner = plan.phrases[0]
    return {
        "id": plan.id,
        "text": " ".join(phrase.text for phrase in plan.phrases),
        "words_per_minute": manner.words_per_minute,
        "pitch": manner.pitch,
        "pitch_range": manner.pitch_range,
        "active_level_db": round(plan.active_level, 3),
        "floor_level_db": round(plan.floor_level, 3),
    }
