"""Notebook 01: the corpus that the parameters name, tables of it, and whether its noisy files score as published."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import correlate, correlation_lags

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.metrics.pesq import pesq_score
from cmgan.metrics.snr import segmental_snr
from cmgan.study.notebook_parameters import DataParameters
from cmgan.study.paths import repository_root, run_folder
from data_prep.folder import prepare_folder
from data_prep.manifest import SPLITS, read_manifest
from data_prep.synthetic import prepare_synthetic
from data_prep.voicebank import count_notes, download_voicebank, prepare_voicebank
from data_prep.whole_files import write_text

DOWNLOADED = Path("corpora", "voicebank")
# PESQ and segmental SNR of all 824 unprocessed test files of VoiceBank+DEMAND, published with the public code's
# evaluation (public issue threads of CMGAN).
PUBLISHED = Path(__file__).parent / "data" / "published_noisy_scores.csv"
# Good resamplers move PESQ by less than 0.006 and the segmental SNR by less than 0.05 dB; see tests.
PESQ_TOLERANCE = 0.02
SSNR_TOLERANCE = 0.1
SHARE_THAT_FITS = 0.95
_RESAMPLED_PESQ = 0.3
_RESAMPLED_SSNR = 1.0
_LOOKED_INTO = 8
_LONGEST_LAG = 1600
# Speech has at least 1.26, clipped at a third of its peak at most 1.04.
_CLIPPED_RATIO = 1.15
_LEVEL_TOLERANCE_DB = 0.5


def prepare_corpus(parameters: DataParameters, report: Callable[[str], None] = print) -> Path:
    """Prepare the corpus under results/RUN/data and return its manifest; one that is there is left as it is.

    Raises CorpusError, AudioError, DownloadError or ValueError with one line that names the file or setting at fault;
    ValueError, too, when the folder holds a corpus of other settings, which trainings may rest on.
    """
    output = run_folder(parameters.run) / "data"
    manifest, made_with = output / "manifest.csv", output / "settings.json"
    if manifest.is_file() and made_with.is_file():
        _check_settings(json.loads(made_with.read_text()), parameters, output)
        report(f"already prepared, see {output}; remove {manifest} to prepare it again")
        return manifest
    made_with.unlink(missing_ok=True)
    report(f"preparing the {parameters.corpus} corpus under {output}")
    counts = {split: getattr(parameters, f"{split}_utterances") for split in SPLITS}
    limits = {split: count or None for split, count in counts.items()}
    if parameters.corpus == "synthetic":
        prepare_synthetic(output, parameters.corpus_seed, counts)
    elif parameters.corpus == "folder":
        prepare_folder(
            Path(parameters.corpus_path),
            output,
            parameters.corpus_seed,
            limits,
            speaker_pattern=parameters.speaker_pattern,
        )
    else:
        folder = Path(parameters.corpus_path or repository_root() / DOWNLOADED)
        if not parameters.corpus_path:
            download_voicebank(folder, report=report)
        prepare_voicebank(folder, output, parameters.corpus_seed, limits, workers=os.cpu_count() or 1)
        for note in count_notes(manifest):
            report(note)
    write_text(json.dumps(asdict(parameters), indent=1), made_with)
    return manifest


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
    return table.reindex([split for split in SPLITS if split in table.index])


def overlap_between_splits(utterances: pd.DataFrame) -> str:
    """Sentences on which speakers and noises training and test share (Markdown)."""
    sentences = []
    for column in ("speaker", "noise"):
        named = utterances[utterances[column] != ""]
        train, test = (set(named.loc[named["split"] == split, column]) for split in ("train", "test"))
        shared = ", ".join(sorted(train & test)) or f"no {column}"
        sentences.append(
            f"Training ({len(train)}) and test ({len(test)}) share {shared}."
            if train and test
            else f"This corpus does not say which {column} an utterance has."
        )
    return " ".join(sentences)


def compared_with_published(parameters: DataParameters, scores: pd.DataFrame) -> str:
    """A sentence on whether the noisy test recordings are the published ones, where the corpus has any.

    scores: of the noisy test recordings. Raises ValueError with the likely cause where they are not.
    """
    if parameters.corpus != "voicebank":
        return "There are no published scores of this corpus to compare these with."
    manifest = run_folder(parameters.run) / "data" / "manifest.csv"
    return check_published_scores(scores, load_pairs(manifest, "test"))


def check_published_scores(scores: pd.DataFrame, pairs: list[UtterancePair]) -> str:
    """A sentence that noisy recordings score (columns id, pesq, ssnr) as the published files of the same names do.

    Raises ValueError that names how many do not and the likely cause, or that none is among the published ones.
    """
    published = pd.read_csv(PUBLISHED).rename(columns={"track": "id"})
    compared = scores[["id", "pesq", "ssnr"]].merge(published, on="id", suffixes=("", "_published"))
    if compared.empty:
        raise ValueError(
            "no test recording has the name of a published one (p232_001): is this VoiceBank+DEMAND?"
        )
    for measure in ("pesq", "ssnr"):
        compared[f"{measure}_difference"] = compared[measure] - compared[f"{measure}_published"]
    fits = _fits(compared["pesq_difference"], compared["ssnr_difference"])
    medians = (
        f"median difference {compared['pesq_difference'].abs().median():.4f} PESQ, "
        f"{compared['ssnr_difference'].abs().median():.3f} dB segmental SNR"
    )
    if fits.mean() < SHARE_THAT_FITS:
        misfits, by_id = compared[~fits], {pair.id: pair for pair in pairs}
        spread = np.unique(np.linspace(0, len(misfits) - 1, _LOOKED_INTO).round().astype(int))
        causes = Counter(_likely_cause(by_id[row.id], row) for row in misfits.iloc[spread].itertuples())
        raise ValueError(
            f"{len(misfits)} of {len(fits)} noisy test recordings score other than published ({medians}); "
            f"likely cause: {causes.most_common(1)[0][0]}. Prepare the recordings again before training on them"
        )
    return f"{fits.sum()} of {len(fits)} noisy test recordings score as published: {medians}."


def _check_settings(there: dict, parameters: DataParameters, output: Path) -> None:
    # A corpus of an earlier version does not tell every setting.
    differences = [
        f"{name} {there[name]} there, {value} asked for"
        for name, value in asdict(parameters).items()
        if there.get(name, value) != value
    ]
    if differences:
        raise ValueError(
            f"{output} holds a corpus of other settings ({'; '.join(differences)}): "
            "choose another run name or remove that folder"
        )


def _likely_cause(pair: UtterancePair, row: tuple) -> str:
    clean, noisy = pair.clean, pair.noisy
    if _as_published(noisy, clean, row):
        return "clean and noisy are swapped"
    lag = _lag(clean, noisy)
    if lag > 0 and _as_published(clean[:-lag], noisy[lag:], row):
        return "noisy is shifted against clean (late)"
    if lag < 0 and _as_published(clean[-lag:], noisy[:lag], row):
        return "noisy is shifted against clean (early)"
    if _is_clipped(clean) or _is_clipped(noisy):
        return "the recordings are clipped"
    level = np.dot(clean, noisy) / np.dot(clean, clean)
    ssnr_at_level = segmental_snr(clean, noisy / level) - row.ssnr_published if level > 0 else np.inf
    if abs(row.pesq_difference) <= PESQ_TOLERANCE and abs(ssnr_at_level) <= _LEVEL_TOLERANCE_DB:
        return "the level of noisy was changed against clean"
    if abs(row.pesq_difference) < _RESAMPLED_PESQ and abs(row.ssnr_difference) < _RESAMPLED_SSNR:
        return "they were resampled by other means (band or filter differ)"
    return "they are other recordings than the published ones"


def _as_published(reference: np.ndarray, degraded: np.ndarray, row: tuple) -> bool:
    pesq = pesq_score(reference, degraded).value
    return _fits(pesq - row.pesq_published, segmental_snr(reference, degraded) - row.ssnr_published)


def _fits(pesq_difference: pd.Series | float, ssnr_difference: pd.Series | float) -> pd.Series | bool:
    return (abs(pesq_difference) <= PESQ_TOLERANCE) & (abs(ssnr_difference) <= SSNR_TOLERANCE)


def _lag(clean: np.ndarray, noisy: np.ndarray) -> int:
    """Samples by which noisy is late against clean, where the two are most alike."""
    lags = correlation_lags(len(noisy), len(clean))
    near = np.abs(lags) <= _LONGEST_LAG
    return int(lags[near][np.argmax(correlate(noisy, clean, method="fft")[near])])


def _is_clipped(waveform: np.ndarray) -> bool:
    """Whether the loudest samples are all about as loud, as resampling leaves them that were all the same."""
    loud, loudest = np.quantile(np.abs(waveform), [0.99, 0.999])
    return bool(loudest < _CLIPPED_RATIO * loud)
