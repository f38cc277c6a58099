"""VoiceBank+DEMAND, 28 training speakers: downloaded, or from a folder in whatever layout it has."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from data_prep.archives import unpack_recordings
from data_prep.corpus import CorpusError, Recording, find_recordings
from data_prep.download import fetch
from data_prep.folder import write_corpus
from data_prep.manifest import read_manifest
from data_prep.splits import assign_splits, limit_splits

FOLDERS = (
    "clean_trainset_28spk_wav",
    "noisy_trainset_28spk_wav",
    "clean_testset_wav",
    "noisy_testset_wav",
)
TRANSCRIPTS = ("trainset_28spk_txt", "testset_txt")
BASE_URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2791"
LICENCE = """VoiceBank+DEMAND: Valentini-Botinhao, C. (2017), Noisy speech database for training speech enhancement
algorithms and TTS models, University of Edinburgh, https://doi.org/10.7488/ds/2117.
Licence: Creative Commons Attribution 4.0 International (CC BY 4.0).
"""
VALIDATION_SPEAKERS = ("p226", "p287")
TEST_SPEAKERS = ("p232", "p257")
PUBLISHED_COUNTS = {"training and validation": 11_572, "test": 824}
_WHERE = (
    "download the archives of Valentini-Botinhao (2017), DOI 10.7488/ds/2117, from Edinburgh DataShare and put them "
    "into this folder, packed or unpacked, or leave the folder out to have them downloaded"
)


def download_voicebank(
    folder: Path, base_url: str = BASE_URL, report: Callable[[str], None] = print, pause: float = 2.0
) -> None:
    """Fetch the six archives that are not in the folder, note their licence and unpack the recordings there.

    Raises what `fetch` does, and CorpusError for an archive that is not to be trusted.
    """
    packed = [name for name in FOLDERS if not (folder / name).is_dir()]
    if not packed:
        return
    fetch([f"{name}.zip" for name in (*packed, *TRANSCRIPTS)], base_url, folder, report, pause)
    (folder / "LICENCE.txt").write_text(LICENCE)
    for name in packed:
        report(f"unpacking {name}.zip")
        unpack_recordings(folder / f"{name}.zip", folder / name)


def prepare_voicebank(
    corpus_folder: str | Path,
    output_folder: str | Path,
    seed: int,
    *,
    train_utterances: int | None = None,
    validation_utterances: int | None = None,
    test_utterances: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Convert the corpus to 16 kHz where it is not and return the path of its manifest.csv.

    The folder holds the four archives, packed or unpacked, or clean and noisy folders in any layout that
    `find_recordings` reads. Speakers p232 and p257 are the test, p226 and p287 are held out for validation. Archives
    are unpacked under the output folder once. Each limit is the largest number of recordings of that split, None for
    all. Raises CorpusError where recordings are missing or of other speakers or an archive is not to be trusted,
    AudioError for a recording that cannot be used.
    """
    corpus_folder, output_folder = Path(corpus_folder), Path(output_folder)
    if not corpus_folder.is_dir():
        raise CorpusError(f"{corpus_folder}: no such folder; {_WHERE}")
    corpus_folder = _unpacked(corpus_folder, output_folder / "unpacked")
    recordings = assign_splits([_placed(recording) for recording in _found(corpus_folder)], seed)
    limits = {"train": train_utterances, "validation": validation_utterances, "test": test_utterances}
    chosen = limit_splits(recordings, limits, seed)
    return write_corpus(chosen, output_folder, resample=True, workers=workers, progress=progress)


def count_notes(manifest: Path) -> list[str]:
    """Sentences on splits that hold fewer recordings than were published; none for the whole corpus."""
    splits = [utterance.split for utterance in read_manifest(manifest)]
    counts = {"training and validation": len(splits) - splits.count("test"), "test": splits.count("test")}
    return [
        f"{name}: {counts[name]} of the {published} published recordings"
        for name, published in PUBLISHED_COUNTS.items()
        if counts[name] != published
    ]


def _unpacked(corpus_folder: Path, unpacking: Path) -> Path:
    """The folder itself, or where its archives are unpacked now."""
    unpacked = [name for name in FOLDERS if (corpus_folder / name).is_dir()]
    packed = [name for name in FOLDERS if (corpus_folder / f"{name}.zip").is_file() and name not in unpacked]
    missing = [name for name in FOLDERS if name not in (*packed, *unpacked)]
    if missing and len(missing) < len(FOLDERS):
        raise CorpusError(f"{corpus_folder}: {', '.join(missing)} missing; {_WHERE}")
    if packed and unpacked:
        raise CorpusError(
            f"{corpus_folder}: only {', '.join(packed)} still packed; unpack them beside the others"
        )
    for name in packed:
        unpack_recordings(corpus_folder / f"{name}.zip", unpacking / name)
    return unpacking if packed else corpus_folder


def _found(corpus_folder: Path) -> list[Recording]:
    try:
        return find_recordings(corpus_folder)
    except CorpusError as error:
        raise CorpusError(f"{error}; or {_WHERE}") from error


def _placed(recording: Recording) -> Recording:
    """In the split that its speaker has in the published corpus."""
    if not recording.speaker.startswith("p"):
        raise CorpusError(
            f"{recording.clean_path}: not named as a recording of VoiceBank+DEMAND (p232_001.wav); "
            "use the corpus folder for other recordings"
        )
    split = {"validation": VALIDATION_SPEAKERS, "test": TEST_SPEAKERS}
    return replace(
        recording, split=next((name for name in split if recording.speaker in split[name]), "train")
    )
