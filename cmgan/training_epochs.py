"""The epochs of a training run: steps, validation, logs and checkpoints."""

import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import extract_model_from_parallel

from cmgan.checkpoints import TrainingState, random_state, save_state, save_whole
from cmgan.csv_log import CsvLog
from cmgan.dataset import Batch, UtterancePair, batches_per_epoch, epoch_batches
from cmgan.labels import LabelSource
from cmgan.pesq_workers import PesqWorkers
from cmgan.processes import collected
from cmgan.progress import Progress
from cmgan.recipe import Recipe
from cmgan.signal import StftSettings
from cmgan.tracking import Tracker
from cmgan.training_run import DISCRIMINATORS, TrainingRun
from cmgan.training_step import Accumulation, training_step
from cmgan.validation import validate


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
        _validate_epoch(work)
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
        # Gradients that wait for their update are not kept.
        if accumulation.update and state.batches % run.checkpoint_steps < accumulation.steps:
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


def _validate_epoch(work: Workshop) -> None:
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
            (run.seed, state.epoch, 3),
            work.stft,
            accelerator.process_index,
            accelerator.num_processes,
        )
        work.tracker.sound(generator, work.validation_pairs[0], work.stft, state.step)
    order = {pair.id: place for place, pair in enumerate(work.validation_pairs)}
    rows = sorted(collected(own, accelerator), key=lambda row: order[row["id"]])
    summary = _epoch_row(state, pd.DataFrame(rows))
    work.log("validation.csv", [{"epoch": state.epoch} | row for row in rows])
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
