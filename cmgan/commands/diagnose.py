"""`cmgan diagnose`: what a training log of one's own shows."""

from pathlib import Path
from typing import Annotated

import typer

from cmgan.commands.outcome import Outcome, epilog, input_errors, print_json, stop

EPILOG = epilog(
    "cmgan diagnose train.log",
    "cmgan diagnose training_step_log.csv training_epoch_log.csv --model-code src/train.py",
    "cmgan diagnose results/laptop/training --json",
    "cmgan diagnose train.log --loss-weights 0.3,0.7,1,0.01",
    "cmgan diagnose --recordings corpus/train --model-code src/train.py",
    incomplete="a likely cause was found, or a fall of PESQ that nothing explains",
)


def diagnose(
    logs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="LOG",
            help="Text log of the public code, CSV of steps or epochs, this study's training/ARM-SEED or a folder of "
            "them, TensorBoard events. Files given together are one run; every folder is a run of its own.",
        ),
    ] = None,
    model_code: Annotated[
        list[Path] | None,
        typer.Option(
            help="Python file of the training code, to be searched too; it is read, never executed."
        ),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="Folder with clean/ and noisy/ of the training corpus: its gains, and where the objective leads on "
            "a few clips (under a minute)."
        ),
    ] = None,
    loss_weights: Annotated[
        str, typer.Option(help="Weights of the RI, magnitude, time and metric loss that the run had.")
    ] = "0.1,0.9,0.2,0.05",
    verdicts: Annotated[
        Path | None,
        typer.Option(
            help="report/claims.csv of a run of the study: what became of the claims that causes rest on. "
            "Default: those of all kept runs together, where they are there."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say what a training log shows, and what its loss asks for on your recordings.

    Likely causes come first, each with its evidence, what to change and the claim of this study that it rests on.
    """
    from cmgan.diagnosis import causes
    from cmgan.diagnosis.model_code import code_findings
    from cmgan.diagnosis.reading import make_log, read_runs
    from cmgan.study.claims.rules import read_claims

    if not logs and not model_code and not recordings:
        stop(
            "nothing to diagnose: give a training log, code with --model-code, or speech with --recordings",
            Outcome.USAGE,
        )
    weights = _weights(loss_weights)
    with input_errors():
        code = [finding for path in model_code or [] for finding in code_findings(path)]
        if recordings:
            import torch

            from cmgan.study.objective.recordings import recordings_finding

            # Clips are small: threads would spend their time waiting for one another.
            torch.set_num_threads(1)
            code = [recordings_finding(recordings, weights), *code]
        table = verdicts or _kept_claims()
        judged = causes.verdicts_in(table) if table else {}
        runs = read_runs(logs) if logs else [make_log("code alone" if model_code else "recordings alone")]
    diagnoses = [causes.diagnose(run, weights, code) for run in runs]
    if as_json:
        print_json([diagnosis.as_dictionary() | {"claim_verdicts": judged} for diagnosis in diagnoses])
    else:
        titles = {claim.id: claim.title for claim in read_claims().claims}
        for diagnosis in diagnoses:
            typer.echo(causes.in_words(diagnosis, titles, judged))
    if not all(diagnosis.nothing_found for diagnosis in diagnoses):
        raise typer.Exit(Outcome.INCOMPLETE)


def _kept_claims() -> Path | None:
    """claims.csv of all kept runs together; None outside a checkout that has it."""
    from cmgan.study.paths import KEPT_CLAIMS, repository_root

    try:
        path = repository_root() / KEPT_CLAIMS
    except FileNotFoundError:
        return None
    return path if path.is_file() else None


def _weights(text: str):
    from cmgan.recipe import LossWeights

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or min(numbers) < 0:
        stop(f"--loss-weights is {text!r}: use four numbers like 0.1,0.9,0.2,0.05", Outcome.USAGE)
    return LossWeights(*numbers)
