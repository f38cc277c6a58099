"""Prepare a corpus from the command line: python -m data_prep --corpus synthetic --output corpora/synthetic."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from data_prep.folder import prepare_folder
from data_prep.manifest import SPLITS, read_manifest
from data_prep.speech import SpeechError
from data_prep.synthetic import UTTERANCES, prepare_synthetic
from data_prep.voicebank import BASE_URL, download_voicebank, prepare_voicebank

_NOTES_SHOWN = 5


class Corpus(StrEnum):
    """Where the speech comes from."""

    SYNTHETIC = "synthetic"
    FOLDER = "folder"
    VOICEBANK = "voicebank"


def main(
    output: Annotated[Path, typer.Option(help="folder for the manifest and the audio written")],
    corpus: Annotated[Corpus, typer.Option(help="where the speech comes from")] = Corpus.SYNTHETIC,
    path: Annotated[Path | None, typer.Option(help="folder of the recordings (not for synthetic)")] = None,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same files and splits")] = 0,
    train: Annotated[
        int | None, typer.Option(min=1, help="training utterances (recordings: at most)")
    ] = None,
    validation: Annotated[int | None, typer.Option(min=1, help="validation utterances, likewise")] = None,
    test: Annotated[int | None, typer.Option(min=1, help="test utterances, likewise")] = None,
    speaker_pattern: Annotated[
        str,
        typer.Option(
            help="folder: regular expression whose one group is the speaker in a file's path below clean/, such as "
            "'^([^_]+)_'; without it the speaker is guessed"
        ),
    ] = "",
    resample: Annotated[
        bool, typer.Option(help="convert recordings of other sample rates to 16 kHz")
    ] = False,
    download: Annotated[
        bool, typer.Option(help="voicebank: first fetch into --path what is not there")
    ] = False,
    url: Annotated[str, typer.Option(help="where the archives of voicebank lie")] = BASE_URL,
    workers: Annotated[int, typer.Option(min=1, help="utterances worked on at a time")] = 2,
) -> None:
    """Prepare a corpus: audio where none is there yet, and the manifest that every later step reads."""
    if (path is None) != (corpus is Corpus.SYNTHETIC):
        raise typer.BadParameter("give --path with folder and voicebank, and not with synthetic")
    if resample and corpus is not Corpus.FOLDER:
        raise typer.BadParameter("--resample is for --corpus folder; the others are 16 kHz in any case")
    if speaker_pattern and corpus is not Corpus.FOLDER:
        raise typer.BadParameter("--speaker-pattern is for --corpus folder; the others name their speakers")
    if download and corpus is not Corpus.VOICEBANK:
        raise typer.BadParameter("--download is for --corpus voicebank")
    counts = {"train": train, "validation": validation, "test": test}
    asked = {split: count for split, count in counts.items() if count is not None}
    try:
        if download:
            download_voicebank(path, url, typer.echo)
        if corpus is Corpus.SYNTHETIC:
            manifest = prepare_synthetic(output, seed, UTTERANCES | asked, workers=workers)
        elif corpus is Corpus.FOLDER:
            manifest = prepare_folder(
                path, output, seed, asked, speaker_pattern=speaker_pattern, resample=resample, workers=workers
            )
        else:
            manifest = prepare_voicebank(path, output, seed, asked, workers=workers)
    except (ValueError, OSError, SpeechError) as error:
        typer.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
        raise typer.Exit(1) from error
    utterances = read_manifest(manifest)
    typer.echo(f"wrote {manifest}")
    named = len({item.speaker for item in utterances})
    typer.echo(f"speakers recognised: {named}, such as {utterances[0].speaker} of {utterances[0].id}")
    for split in SPLITS:
        members = [item for item in utterances if item.split == split]
        minutes = sum(item.seconds for item in members) / 60
        speakers = len({item.speaker for item in members})
        typer.echo(f"{split}: {len(members)} utterances, {speakers} speakers, {minutes:.1f} min")
    noted = [item for item in utterances if item.note]
    for item in noted[:_NOTES_SHOWN]:
        typer.echo(f"note on {item.id}: {item.note}")
    if len(noted) > _NOTES_SHOWN:
        typer.echo(f"{len(noted) - _NOTES_SHOWN} more notes are in the manifest")


if __name__ == "__main__":
    typer.run(main)
