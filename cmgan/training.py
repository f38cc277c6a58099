"""Train one arm with one seed: epochs of adversarial steps, logged, validated, and resumed where they stopped."""

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator

from cmgan.checkpoints import TrainingState, load_state, save_state, save_whole
from cmgan.csv_log import CsvLog, keep_rows_up_to
from cmgan.dataset import Batch, UtterancePair, batches_per_epoch, epoch_batches, load_pairs
from cmgan.discriminator import MetricDiscriminator
from cmgan.labels import LabelSource
from cmgan.pesq_workers import PesqWorkers
from cmgan.progress import Progress
from cmgan.recipe import Budget, Recipe
from cmgan.systems import build_generator, stft_settings
from cmgan.tracking import Tracker, tracked_accelerator, tracking
from cmgan.training_step import training_step
from cmgan.validation import validate

LOGS = ("steps.csv", "epochs.csv", "validation.csv")


@dataclass(frozen=True)
class TrainingRun:
    """One run: what to train on, how, how long, from which seed, and what to call it in messages.

    tracker: where it can be watched, "" for nowhere (see `cmgan.tracking`); the result does not depend on it.
    """

    manifest: Path
    output: Path
    recipe: Recipe
    budget: Budget
    seed: int
    name: str
    tracker: str = ""

    def identity(self) -> dict:
        """Everything that decides the result; a run is resumed only when this is unchanged."""
        return {
            "name": self.name,
            "seed": self.seed,
            "recipe": asdict(self.recipe),
            "budget": asdict(self.budget),
            "manifest_sha256": hashlib.sha256(self.manifest.read_bytes()).hexdigest(),
        }


def train(run: TrainingRun, report: Callable[[str], None] = print) -> Path:
    """Train to the end of the budget (or early stopping) and return the run's folder.

    While it runs, everything lies in `<output>/unfinished`; the logs, config.json, generator.pt (last epoch)
    and generator_best.pt (best validation PESQ) move up when the run is complete. Called again after an
    interruption with the same settings, it goes on from the last complete epoch with the same result.
    A run that is complete is not trained again.
    Raises ValueError when the folder holds a result of other settings, for an empty split, or for a batch that
    cannot be filled or a tracker that is not installed; AudioError for unreadable audio.
    """
    if is_complete(run):
        report(f"{run.name}: already trained, see {run.output}")
        return run.output
    if run.budget.threads:
        torch.set_num_threads(run.budget.threads)
    accelerator = tracked_accelerator(run.budget.mixed_precision, run.tracker, run.output)
    training_pairs = load_pairs(run.manifest, "train")
    validation_pairs = load_pairs(run.manifest, "validation", run.budget.validation_utterances)
    batches_per_epoch(len(training_pairs), run.budget.batch_size, accelerator.num_processes)
    folder = _working_folder(run)
    state = _initial_state(run, accelerator)
    if (folder / "state.pt").exists():
        _resume(state, folder)
        report(f"{run.name}: going on after epoch {state.epoch} of {run.budget.epochs}")
    limit = run.budget.pesq_time_limit or None
    with PesqWorkers(run.budget.pesq_workers, limit) as scorer, tracking(accelerator) as tracker:
        _run_epochs(
            run, state, folder, training_pairs, validation_pairs, accelerator, scorer, tracker, report
        )
    return _finish(run, state, folder)


def is_complete(run: TrainingRun) -> bool:
    """Whether the run's folder holds its result: generator.pt moves there last.

    Raises ValueError when it holds the result of other settings: a result is never overwritten in passing.
    """
    if not (run.output / "generator.pt").exists():
        return False
    there = _flat(json.loads((run.output / "config.json").read_text()))
    wanted = _flat(json.loads(json.dumps(run.identity())))
    differences = [
        f"{name} {there.get(name)} there, {value} asked for"
        for name, value in wanted.items()
        if there.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{run.output} holds a run with other settings ({'; '.join(differences)}): "
            "choose another run name or remove that folder"
        )
    return True


def _flat(nested: dict, prefix: str = "") -> dict[str, object]:
    """{"budget": {"epochs": 2}} → {"budget.epochs": 2}."""
    items: dict[str, object] = {}
    for name, value in nested.items():
        items |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return items


def _run_epochs(
    run: TrainingRun,
    state: TrainingState,
    folder: Path,
    training_pairs: Sequence[UtterancePair],
    validation_pairs: Sequence[UtterancePair],
    accelerator: Accelerator,
    scorer: PesqWorkers,
    tracker: Tracker,
    report: Callable[[str], None],
) -> None:
    steps_log, epochs_log, validation_log = (CsvLog(folder / name) for name in LOGS)
    stft = stft_settings(run.recipe.generator, run.budget)
    batches = batches_per_epoch(len(training_pairs), run.budget.batch_size, accelerator.num_processes)
    progress = Progress(run.name, run.budget.epochs * batches, state.step, report)
    while state.epoch < run.budget.epochs and not _stopped_early(run.recipe, state):
        state.epoch += 1
        label_source = LabelSource(run.recipe, np.random.default_rng([run.seed, state.epoch, 2]))
        for batch in epoch_batches(
            training_pairs,
            run.budget.batch_size,
            run.budget.crop_seconds,
            run.seed,
            state.epoch,
            run.recipe.reshuffle,
            accelerator.process_index,
            accelerator.num_processes,
        ):
            started = time.perf_counter()
            placed = Batch(batch.clean.to(accelerator.device), batch.noisy.to(accelerator.device), batch.ids)
            record = training_step(placed, state, run.recipe, accelerator, scorer, label_source, stft)
            state.step += 1
            row = {"epoch": state.epoch, "step": state.step} | record.row()
            steps_log.append(row | {"seconds": time.perf_counter() - started})
            tracker.log("train", record.row(), state.step)
            progress.step(state.epoch, record.generator.loss_total)
        _step_schedules(state)
        utterances = validate(
            accelerator.unwrap_model(state.generator),
            accelerator.unwrap_model(state.discriminator),
            validation_pairs,
            run.recipe,
            scorer,
            np.random.default_rng([run.seed, state.epoch, 3]),
            stft,
        )
        for row in utterances.to_dict("records"):
            validation_log.append({"epoch": state.epoch} | row)
        summary = _epoch_row(state, utterances)
        epochs_log.append(summary)
        tracker.log("validation", summary, state.step)
        tracker.sound(accelerator.unwrap_model(state.generator), validation_pairs[0], stft, state.step)
        _note_best(run.recipe, state, summary, folder)
        progress.validated(summary["pesq"])
        if accelerator.is_main_process:
            save_state(state, folder / "state.pt")


def _step_schedules(state: TrainingState) -> None:
    with warnings.catch_warnings():
        # An arm may skip every discriminator step of an epoch; the schedule counts epochs all the same.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        state.generator_schedule.step()
        state.discriminator_schedule.step()


def _epoch_row(state: TrainingState, utterances: pd.DataFrame) -> dict[str, float | int]:
    means = utterances.drop(columns=["id", "pesq_reason"]).mean()
    return {
        "epoch": state.epoch,
        "step": state.step,
        **means.to_dict(),
        "pesq_failures": int(utterances["pesq"].isna().sum()),
        "utterances": len(utterances),
    }


def _note_best(recipe: Recipe, state: TrainingState, summary: dict, folder: Path) -> None:
    if summary["pesq"] > state.best_pesq:
        state.best_pesq = summary["pesq"]
        save_whole(state.generator.state_dict(), folder / "generator_best.pt")
    if summary["loss_total"] < state.best_loss - recipe.minimum_improvement:
        state.best_loss = summary["loss_total"]
        state.epochs_without_improvement = 0
    else:
        state.epochs_without_improvement += 1


def _stopped_early(recipe: Recipe, state: TrainingState) -> bool:
    return 0 < recipe.patience <= state.epochs_without_improvement


def _initial_state(run: TrainingRun, accelerator: Accelerator) -> TrainingState:
    # One seed for all arms: the same seed starts every arm from the same weights.
    torch.manual_seed(run.seed)
    budget = run.budget
    generator = build_generator(run.recipe.generator, budget)
    discriminator = MetricDiscriminator(ndf=budget.discriminator_width)
    optimisers = (
        torch.optim.AdamW(generator.parameters(), lr=budget.generator_learning_rate),
        torch.optim.AdamW(discriminator.parameters(), lr=budget.discriminator_learning_rate),
    )
    schedules = (
        torch.optim.lr_scheduler.StepLR(optimiser, budget.decay_epochs, budget.decay_factor)
        for optimiser in optimisers
    )
    # Each rank draws its own dropout masks.
    torch.manual_seed(run.seed + 1_000_003 * accelerator.process_index)
    return TrainingState(*accelerator.prepare(generator, discriminator, *optimisers), *schedules)


def _working_folder(run: TrainingRun) -> Path:
    folder = run.output / "unfinished"
    config = folder / "config.json"
    identity = json.dumps(run.identity(), indent=2)
    if config.exists() and config.read_text() != identity:
        for leftover in folder.iterdir():
            leftover.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(identity)
    return folder


def _resume(state: TrainingState, folder: Path) -> None:
    load_state(state, folder / "state.pt")
    for name in LOGS:
        keep_rows_up_to(folder / name, "epoch", state.epoch)


def _finish(run: TrainingRun, state: TrainingState, folder: Path) -> Path:
    save_whole(state.generator.state_dict(), folder / "generator.pt")
    for name in ("generator_best.pt", *LOGS, "config.json", "generator.pt"):
        (folder / name).replace(run.output / name)
    (folder / "state.pt").unlink()
    folder.rmdir()
    return run.output
