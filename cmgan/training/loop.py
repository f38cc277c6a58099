"""Train one arm with one seed: epochs of adversarial steps, logged, validated, and resumed where they stopped."""

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
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
from cmgan.metrics.pesq import PesqWorkers
from cmgan.models.conformer import share_batch_norms
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.systems import build_generator, stft_settings
from cmgan.progress import Progress
from cmgan.torch_files import load_whole, save_whole
from cmgan.training.accelerator import Tracker, accelerator_for, collected, tracking
from cmgan.training.checkpoints import (
    WAY_OUT,
    DivergenceError,
    TrainingState,
    load_state,
    random_state,
    save_state,
    start_from,
)
from cmgan.training.run import (
    DISCRIMINATORS,
    LOGS,
    STATE,
    TrainingRun,
    is_complete,
    move_results_up,
    remove_leftovers,
    working_folder,
)
from cmgan.training.step import Accumulation, TrainingContext, training_step
from cmgan.training.validation import resynthesised, validate


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
    other than the budget's; BlockingIOError when another process trains in it; AudioError for unreadable audio.
    """
    if is_complete(run):
        remove_leftovers(run)
        report(f"{run.name}: already trained, see {run.output}")
        return run.output
    if run.budget.threads:
        torch.set_num_threads(run.budget.threads)
    accelerator = accelerator_for(run.budget.mixed_precision, run.tracker, run.output)
    if run.budget.processes != accelerator.num_processes:
        raise ValueError(
            f"{run.name} is for {run.budget.processes} process(es) and was started with "
            f"{accelerator.num_processes}: start it with python -m torch.distributed.run --standalone "
            f"--nproc_per_node {run.budget.processes}, or set processes to {accelerator.num_processes}"
        )
    training_pairs = _pairs(run, "train")
    validation_pairs = _pairs(run, "validation", run.budget.validated_utterances)
    batches = batches_per_epoch(len(training_pairs), run.budget.batch_size, accelerator.num_processes)
    told = report if accelerator.is_main_process else lambda _: None
    with working_folder(run) if accelerator.is_main_process else nullcontext():
        accelerator.wait_for_everyone()
        state = _initial_state(run, accelerator)
        _resume(run, state, accelerator, told)
        limit = run.budget.pesq_time_limit
        with PesqWorkers(run.budget.pesq_workers, limit) as scorer, tracking(accelerator) as tracker:
            stft = stft_settings(run.recipe.generator, run.budget)
            context = TrainingContext(state, run.recipe, accelerator, scorer, stft)
            progress = Progress(run.name, run.budget.epochs * batches, state.step, told)
            Training(run, context, training_pairs, validation_pairs, tracker, progress).run_epochs()
        if accelerator.is_main_process:
            weights = extract_model_from_parallel(state.generator).state_dict()
            save_whole(weights, run.unfinished / "generator.pt")
            move_results_up(run)
    accelerator.wait_for_everyone()
    return run.output


def _pairs(run: TrainingRun, split: str, limit: int = 0) -> list[UtterancePair]:
    pairs = load_pairs(run.manifest, split, limit)
    rms = run.recipe.recording_rms
    return [pair.at_rms(rms) for pair in pairs] if rms else pairs


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
    # Crops have one length; with dynamic shapes the dilated convolutions do not compile. Part by part: what inductor
    # of torch 2.13 makes of the whole generator crashes on a CPU (docs/speed.md).
    for part in generator.children():
        part.compile(backend=backend, dynamic=False)


def _resume(
    run: TrainingRun, state: TrainingState, accelerator: Accelerator, report: Callable[[str], None]
) -> None:
    """Take up the last checkpoint, else the trunk's, and drop from the logs what was written after it."""
    checkpoint = load_state(state, run.unfinished, run.identity(), accelerator.process_index)
    if run.trunk and not checkpoint:
        start_from(state, run.trunk / STATE, accelerator.process_index)
    if accelerator.is_main_process:
        for name in LOGS:
            keep_rows_up_to(run.unfinished / name, "step", state.step)
    if checkpoint:
        report(
            f"{run.name}: going on after step {state.step}, in epoch {state.epoch + 1} of {run.budget.epochs} "
            f"({checkpoint.name})"
        )


@dataclass(frozen=True)
class Training:
    """A run at work: epochs of steps, with logs, validations and checkpoints; only `context.state` changes."""

    run: TrainingRun
    context: TrainingContext
    training_pairs: list[UtterancePair]
    validation_pairs: list[UtterancePair]
    tracker: Tracker
    progress: Progress

    def run_epochs(self) -> None:
        """Train to the end of the budget or early stopping, from where the state stands."""
        state = self.context.state
        while state.epoch < self.run.budget.epochs and not self._stopped_early():
            self._train_epoch()
            with warnings.catch_warnings():
                # An arm may skip every discriminator step of an epoch; the schedule counts epochs all the same.
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
                state.generator_schedule.step()
                state.discriminator_schedule.step()
            state.epoch, state.batches, state.labels = state.epoch + 1, 0, ""
            if not self.run.validation_steps:
                self._validate(state.epoch)
            self._keep_discriminator()
            self._save()

    def _train_epoch(self) -> None:
        run, state, accelerator = self.run, self.context.state, self.context.accelerator
        epoch, size, ranks = state.epoch + 1, run.budget.batch_size, accelerator.num_processes
        labels = LabelSource(run.recipe, np.random.default_rng([run.seed, epoch, 2]))
        if state.labels:
            labels.restore(state.labels)
        batches = epoch_batches(
            self.training_pairs,
            size,
            run.budget.crop_seconds,
            run.seed,
            epoch,
            run.recipe.reshuffle,
            accelerator.process_index,
            ranks,
        )
        total = batches_per_epoch(len(self.training_pairs), size, ranks)
        for number, batch in enumerate(batches):
            # A resumed epoch draws again what it has trained on, so that the rest is the same.
            if number < state.batches:
                continue
            started = time.perf_counter()
            accumulation = accumulation_of(number, total, run.budget.gradient_accumulation)
            placed = Batch(batch.clean.to(accelerator.device), batch.noisy.to(accelerator.device), batch.ids)
            try:
                logged = training_step(placed, self.context, labels, accumulation)
            except DivergenceError as error:
                place = f"{run.name}, step {state.step + 1} (utterances {', '.join(batch.ids)})"
                raise DivergenceError(f"{place}: {error}; {WAY_OUT}") from error
            state.step, state.batches = state.step + 1, state.batches + 1
            row = {"epoch": epoch, "step": state.step} | logged
            self._log("steps.csv", [row | {"seconds": time.perf_counter() - started}])
            self.tracker.log("train", logged, state.step)
            self.progress.step(epoch, logged["loss_total"])
            if run.validation_steps and state.step % run.validation_steps == 0:
                self._validate(state.step)
            # Gradients that wait for their update are not kept; an epoch's last state is, after its validation.
            due = accumulation.update and state.batches % run.checkpoint_steps < accumulation.steps
            if due and state.batches < total:
                state.labels = labels.state()
                self._save()

    def _validate(self, number: int) -> None:
        """Validate, log it and note what is best so far; `number` places the random crops."""
        run, state, accelerator = self.run, self.context.state, self.context.accelerator
        generator, discriminator = map(extract_model_from_parallel, (state.generator, state.discriminator))
        # Whole utterances have lengths of their own: compiling for each would take longer than enhancing them.
        with torch.compiler.set_stance("force_eager"):
            own = validate(
                generator,
                discriminator,
                self.validation_pairs,
                run.recipe,
                self.context.scorer,
                (run.seed, number, 3),
                self.context.stft,
                accelerator.process_index,
                accelerator.num_processes,
            )
            if self.tracker.takes_sound:
                pair = self.validation_pairs[0]
                self.tracker.sound(pair.id, resynthesised(generator, pair, self.context.stft), state.step)
        order = {pair.id: place for place, pair in enumerate(self.validation_pairs)}
        rows = sorted(collected(own, accelerator), key=lambda row: order[row["id"]])
        place = {"epoch": state.epoch, "step": state.step}
        utterances = pd.DataFrame(rows)
        summary = {
            **place,
            **utterances.drop(columns=["id", "pesq_reason"]).mean().to_dict(),
            "pesq_failures": int(utterances["pesq"].isna().sum()),
            "utterances": len(utterances),
        }
        self._log("validation.csv", [place | row for row in rows])
        self._log("epochs.csv", [summary])
        self.tracker.log("validation", summary, state.step)
        self.progress.validated(summary["pesq"])
        best = run.unfinished / "generator_best.pt"
        better = summary["pesq"] > state.best_pesq
        if better:
            state.best_pesq = summary["pesq"]
        # Where every PESQ of a run fails, its first epoch stands for the best.
        if accelerator.is_main_process and (better or not best.exists()):
            save_whole(generator.state_dict(), best)
        if summary["loss_total"] < state.best_loss - run.recipe.minimum_improvement:
            state.best_loss, state.epochs_without_improvement = summary["loss_total"], 0
        else:
            state.epochs_without_improvement += 1

    def _keep_discriminator(self) -> None:
        """Add the discriminator to discriminators.pt after the first, the middle and the last epoch."""
        run, state = self.run, self.context.state
        last = run.budget.epochs
        due = state.epoch in (1, -(-last // 2), last) or self._stopped_early()
        if not (due and run.recipe.loss_weights.metric and self.context.accelerator.is_main_process):
            return
        path = run.unfinished / DISCRIMINATORS
        kept = load_whole(path) if path.is_file() else {}
        weights = extract_model_from_parallel(state.discriminator).state_dict()
        # Epochs after this one are of a part that an interruption undid.
        kept = {epoch: before for epoch, before in kept.items() if epoch < state.epoch}
        save_whole(kept | {state.epoch: weights}, path)

    def _stopped_early(self) -> bool:
        return 0 < self.run.recipe.patience <= self.context.state.epochs_without_improvement

    def _save(self) -> None:
        random_states = collected([random_state()], self.context.accelerator)
        if self.context.accelerator.is_main_process:
            save_state(self.context.state, self.run.unfinished, self.run.identity(), random_states)

    def _log(self, name: str, rows: list[dict]) -> None:
        """Append to one of the run's logs; one process writes."""
        if self.context.accelerator.is_main_process:
            log = CsvLog(self.run.unfinished / name)
            for row in rows:
                log.append(row)


def accumulation_of(number: int, total: int, together: int) -> Accumulation:
    """For batch `number` (from 0) of an epoch's `total`: every `together` of them, and the rest, make an update."""
    first = number - number % together
    steps = min(together, total - first)
    return Accumulation(steps, number + 1 == first + steps)
