"""The default corpus: eSpeak NG speech with known pauses in synthetic noise, nothing to download."""

import csv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data_prep.audio import SAMPLE_RATE, write_audio
from data_prep.manifest import Utterance, sha256_of, write_manifest
from data_prep.mixing import Pause, active_mask, join_with_pauses, mix, scaled_to
from data_prep.noise import coloured, make_noise
from data_prep.plan import UtterancePlan, plan_utterances
from data_prep.speech import speak


def prepare_synthetic(
    output_folder: str | Path,
    seed: int,
    *,
    train_utterances: int = 160,
    validation_utterances: int = 20,
    test_utterances: int = 40,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the corpus and return the path of its manifest.csv.

    Beside the manifest, pauses.csv (id, kind, start, stop in samples) and spoken.csv (id, text, speed, pitch,
    levels) record what was asked for. The same seed gives the same bytes in every file, for any number of workers
    and whatever the sizes of the other splits. A manifest from before is removed first: there is none until all
    files are written. `progress` is called with the number of utterances done and of all.
    Raises ValueError for a negative number or no utterance at all, SpeechError where eSpeak NG fails.
    """
    folder = Path(output_folder)
    counts = {"train": train_utterances, "validation": validation_utterances, "test": test_utterances}
    plans = [plan for split, count in counts.items() for plan in plan_utterances(split, count, seed)]
    if not plans:
        raise ValueError("no utterances asked for; ask for at least one")
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    manifest.unlink(missing_ok=True)

    utterances: list[Utterance] = []
    pauses: list[tuple[str, Pause]] = []
    # Threads suffice: speech is made in processes of their own, and NumPy and SciPy release the lock.
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for utterance, own_pauses in pool.map(lambda plan: _write_pair(plan, folder), plans):
            utterances.append(utterance)
            pauses += [(utterance.id, pause) for pause in own_pauses]
            if progress:
                progress(len(utterances), len(plans))
    _write_table(
        folder / "pauses.csv",
        ("id", "kind", "start", "stop"),
        [(name, pause.kind, pause.start, pause.stop) for name, pause in pauses],
    )
    _write_table(
        folder / "spoken.csv",
        ("id", "text", "words_per_minute", "pitch", "pitch_range", "active_level_db", "floor_level_db"),
        [_spoken_row(plan) for plan in plans],
    )
    return write_manifest(utterances, manifest)


def render(plan: UtterancePlan) -> tuple[np.ndarray, np.ndarray, list[Pause]]:
    """Clean and noisy signals, two (N,) float64 of scale ±1 at 16 kHz, and where nobody speaks.

    The clean signal keeps a faint recording noise in its pauses, as a microphone would.
    """
    spoken = speak([*plan.phrases, *plan.background])
    speech, pauses = join_with_pauses(spoken[: len(plan.phrases)], plan.pauses)
    active = active_mask(len(speech), pauses)
    rng = np.random.default_rng(plan.seeds)
    floor = scaled_to(coloured(len(speech), rng, 1.0), plan.floor_level)
    clean = scaled_to(speech, plan.active_level, active) + floor
    noise = make_noise(plan.noise, len(speech), rng, spoken[len(plan.phrases) :])
    return *mix(clean, noise, active, plan.snr), pauses


def _write_pair(plan: UtterancePlan, folder: Path) -> tuple[Utterance, list[Pause]]:
    clean, noisy, pauses = render(plan)
    paths = {name: folder / name / f"{plan.id}.wav" for name in ("clean", "noisy")}
    write_audio(paths["clean"], clean)
    write_audio(paths["noisy"], noisy)
    utterance = Utterance(
        id=plan.id,
        split=plan.split,
        speaker=plan.speaker,
        clean_path=paths["clean"],
        noisy_path=paths["noisy"],
        samples=len(clean),
        sample_rate=SAMPLE_RATE,
        snr_db=plan.snr,
        noise=plan.noise,
        clean_sha256=sha256_of(paths["clean"]),
        noisy_sha256=sha256_of(paths["noisy"]),
    )
    return utterance, pauses


def _spoken_row(plan: UtterancePlan) -> tuple[str | int | float, ...]:
    manner = plan.phrases[0]
    levels = round(plan.active_level, 3), round(plan.floor_level, 3)
    return plan.id, plan.text, manner.words_per_minute, manner.pitch, manner.pitch_range, *levels


def _write_table(path: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    partial.replace(path)
