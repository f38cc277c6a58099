"""`cmgan enhance`: enhance recordings, folders of them, or what comes in on stdin."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmgan.commands.outcome import Outcome, epilog, input_errors, print_json, stop
from cmgan.job_environment import prepare_process

if TYPE_CHECKING:
    from cmgan.enhancement.files import EnhancedFile

STREAM = Path("-")
EPILOG = epilog(
    "cmgan enhance generator.pt noisy.wav enhanced.wav",
    "cmgan enhance generator.pt noisy/ enhanced/ --json",
    "cmgan enhance generator.pt one.wav two.flac enhanced/",
    "ffmpeg -i talk.mp4 -f wav - | cmgan enhance generator.pt - - > talk.wav",
    incomplete="some recordings could not be enhanced (each is named; the others are written)",
)


def enhance(
    weights: Annotated[
        Path, typer.Argument(help="Trained generator (generator.pt, public state-dict names).")
    ],
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE TARGET",
            help="One or more recordings (.wav, .flac) or folders of them, or - for stdin; and last where the "
            "enhanced recording or folder goes, or - for stdout (WAV).",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with an entry per file.")
    ] = False,
) -> None:
    """Enhance recordings of any length at their own sample rate, channels and sample format."""
    if len(paths) < 2:
        stop("a target is missing: give where the enhanced recording goes, - for stdout", Outcome.USAGE)
    *sources, target = paths
    _check_usage(sources, target, as_json)
    prepare_process()
    from cmgan.models.weights import generator_from_file

    with input_errors():
        model = generator_from_file(weights)
        results = []
        for result in _enhance_all(model, sources, target):
            results.append(result)
            if result.error:
                typer.echo(f"error: {result.error}", err=True)
            elif not as_json:
                to_stderr = target == STREAM
                typer.echo(f"{result.source} → {result.target} ({result.seconds:.1f} s)", err=to_stderr)
    if as_json:
        print_json([vars(result) for result in results])
    failed = sum(bool(result.error) for result in results)
    if failed:
        raise typer.Exit(Outcome.INPUT_ERROR if failed == len(results) else Outcome.INCOMPLETE)


def _check_usage(sources: list[Path], target: Path, as_json: bool) -> None:
    streams = STREAM in (*sources, target)
    if streams and len(sources) > 1:
        stop("- stands for one recording: give one source and one target with it", Outcome.USAGE)
    if streams and any(path.is_dir() for path in (*sources, target)):
        stop("- stands for one recording and cannot go with a folder", Outcome.USAGE)
    if target == STREAM and as_json:
        stop("stdout cannot take both the recording and --json: give a file as target", Outcome.USAGE)
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        stop("two sources have the same name: enhance them into different folders", Outcome.USAGE)


def _enhance_all(model, sources: list[Path], target: Path) -> Iterator["EnhancedFile"]:
    from cmgan.enhancement.files import EnhancedFile, enhance_file, enhance_folder

    if STREAM in (*sources, target):
        yield _enhance_stream(model, sources[0], target)
    elif len(sources) == 1 and not sources[0].is_dir():
        yield enhance_file(model, sources[0], target / sources[0].name if target.is_dir() else target)
    else:
        for source in sources:
            if source.is_dir():
                yield from enhance_folder(
                    model, source, target if len(sources) == 1 else target / source.name
                )
                continue
            destination = target / source.name
            try:
                yield enhance_file(model, source, destination)
            except ValueError as error:
                yield EnhancedFile(source, destination, error=str(error))


def _enhance_stream(model, source: Path, target: Path) -> "EnhancedFile":
    from dataclasses import replace

    from cmgan.enhancement.files import enhance_stream

    given = sys.stdin.buffer if source == STREAM else io.BytesIO(source.read_bytes())
    if target == STREAM:
        return replace(enhance_stream(model, given, sys.stdout.buffer), source=source)
    if target.suffix.lower() != ".wav":
        raise ValueError(f"{target}: what comes from stdin is written as WAV; use a name that ends in .wav")
    whole = io.BytesIO()
    result = enhance_stream(model, given, whole)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(whole.getvalue())
    partial.replace(target)
    return replace(result, source=source, target=target)
