"""`cmgan enhance`: enhance recordings, folders of them, or what comes in on stdin."""

from pathlib import Path
from typing import Annotated

import typer

from cmgan.commands.outcome import Outcome, epilog, input_errors, print_json, printable, stop

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
    from cmgan.enhancement.files import STREAM, enhance_file, enhance_files

    if len(paths) < 2:
        stop("a target is missing: give where the enhanced recording goes, - for stdout", Outcome.USAGE)
    *sources, target = paths
    if STREAM in paths and len(sources) > 1:
        stop("- stands for one recording: give one source and one target with it", Outcome.USAGE)
    if STREAM in paths and any(path.is_dir() for path in paths):
        stop("- stands for one recording and cannot go with a folder", Outcome.USAGE)
    if target == STREAM and as_json:
        stop("stdout cannot take both the recording and --json: give a file as target", Outcome.USAGE)
    if len({source.name for source in sources}) < len(sources):
        stop("two sources have the same name: enhance them into different folders", Outcome.USAGE)
    from cmgan.models.weights import generator_from_file

    with input_errors():
        model = generator_from_file(weights)
        if len(sources) > 1 or sources[0].is_dir():
            enhanced = enhance_files(model, sources, target)
        else:
            goal = target / sources[0].name if target.is_dir() else target
            enhanced = iter([enhance_file(model, sources[0], goal)])
        results = []
        for result in enhanced:
            results.append(result)
            if result.error:
                typer.echo(f"error: {printable(result.error)}", err=True)
            elif not as_json:
                text = f"{result.source} → {result.target} ({result.seconds:.1f} s)"
                typer.echo(printable(text), err=target == STREAM)
    if as_json:
        print_json([vars(result) for result in results])
    failed = sum(bool(result.error) for result in results)
    if failed:
        raise typer.Exit(Outcome.INPUT_ERROR if failed == len(results) else Outcome.INCOMPLETE)
