"""What 01_data_preparation computes: a manifest from the corpus that the parameters name, and tables of it."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cmgan.dataset import load_pairs
from cmgan.study.corpus.published_scores import check_published_scores
from cmgan.study.notebook_parameters import DataParameters
from cmgan.study.paths import repository_root, run_folder
from data_prep.folder import prepare_folder
from data_prep.manifest import read_manifest
from data_prep.synthetic import prepare_synthetic
from data_prep.voicebank import count_notes, download_voicebank, prepare_voicebank
from data_prep.whole_files import write_text

DOWNLOADED = Path("corpora", "voicebank")


def prepare_corpus(parameters: DataParameters, report: Callable[[str], None] = print) -> Path:
    """Prepare the corpus under results/RUN/data and return its manifest; one that is there is left as it is.

    Raises CorpusError, AudioError, DownloadError or ValueError with one line that names the file or setting at fault;
    ValueError, too, when the folder holds a corpus of other settings, which trainings may rest on.
    """
    output = run_folder(parameters.run) / "data"
    made_with = output / "settings.json"
    if _is_there(output / "manifest.csv", made_with, parameters):
        report(f"already prepared, see {output}; remove {output / 'manifest.csv'} to prepare it again")
        return output / "manifest.csv"
    made_with.unlink(missing_ok=True)
    manifest = _prepared(parameters, output, report)
    write_text(json.dumps(asdict(parameters), indent=1), made_with)
    return manifest


def _is_there(manifest: Path, made_with: Path, parameters: DataParameters) -> bool:
    if not manifest.is_file() or not made_with.is_file():
        return False
    there = json.loads(made_with.read_text())
    differences = [
        f"{name} {there.get(name)} there, {value} asked for"
        for name, value in asdict(parameters).items()
        if there.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{manifest.parent} holds a corpus of other settings ({'; '.join(differences)}): "
            "choose another run name or remove that folder"
        )
    return True


def _prepared(parameters: DataParameters, output: Path, report: Callable[[str], None]) -> Path:
    limits = {
        "train_utterances": parameters.train_utterances,
        "validation_utterances": parameters.validation_utterances,
        "test_utterances": parameters.test_utterances,
    }
    report(f"preparing the {parameters.corpus} corpus under {output}")
    if parameters.corpus == "synthetic":
        return prepare_synthetic(output, parameters.seed, **limits)
    given = {name: count or None for name, count in limits.items()}
    if parameters.corpus == "folder":
        return prepare_folder(Path(parameters.corpus_path), output, parameters.seed, **given)
    if parameters.corpus == "voicebank":
        return _voicebank(parameters, output, report, given)
    raise ValueError(f"unknown corpus {parameters.corpus!r}: use synthetic, folder or voicebank")


def _voicebank(
    parameters: DataParameters, output: Path, report: Callable[[str], None], limits: dict[str, int | None]
) -> Path:
    """Prepare VoiceBank+DEMAND, downloaded where no folder is given, on all cores."""
    folder = Path(parameters.corpus_path or repository_root() / DOWNLOADED)
    if not parameters.corpus_path:
        download_voicebank(folder, report=report)
    manifest = prepare_voicebank(folder, output, parameters.seed, workers=os.cpu_count() or 1, **limits)
    for note in count_notes(manifest):
        report(note)
    return manifest


def compared_with_published(parameters: DataParameters, scores: pd.DataFrame) -> str:
    """A sentence on whether the noisy test recordings are the published ones, where the corpus has any.

    scores: of the noisy test recordings. Raises ValueError with the likely cause where they are not.
    """
    if parameters.corpus != "voicebank":
        return "Nobody published scores of this corpus, so there is nothing to hold these against."
    pairs = load_pairs(run_folder(parameters.run) / "data" / "manifest.csv", "test")
    return check_published_scores(scores, pairs)


def manifest_frame(manifest: Path) -> pd.DataFrame:
    """The manifest as a frame with the duration in seconds."""
    frame = pd.DataFrame([vars(utterance) for utterance in read_manifest(manifest)])
    return frame.assign(seconds=frame["samples"] / frame["sample_rate"])


def split_table(utterances: pd.DataFrame) -> pd.DataFrame:
    """Utterances, speakers, noises and minutes of each split."""
    table = utterances.groupby("split").agg(
        utterances=("id", "size"),
        speakers=("speaker", "nunique"),
        noises=("noise", lambda names: names[names != ""].nunique()),
        minutes=("seconds", lambda seconds: round(seconds.sum() / 60, 2)),
        notes=("note", lambda notes: (notes != "").sum()),
    )
    return table.reindex([split for split in ("train", "validation", "test") if split in table.index])


def overlap_between_splits(utterances: pd.DataFrame) -> str:
    """Sentences on which speakers and noises training and test share (Markdown)."""
    return " ".join(_shared(utterances, column) for column in ("speaker", "noise"))


def _shared(utterances: pd.DataFrame, column: str) -> str:
    named = utterances[utterances[column] != ""]
    train, test = (set(named.loc[named["split"] == split, column]) for split in ("train", "test"))
    if not train or not test:
        return f"This corpus does not say which {column} an utterance has."
    shared = sorted(train & test)
    verdict = f"share {', '.join(shared)}" if shared else f"share no {column}"
    return f"Training ({len(train)}) and test ({len(test)}) {verdict}."
