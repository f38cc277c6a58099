"""What a profile would cost, before it starts: its jobs, and time, memory and disk from a few steps measured here."""

import dataclasses
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer

from cmgan.dataset import load_pairs
from cmgan.job_environment import prepare_process
from cmgan.metrics.pesq_workers import PesqWorkers
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.systems import build_generator, stft_settings
from cmgan.progress import duration
from cmgan.study.arms import arm as recipe_of
from cmgan.study.paths import repository_root
from cmgan.study.pipeline.profile import Profile
from cmgan.study.pipeline.run import checked_profile
from cmgan.training.loop import TrainingRun, train
from cmgan.training.validation import validate
from data_prep.corpus import find_recordings
from data_prep.manifest import read_manifest
from data_prep.splits import assign_splits, limit_splits
from data_prep.synthetic import prepare_synthetic

# Of VoiceBank+DEMAND with 28 speakers, for a corpus that is not there yet; 11,572 include those held out.
VOICEBANK_UTTERANCES = {"train": 11_572, "validation": 0, "test": 824}
WARM_UP_STEPS, MEASURED_STEPS = 1, 3
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Cost:
    """What a few real steps took: seconds a step (median) and an epoch's validation of one utterance, peak memory
    of the process, and bytes kept of a training: of a network, of its checkpoint and of a row of its log."""

    device: str
    step_seconds: float
    validation_seconds: float
    peak_mib: float
    network_bytes: int
    log_row_bytes: int


@dataclass(frozen=True)
class Plan:
    """The work of a profile. steps: of one training; utterances by split."""

    profile: Profile
    utterances: dict[str, int]
    steps: int

    @property
    def trainings(self) -> int:
        """Arms times seeds."""
        return len(self.profile.arms) * len(self.profile.seeds)

    def training_hours(self, cost: Cost) -> float:
        """Hours of one training: its steps and its validations."""
        validated = self.utterances["validation"] or self.profile.validated_utterances
        validated = min(validated, self.profile.validated_utterances or validated)
        validations = self.profile.epochs * validated
        return (self.steps * cost.step_seconds + validations * cost.validation_seconds) / 3600

    def evaluation_hours(self, cost: Cost) -> float:
        """Hours that the tests of one training take, at the pace of validation."""
        return self.utterances["test"] * cost.validation_seconds / 3600

    def disk_mib(self, cost: Cost) -> float:
        """What the trainings keep: two networks, the log, and while one runs a checkpoint with two moments."""
        kept = 2 * cost.network_bytes + self.steps * cost.log_row_bytes
        return (self.trainings * kept + 4 * cost.network_bytes) / MEBIBYTE


def plan_of(profile: Profile, root: Path) -> Plan:
    """The work of a profile, from its manifest, else its corpus folder, else the corpus's published size."""
    utterances = utterance_counts(profile, root / "results" / profile.run / "data" / "manifest.csv")
    return Plan(profile, utterances, profile.epochs * (utterances["train"] // profile.batch_size))


def utterance_counts(profile: Profile, manifest: Path) -> dict[str, int]:
    """Utterances of each split, without reading audio. Raises CorpusError for a folder that holds no corpus."""
    limits = {
        split: getattr(profile, f"{split}_utterances") or None for split in ("train", "validation", "test")
    }
    if manifest.exists():
        splits = [utterance.split for utterance in read_manifest(manifest)]
    elif profile.corpus == "synthetic":
        return {split: count or 0 for split, count in limits.items()}
    elif profile.corpus == "voicebank":
        return {split: min(count, limits[split] or count) for split, count in VOICEBANK_UTTERANCES.items()}
    else:
        recordings = assign_splits(find_recordings(profile.corpus_path), profile.corpus_seed)
        splits = [item.split for item in limit_splits(recordings, limits, profile.corpus_seed)]
    return {split: splits.count(split) for split in limits}


def measured_cost(profile: Profile, folder: Path) -> Cost:
    """Train the first arm for a few steps on synthetic speech in `folder`, at the profile's size, on this machine."""
    budget = dataclasses.replace(profile.budget(), epochs=1, validation_utterances=1)
    manifest = prepare_synthetic(
        folder / "data",
        seed=0,
        train_utterances=(WARM_UP_STEPS + MEASURED_STEPS) * budget.batch_size,
        validation_utterances=1,
        test_utterances=1,
    )
    name = profile.arms[0]
    run = TrainingRun(manifest, folder / name, recipe_of(name), budget, seed=0, name=name)
    trained = train(run, report=lambda _: None)
    steps = pd.read_csv(trained / "steps.csv")
    on_gpu = torch.cuda.is_available()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(
        device=torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads",
        step_seconds=steps["seconds"].iloc[WARM_UP_STEPS:].median(),
        validation_seconds=_validation_seconds(run),
        peak_mib=(torch.cuda.max_memory_allocated() if on_gpu else peak) / MEBIBYTE,
        network_bytes=(trained / "generator.pt").stat().st_size,
        log_row_bytes=(trained / "steps.csv").stat().st_size // (len(steps) + 1),
    )


def _validation_seconds(run: TrainingRun) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = build_generator(run.recipe.generator, run.budget).to(device)
    discriminator = MetricDiscriminator(ndf=run.budget.discriminator_width).to(device)
    pairs = load_pairs(run.manifest, "validation")
    stft = stft_settings(run.recipe.generator, run.budget)
    with PesqWorkers(run.budget.pesq_workers) as scorer:
        started = time.perf_counter()
        validate(generator, discriminator, pairs, run.recipe, scorer, (0,), stft)
    return (time.perf_counter() - started) / len(pairs)


def plan_in_words(plan: Plan, cost: Cost) -> list[str]:
    """The plan as lines: the work, what was measured, and what follows for one training and for all."""
    profile, each, tests = plan.profile, plan.training_hours(cost), plan.evaluation_hours(cost)
    counts = ", ".join(f"{count:,} {split}" for split, count in plan.utterances.items())
    total = plan.trainings * (each + tests)
    return [
        f"Run {profile.run}: {len(profile.arms)} arms × {len(profile.seeds)} seeds = {plan.trainings} trainings",
        f"Utterances: {counts} (corpus {profile.corpus})",
        f"A training: {profile.epochs} epochs, {plan.steps:,} steps of {profile.batch_size} crops of "
        f"{profile.crop_seconds:g} s, width {profile.channels}, {profile.blocks} blocks",
        f"Measured here ({cost.device}; median of {MEASURED_STEPS} steps): {cost.step_seconds:.2f} s a step, "
        f"{cost.validation_seconds:.2f} s a validated utterance, peak memory {cost.peak_mib / 1024:.1f} GiB",
        f"One training: {hours(each)}, its tests {hours(tests)}",
        f"All of them, one after the other on such a device: {hours(total)}",
        f"Disk, besides the corpus: {plan.disk_mib(cost) / 1024:.1f} GiB",
    ]


def hours(count: float) -> str:
    """`12 min 00 s` below an hour, then hours, with days from two on."""
    if count < 1:
        return duration(3600 * count)
    return f"{count:,.1f} hours" if count < 48 else f"{count:,.0f} hours ({count / 24:,.0f} days)"


def main(
    profile_name: Annotated[str, typer.Argument(metavar="PROFILE", help="a file of notebooks/profiles")],
    corpus: Annotated[
        str, typer.Option(help="folder with clean/ and noisy/ instead of synthetic speech")
    ] = "",
    config: Annotated[list[str] | None, typer.Option(help="setting=value, overrides the profile")] = None,
) -> None:
    """Print what a profile would cost on this machine; some steps of training are measured for it."""
    root = repository_root()
    try:
        profile = checked_profile(root, profile_name, corpus, config or [])
        plan = plan_of(profile, root)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"Measuring {WARM_UP_STEPS + MEASURED_STEPS} steps of {profile.arms[0]} …", flush=True)
    # Like the jobs of a study, it is measured in a process that starts with their environment.
    prepare_process()
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process,
    ):
        cost = process.submit(measured_cost, profile, Path(folder)).result()
    print("\n".join(plan_in_words(plan, cost)))


if __name__ == "__main__":
    typer.run(main)
