"""What a profile would cost, before it starts: its jobs, and time, memory and disk from a few steps measured here."""

import dataclasses
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
import typer

from cmgan.commands.outcome import input_errors
from cmgan.dataset import batches_per_epoch
from cmgan.metrics.evaluation import available_cores
from cmgan.progress import duration
from cmgan.study.arms import arm as recipe_of
from cmgan.study.paths import repository_root
from cmgan.study.pipeline.run import CorpusFolder, Overrides, ProfileName, checked_profile
from cmgan.study.profile import Profile
from cmgan.training.loop import TrainingRun, train
from data_prep.folder import assign_splits, find_recordings, limit_splits
from data_prep.manifest import SPLITS, read_manifest
from data_prep.synthetic import prepare_synthetic

# Of VoiceBank+DEMAND with 28 speakers, for a corpus that is not there yet; 11,572 include those held out.
VOICEBANK_UTTERANCES = {"train": 11_572, "validation": 0, "test": 824}
WARM_UP_STEPS, MEASURED_STEPS = 1, 3
# What the two processes of a job do before their first line: papermill's, then its kernel's.
STARTS = (
    "import cmgan.study.pipeline.run_notebook",
    "import ipykernel.kernelapp, seaborn, torch._dynamo, cmgan.study.training.job",
)


@dataclass(frozen=True)
class Cost:
    """What a few real steps took: seconds a step (median), a validated utterance and the start of a job, peak memory
    of the process, and bytes kept of a training: of a network, of its checkpoint and of a row of its log."""

    device: str
    step_seconds: float
    validation_seconds: float
    start_seconds: float
    peak_mib: float
    network_bytes: int
    log_row_bytes: int


@dataclass(frozen=True)
class Plan:
    """The work of a profile. steps: of one training; utterances by split."""

    profile: Profile
    utterances: dict[str, int]
    steps: int

    def training_hours(self, cost: Cost) -> float:
        """Hours of one training: its steps and its validations."""
        limit, there = self.profile.validated_utterances, self.utterances["validation"]
        validations = self.profile.epochs * (min(limit, there) if limit and there else limit or there)
        return (self.steps * cost.step_seconds + validations * cost.validation_seconds) / 3600

    def evaluation_hours(self, cost: Cost) -> float:
        """Hours that the tests of one training take, at the pace of validation."""
        return self.utterances["test"] * cost.validation_seconds / 3600

    def all_hours(self, cost: Cost) -> float:
        """Hours of all trainings, branches and evaluations, one after the other, without starting their jobs."""
        profile, training = self.profile, self.training_hours(cost)
        branch = profile.branch_epochs / profile.epochs * training
        evaluated = training + self.evaluation_hours(cost)
        return len(profile.trainings) * evaluated + len(profile.branch_trainings) * branch

    def study_hours(self, cost: Cost, cores: int) -> float:
        """The same on this many cores, each job with its start."""
        profile = self.profile
        jobs = 2 * len(profile.trainings) + len(profile.branch_trainings)
        at_once = max(1, cores // (profile.threads * profile.processes or cores))
        return (self.all_hours(cost) + jobs * cost.start_seconds / 3600) / at_once

    def in_words(self, cost: Cost, cores: int) -> list[str]:
        """The plan as lines: the work, what was measured, and what follows for one training and for all."""
        profile, each, tests = self.profile, self.training_hours(cost), self.evaluation_hours(cost)
        trainings, branches = len(profile.trainings), len(profile.branch_trainings)
        share = profile.branch_epochs / profile.epochs  # of a training's work that a branch adds
        counts = ", ".join(f"{count:,} {split}" for split, count in self.utterances.items())
        # A training keeps two networks and its log, and while it runs a checkpoint with two moments.
        logged = self.steps * cost.log_row_bytes * (trainings + share * branches)
        kept = logged + (2 * (trainings + branches) + 4) * cost.network_bytes
        return [
            f"Run {profile.run}: {len(profile.arms)} arms × {len(profile.seeds)} seeds = {trainings} trainings"
            f"{f', and {branches} branches of {profile.branch_epochs} epochs' if branches else ''}",
            f"Utterances: {counts} (corpus {profile.corpus})",
            f"A training: {profile.epochs} epochs, {self.steps:,} steps of {profile.batch_size} crops of "
            f"{profile.crop_seconds:g} s, width {profile.channels}, {profile.blocks} blocks",
            f"Measured here ({cost.device}; median of {MEASURED_STEPS} steps): {cost.step_seconds:.2f} s a step, "
            f"{cost.validation_seconds:.2f} s a validated utterance, peak memory {cost.peak_mib / 1024:.1f} GiB",
            f"One training: {hours(each)}, its tests {hours(tests)}",
            f"All of them, one after the other on such a device: {hours(self.all_hours(cost))}",
            f"As jobs that take {cost.start_seconds:.0f} s to start, on {cores} cores: "
            f"{hours(self.study_hours(cost, cores))}, and some minutes for speech, objective and report",
            f"Disk, besides the corpus: {kept / 2**30:.1f} GiB",
        ]


def plan_of(profile: Profile, root: Path) -> Plan:
    """The work of a profile, from its manifest, else its corpus folder, else the corpus's published size.

    No audio is read. Raises CorpusError for a folder that holds no corpus, ValueError where no batch can be filled.
    """
    manifest = root / "results" / profile.run / "data" / "manifest.csv"
    limits = {split: getattr(profile, f"{split}_utterances") or None for split in SPLITS}
    if manifest.exists():
        counts = Counter(utterance.split for utterance in read_manifest(manifest))
    elif profile.corpus == "synthetic":
        counts = Counter(limits)
    elif profile.corpus == "voicebank":
        counts = {split: min(count, limits[split] or count) for split, count in VOICEBANK_UTTERANCES.items()}
    else:
        found = find_recordings(Path(profile.corpus_path), profile.speaker_pattern)
        recordings = assign_splits(found, profile.corpus_seed)
        counts = Counter(item.split for item in limit_splits(recordings, limits, profile.corpus_seed))
    utterances = {split: counts[split] or 0 for split in SPLITS}
    batches = batches_per_epoch(utterances["train"], profile.batch_size, profile.processes)
    return Plan(profile, utterances, profile.epochs * batches)


def measured_cost(profile: Profile, folder: Path) -> Cost:
    """Train the first arm for a few steps on synthetic speech in `folder`, at the profile's size, on this machine."""
    budget = dataclasses.replace(profile.budget(), epochs=1, validated_utterances=1, processes=1)
    steps = WARM_UP_STEPS + MEASURED_STEPS
    utterances = {"train": steps * budget.batch_size, "validation": 1, "test": 1}
    manifest = prepare_synthetic(folder / "data", 0, utterances)
    arm = profile.arms[0]
    run = TrainingRun(manifest, folder / arm, recipe_of(arm), budget, seed=0, name=arm)
    trained = train(run, report=lambda _: None)
    steps, logs = pd.read_csv(trained / "steps.csv"), (trained / "steps.csv", trained / "epochs.csv")
    last_step, validated = (log.stat().st_mtime for log in logs)
    on_gpu = torch.cuda.is_available()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(
        device=torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads",
        step_seconds=steps["seconds"].iloc[WARM_UP_STEPS:].median(),
        validation_seconds=validated - last_step,
        start_seconds=start_seconds(),
        peak_mib=(torch.cuda.max_memory_allocated() if on_gpu else peak) / 2**20,
        network_bytes=(trained / "generator.pt").stat().st_size,
        log_row_bytes=(trained / "steps.csv").stat().st_size // (len(steps) + 1),
    )


def start_seconds() -> float:
    """Seconds that a job takes to start, papermill and its kernel."""
    before = time.monotonic()
    for imports in STARTS:
        subprocess.run([sys.executable, "-c", imports], check=True)
    return time.monotonic() - before


def hours(count: float) -> str:
    """`12 min 00 s` below an hour, then hours, with days from two on."""
    if count < 1:
        return duration(3600 * count)
    return f"{count:,.1f} hours" if count < 48 else f"{count:,.0f} hours ({count / 24:,.0f} days)"


def main(profile_name: ProfileName, corpus: CorpusFolder = "", config: Overrides = None) -> None:
    """Print what a profile would cost on this machine; some steps of training are measured for it."""
    root = repository_root()
    with input_errors():
        profile = checked_profile(root, profile_name, corpus, config or [])
        plan = plan_of(profile, root)
    print(f"Measuring {WARM_UP_STEPS + MEASURED_STEPS} steps of {profile.arms[0]} …", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process,
    ):
        cost = process.submit(measured_cost, profile, Path(folder)).result()
    print("\n".join(plan.in_words(cost, available_cores())))


if __name__ == "__main__":
    typer.run(main)
