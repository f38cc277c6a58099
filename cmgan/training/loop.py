"""Train one arm with one seed: epochs of adversarial steps, logged, validated, and resumed where they stopped."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import extract_model_from_parallel

from cmgan.csv_log import CsvLog, keep_rows_up_to
from cmgan.dataset import Batch, UtterancePair, batches_per_epoch, epoch_batches, load_pairs
from cmgan.labels import LabelSource
from cmgan.metrics.pesq_workers import PesqWorkers
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.global_batch_norm import share_batch_norms
from cmgan.models.systems import build_generator, stft_settings
from cmgan.progress import Progress
from cmgan.recipe import Recipe
from cmgan.signal import StftSettings
from cmgan.training.checkpoints import (
    TrainingState,
    load_state,
    random_state,
    save_state,
    save_whole,
    start_from,
)
from cmgan.training.processes import collected
from cmgan.training.run import (
    DISCRIMINATORS,
    STATE,
    TrainingRun,
    is_complete,
    make_working_folder,
    move_results_up,
)
from cmgan.training.step import Accumulation, training_step
from cmgan.training.tracking import Tracker, tracked_accelerator, tracking
from cmgan.training.validation import validate

COUNTED_BY_STEP = ("steps.csv", "epochs.csv", "validation.csv")


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
    if rms := run.recipe.recording_rms:
        training_pairs, validation_pairs = (
            [pair.at_rms(rms) for pair in pairs] for pairs in (training_pairs, validation_pairs)
        )
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
    if run.trunk and not checkpoint:
        start_from(state, run.trunk / STATE, accelerator.process_index)
    if accelerator.is_main_process:
        for name in COUNTED_BY_STEP:
            keep_rows_up_to(run.unfinished / name, "step", state.step)
    if checkpoint:
        report(
            f"{run.name}: going on after step {state.step}, in epoch {state.epoch + 1} of {run.budget.epochs} "
            f"({checkpoint.name})"
        )


def _say_nothing(line: str) -> None:
    """What the other processes have to tell is the same."""


@dataclass(frozen=True)
class Workshop:
    """What a run works with from epoch to epoch; `state` alone changes."""

    run: TrainingRun
    state: TrainingState
    training_pairs: list[UtterancePair]
    validation_pairs: list[UtterancePair]
    accelerator: Accelerator
    scorer: PesqWorkers
    tracker: Tracker
    stft: StftSettings
    progress: Progress

    def log(self, name: str, rows: list[dict]) -> None:
        """Append to one of the run's logs; one process writes."""
        if self.accelerator.is_main_process:
            log = CsvLog(self.run.unfinished / name)
            for row in rows:
                log.append(row)


def run_epochs(work: Workshop) -> None:
    """Train to the end of the budget or early stopping, from where the state stands."""
    run, state = work.run, work.state
    while state.epoch < run.budget.epochs and not _stopped_early(run.recipe, state):
        _train_epoch(work)
        _step_schedules(state)
        state.epoch, state.batches, state.labels = state.epoch + 1, 0, ""
        if not run.validation_steps:
            _validate(work, state.epoch)
        _keep_discriminator(work)
        _save(work)


def _train_epoch(work: Workshop) -> None:
    run, state, accelerator = work.run, work.state, work.accelerator
    epoch = state.epoch + 1
    labels = LabelSource(run.recipe, np.random.default_rng([run.seed, epoch, 2]))
    if state.labels:
        labels.restore(state.labels)
    batches = epoch_batches(
        work.training_pairs,
        run.budget.batch_size,
        run.budget.crop_seconds,
        run.seed,
        epoch,
        run.recipe.reshuffle,
        accelerator.process_index,
        accelerator.num_processes,
    )
    total = batches_per_epoch(len(work.training_pairs), run.budget.batch_size, accelerator.num_processes)
    for number, batch in enumerate(batches):
        # A resumed epoch draws again what it has trained on, so that the rest is the same.
        if number < state.batches:
            continue
        started = time.perf_counter()
        accumulation = accumulation_of(number, total, run.budget.gradient_accumulation)
        placed = Batch(batch.clean.to(accelerator.device), batch.noisy.to(accelerator.device), batch.ids)
        record = training_step(
            placed, state, run.recipe, accelerator, work.scorer, labels, work.stft, accumulation
        )
        state.step, state.batches = state.step + 1, state.batches + 1
        row = {"epoch": epoch, "step": state.step} | record.row()
        work.log("steps.csv", [row | {"seconds": time.perf_counter() - started}])
        work.tracker.log("train", record.row(), state.step)
        work.progress.step(epoch, record.generator.loss_total)
        if run.validation_steps and state.step % run.validation_steps == 0:
            _validate(work, state.step)
        # Gradients that wait for their update are not kept; the last state of an epoch is, after its validation.
        due = accumulation.update and state.batches % run.checkpoint_steps < accumulation.steps
        if due and state.batches < total:
            state.labels = labels.state()
            _save(work)


def accumulation_of(number: int, total: int, together: int) -> Accumulation:
    """For batch `number` (from 0) of an epoch's `total`: every `together` of them, and the rest, make an update."""
    first = number - number % together
    steps = min(together, total - first)
    return Accumulation(steps, number + 1 == first + steps)


def _step_schedules(state: TrainingState) -> None:
    with warnings.catch_warnings():
        # An arm may skip every discriminator step of an epoch; the schedule counts epochs all the same.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        state.generator_schedule.step()
        state.discriminator_schedule.step()


def _validate(work: Workshop, number: int) -> None:
    """Validate, and log it; `number` places the random crops."""
    run, state, accelerator = work.run, work.state, work.accelerator
    generator, discriminator = map(extract_model_from_parallel, (state.generator, state.discriminator))
    # Whole utterances have lengths of their own: compiling for each would take longer than enhancing them.
    with torch.compiler.set_stance("force_eager"):
        own = validate(
            generator,
            discriminator,
            work.validation_pairs,
            run.recipe,
            work.scorer,
            (run.seed, number, 3),
            work.stft,
            accelerator.process_index,
            accelerator.num_processes,
        )
        work.tracker.sound(generator, work.validation_pairs[0], work.stft, state.step)
    order = {pair.id: place for place, pair in enumerate(work.validation_pairs)}
    rows = sorted(collected(own, accelerator), key=lambda row: order[row["id"]])
    summary = _epoch_row(state, pd.DataFrame(rows))
    work.log("validation.csv", [{"epoch": state.epoch, "step": state.step} | row for row in rows])
    work.log("epochs.csv", [summary])
    work.tracker.log("validation", summary, state.step)
    work.progress.validated(summary["pesq"])
    _note_best(work, summary)


def _epoch_row(state: TrainingState, utterances: pd.DataFrame) -> dict[str, float | int]:
    means = utterances.drop(columns=["id", "pesq_reason"]).mean()
    return {
        "epoch": state.epoch,
        "step": state.step,
        **means.to_dict(),
        "pesq_failures": int(utterances["pesq"].isna().sum()),
        "utterances": len(utterances),
    }


def _note_best(work: Workshop, summary: dict) -> None:
    state = work.state
    if summary["pesq"] > state.best_pesq:
        state.best_pesq = summary["pesq"]
        if work.accelerator.is_main_process:
            weights = extract_model_from_parallel(state.generator).state_dict()
            save_whole(weights, work.run.unfinished / "generator_best.pt")
    if summary["loss_total"] < state.best_loss - work.run.recipe.minimum_improvement:
        state.best_loss = summary["loss_total"]
        state.epochs_without_improvement = 0
    else:
        state.epochs_without_improvement += 1


def _keep_discriminator(work: Workshop) -> None:
    """Add the discriminator to discriminators.pt after the first, the middle and the last epoch."""
    run, state = work.run, work.state
    last = run.budget.epochs
    due = state.epoch in (1, -(-last // 2), last) or _stopped_early(run.recipe, state)
    if not (due and run.recipe.loss_weights.metric and work.accelerator.is_main_process):
        return
    path = run.unfinished / DISCRIMINATORS
    kept = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {}
    weights = extract_model_from_parallel(state.discriminator).state_dict()
    # Epochs after this one are of a part that an interruption undid.
    kept = {epoch: before for epoch, before in kept.items() if epoch < state.epoch}
    save_whole(kept | {state.epoch: weights}, path)


def _stopped_early(recipe: Recipe, state: TrainingState) -> bool:
    return 0 < recipe.patience <= state.epochs_without_improvement


def _save(work: Workshop) -> None:
    random_states = collected([random_state()], work.accelerator)
    if work.accelerator.is_main_process:
        save_state(work.state, work.run.unfinished, work.run.identity(), random_states)
