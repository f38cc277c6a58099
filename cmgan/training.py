"""Train one arm with one seed: epochs of adversarial steps, logged, validated, and resumed where they stopped."""

from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import extract_model_from_parallel

from cmgan.checkpoints import TrainingState, load_state, save_whole
from cmgan.csv_log import keep_rows_up_to
from cmgan.dataset import batches_per_epoch, load_pairs
from cmgan.discriminator import MetricDiscriminator
from cmgan.global_batch_norm import share_batch_norms
from cmgan.pesq_workers import PesqWorkers
from cmgan.progress import Progress
from cmgan.systems import build_generator, stft_settings
from cmgan.tracking import tracked_accelerator, tracking
from cmgan.training_epochs import Workshop, run_epochs
from cmgan.training_run import TrainingRun, is_complete, make_working_folder, move_results_up

COUNTED_BY = {"steps.csv": "step", "epochs.csv": "epoch", "validation.csv": "epoch"}


def train(run: TrainingRun, report: Callable[[str], None] = print) -> Path:
    """Train to the end of the budget (or early stopping) and return the run's folder.

    While it runs, everything lies in `<output>/unfinished`; the logs, config.json, generator.pt (last epoch),
    generator_best.pt (best validation PESQ) and discriminators.pt (state dicts by epoch: the first, the middle and
    the last) move up when the run is complete. Called again after an interruption with the same settings, it goes on
    from the last checkpoint with the same result.
    A run that is complete is not trained again. Several processes, started by torchrun or accelerate launch, train
    one run together; the first of them writes and reports.
    Raises ValueError when the folder holds a result or a checkpoint of other settings, for an empty split, a batch
    that cannot be filled, an unknown compile backend, a tracker that is not installed, or a number of processes
    other than the budget's; AudioError for unreadable audio.
    """
    if is_complete(run):
        report(f"{run.name}: already trained, see {run.output}")
        return run.output
    if run.budget.threads:
        torch.set_num_threads(run.budget.threads)
    accelerator = tracked_accelerator(run.budget.mixed_precision, run.tracker, run.output)
    _check_processes(run, accelerator)
    training_pairs = load_pairs(run.manifest, "train")
    validation_pairs = load_pairs(run.manifest, "validation", run.budget.validation_utterances)
    batches = batches_per_epoch(len(training_pairs), run.budget.batch_size, accelerator.num_processes)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            make_working_folder(run)
    state = _initial_state(run, accelerator)
    told = report if accelerator.is_main_process else _say_nothing
    _resume(run, state, accelerator, told)
    limit = run.budget.pesq_time_limit or None
    with PesqWorkers(run.budget.pesq_workers, limit) as scorer, tracking(accelerator) as tracker:
        work = Workshop(
            run=run,
            state=state,
            training_pairs=training_pairs,
            validation_pairs=validation_pairs,
            accelerator=accelerator,
            scorer=scorer,
            tracker=tracker,
            stft=stft_settings(run.recipe.generator, run.budget),
            progress=Progress(run.name, run.budget.epochs * batches, state.step, told),
        )
        run_epochs(work)
    if accelerator.is_main_process:
        weights = extract_model_from_parallel(state.generator).state_dict()
        save_whole(weights, run.unfinished / "generator.pt")
        move_results_up(run)
    accelerator.wait_for_everyone()
    return run.output


def _check_processes(run: TrainingRun, accelerator: Accelerator) -> None:
    asked, there = run.budget.processes, accelerator.num_processes
    if asked != there:
        raise ValueError(
            f"{run.name} is for {asked} process(es) and was started with {there}: start it with "
            f"python -m torch.distributed.run --standalone --nproc_per_node {asked}, or set processes to {there}"
        )


def _initial_state(run: TrainingRun, accelerator: Accelerator) -> TrainingState:
    # One seed for all arms: the same seed starts every arm from the same weights.
    torch.manual_seed(run.seed)
    budget = run.budget
    generator = build_generator(run.recipe.generator, budget)
    discriminator = MetricDiscriminator(ndf=budget.discriminator_width)
    if budget.compile_backend:
        _compile(generator, budget.compile_backend)
    if accelerator.num_processes > 1:
        share_batch_norms(generator)
    optimisers = (
        torch.optim.AdamW(generator.parameters(), lr=budget.generator_learning_rate),
        torch.optim.AdamW(discriminator.parameters(), lr=budget.discriminator_learning_rate),
    )
    schedules = (
        torch.optim.lr_scheduler.StepLR(optimiser, budget.decay_epochs, budget.decay_factor)
        for optimiser in optimisers
    )
    # Each process draws its own dropout masks.
    torch.manual_seed(run.seed + 1_000_003 * accelerator.process_index)
    prepared = accelerator.prepare(generator, discriminator, *optimisers)
    return TrainingState(*prepared, *schedules, accelerator.scaler)


def _compile(generator: torch.nn.Module, backend: str) -> None:
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ValueError(f"compile_backend is {backend!r}: use one of {', '.join(known)}, or none")
    # Crops have one length; with dynamic shapes the dilated convolutions do not compile.
    generator.compile(backend=backend, dynamic=False)


def _resume(
    run: TrainingRun, state: TrainingState, accelerator: Accelerator, report: Callable[[str], None]
) -> None:
    """Take up the last checkpoint, and drop from the logs what was written after it."""
    checkpoint = load_state(state, run.unfinished, run.identity(), accelerator.process_index)
    if accelerator.is_main_process:
        for name, column in COUNTED_BY.items():
            keep_rows_up_to(run.unfinished / name, column, getattr(state, column))
    if checkpoint:
        report(
            f"{run.name}: going on after step {state.step}, in epoch {state.epoch + 1} of {run.budget.epochs} "
            f"({checkpoint.name})"
        )


def _say_nothing(line: str) -> None:
    """What the other processes have to tell is the same."""
