"""Data-parallel training in which one process skips its discriminator step: a few real steps of two processes.

Both networks, the label policies and the discriminator's loss are the trainer's own; only their size is small.
"""

import hashlib
import multiprocessing
import os
import re
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cmgan.kernels import torch_only
from cmgan.labels import labels_from_pesq
from cmgan.losses import discriminator_loss
from cmgan.metrics.process_pool import ProcessPool
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.tscnet import TSCNet
from cmgan.recipe import LabelPolicy
from cmgan.signal import magnitude

RANKS = 2
STEPS = 4
FAILING_RANK, FAILING_STEP = 1, 1
LIMIT_SECONDS = 20.0
WAIT_SECONDS = 4.0  # how long a process waits for the other one; torch's own limit is 30 minutes, 10 for NCCL
METRIC_WEIGHT = 0.05
_FRAMES, _BINS = 32, 33


@dataclass(frozen=True)
class Scenario:
    """One way to go through the same steps.

    labels: policy of the trainer. fails: PESQ fails once, on one rank. generator: the generator's own step comes
    before each step of the discriminator, as in training.
    """

    name: str
    title: str
    labels: LabelPolicy
    fails: bool
    generator: bool = True


SCENARIOS = (
    Scenario("every_rank_steps", "Every process steps", "skip_batch", fails=False),
    Scenario("failed_sample_masked", "One masks its failed sample", "mask", fails=True),
    Scenario("one_rank_skips", "One skips its step", "skip_batch", fails=True),
    Scenario(
        "one_rank_skips_discriminator_only", "One skips, discriminator alone", "skip_batch", True, False
    ),
)
TITLES = {scenario.name: scenario.title for scenario in SCENARIOS}


class Reduction(NamedTuple):
    """A gradient reduction that came back: whose gradients, and the step of this process and of the other, from 1."""

    network: str
    step: int
    other_step: float


@dataclass
class RankRecord:
    """What one process saw: steps made, reductions in their order, digest of its parameters, error.

    ended: the process came to its end, with or without an error; the digest is then final, else of the last step.
    """

    steps: int = 0
    reductions: list[Reduction] = field(default_factory=list)
    parameters: str = ""
    detail: str = ""
    ended: bool = False


Records = dict[str, list[RankRecord]]


def try_scenarios(scenarios: Sequence[Scenario] = SCENARIOS, limit_s: float = LIMIT_SECONDS) -> Records:
    """Records of both ranks of every scenario; a process that takes more than `limit_s` seconds is ended.

    Needs no network. All ranks are forked from one process that has loaded torch and started no thread, so that a
    scenario starts at once and leaves nothing behind for the next.
    """
    with ProcessPool(f"{__name__}:fork_ranks", workers=1) as pool:
        return {scenario.name: pool.submit(scenario, limit_s).result() for scenario in scenarios}


def fork_ranks(scenario: Scenario, limit_s: float) -> list[RankRecord]:
    """Run every rank of a scenario in a process of its own. For a process without threads (see above).

    A process that dies keeps the record that it had, with what it printed last as the detail.
    """
    # DistributedDataParallel loads this: seconds in every process, once when it is there before they are forked.
    import_module("torch._dynamo")
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ranks = []
        for rank in range(RANKS):
            receiving, sending = context.Pipe(duplex=False)
            printed = Path(folder, f"stderr-{rank}")
            arguments = (scenario, rank, Path(folder, "store"), printed, limit_s, sending)
            process = context.Process(target=_run_rank, args=arguments)
            process.start()
            # A rank that is forked later must not hold this end: its closing tells that the rank has died.
            sending.close()
            ranks.append((process, receiving, printed))
        records = [_last_record(*rank) for rank in ranks]
        # Those that came to their end still hold their connections, so that nobody saw one closed too early.
        for process, _, _ in ranks:
            process.kill()
            process.join()
    return records


def rank_table(records: Records) -> pd.DataFrame:
    """What became of each process, a row per scenario and rank.

    Columns scenario, rank, finished (all steps were made, without an error), parameters_equal (of both ranks when
    they ended or, where one died, after its last step), reductions (gradient reductions that came back), mispaired
    (those whose other half came from another step), steps, detail (the error, or empty).
    """
    rows = [
        {
            "scenario": scenario,
            "rank": rank,
            "finished": record.ended and record.steps == STEPS and not record.detail,
            "parameters_equal": len({other.parameters for other in ranks}) == 1 and record.parameters != "",
            "reductions": len(record.reductions),
            "mispaired": sum(reduction.other_step != reduction.step for reduction in record.reductions),
            "steps": record.steps,
            "detail": record.detail,
        }
        for scenario, ranks in records.items()
        for rank, record in enumerate(ranks)
    ]
    return pd.DataFrame(rows)


def reduction_table(records: Records) -> pd.DataFrame:
    """One row per reduction that came back: scenario, rank, number, network, step, other_step (steps from 1)."""
    rows = [
        {"scenario": scenario, "rank": rank, "number": number} | reduction._asdict()
        for scenario, ranks in records.items()
        for rank, record in enumerate(ranks)
        for number, reduction in enumerate(record.reductions, 1)
    ]
    return pd.DataFrame(rows)


def ranks_in_words(outcome: pd.DataFrame) -> str:
    """Which processes got through each scenario, and what stopped the others; frame of `rank_table` (Markdown)."""
    finished, told, differing = [], [], []
    for name, rows in outcome.groupby("scenario", sort=False):
        title = TITLES[name]
        finished.append(f"{title}: {rows['finished'].sum()} of {len(rows)}")
        stopped = rows[rows["detail"].fillna("") != ""]
        trouble = [f"process {row.rank} stopped (“{row.detail}”)" for row in stopped.itertuples()]
        if rows["mispaired"].any():
            share = f"{rows['mispaired'].sum()} of {rows['reductions'].sum()}"
            trouble.append(f"{share} gradient reductions were averages with another step's gradients")
        if trouble:
            told.append(f"{title}: {', '.join(trouble)}.")
        if not rows["parameters_equal"].all():
            differing.append(title)
    parameters = (
        f"The parameters of the two differ at the end where {', '.join(differing).lower()}."
        if differing
        else "The parameters of the two are equal at the end of every scenario: weights alone would not show it."
    )
    return " ".join([f"**Processes that make all {STEPS} steps. {'; '.join(finished)}.**", *told, parameters])


def short_reason(error: str) -> str:
    """The first line of an error up to the advice, without source paths and ports, which differ by machine."""
    line = error.strip().splitlines()[0]
    line = re.sub(r"\[[^\]]*/[^\]]*\] ?|\[[\d.:a-fA-F]*\]:\d+", "", line)
    line = line.removeprefix("Got the following error when running the callback: RuntimeError: ")
    return line.split(" This is typically")[0].strip()


def _run_rank(
    scenario: Scenario, rank: int, meeting: Path, printed: Path, limit_s: float, sending: Connection
) -> None:
    """Go through the scenario's steps as process `rank`, and wait to be killed; the ranks meet in a file.

    The record is sent after every reduction and step, since a process may die, and at the end.
    """
    # The kernel's alarm ends the process whatever it waits for, and even when its parent is gone.
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What gloo prints when it gives up belongs to the experiment, not on the user's screen.
    with printed.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    # Without this gloo looks up the machine's name, which needs a network.
    os.environ["GLOO_SOCKET_IFNAME"] = next((n for _, n in socket.if_nameindex() if n.startswith("lo")), "")
    torch.set_num_threads(1)
    store, limit = dist.FileStore(str(meeting), RANKS), timedelta(seconds=WAIT_SECONDS)
    record = RankRecord()
    networks = {"generator": TSCNet(4, _BINS, 1), "discriminator": MetricDiscriminator(2)}
    try:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS, timeout=limit)
        torch.manual_seed(rank)
        with torch_only():
            _train(scenario, rank, networks, record, lambda: sending.send(record))
    except RuntimeError as error:
        record.detail = short_reason(str(error))
    record.parameters = _digest(networks.values())
    record.ended = True
    sending.send(record)
    signal.pause()


def _train(
    scenario: Scenario, rank: int, networks: dict[str, nn.Module], record: RankRecord, report: Callable
) -> None:
    parallel = [DistributedDataParallel(network) for network in networks.values()]
    for name, network in zip(networks, parallel, strict=True):
        network.register_comm_hook((name, record, report), _mean_with_step)
    generator, discriminator = parallel
    optimisers = [torch.optim.AdamW(network.parameters(), lr=1e-3) for network in parallel]
    for step in range(STEPS):
        noisy, clean = torch.randn(2, 1, 2, _FRAMES, _BINS)
        estimate, target = noisy, _magnitude(clean)
        if scenario.generator:
            estimate = torch.cat(generator(noisy), dim=1)
            score = discriminator(target, _magnitude(estimate))
            loss = (estimate - clean).square().mean() + METRIC_WEIGHT * (score - 1).square().mean()
            _update(optimisers[0], loss)
            estimate = estimate.detach()
        fails = scenario.fails and (rank, step) == (FAILING_RANK, FAILING_STEP)
        labels = labels_from_pesq(np.array([np.nan if fails else 2.0]), scenario.labels)
        if not labels.skip:
            on_estimate = discriminator(target, _magnitude(estimate))
            on_clean = discriminator(target, target)
            _update(optimisers[1], discriminator_loss(on_clean, on_estimate, labels))
        record.steps += 1
        record.parameters = _digest(networks.values())
        report()


def _mean_with_step(
    state: tuple[str, RankRecord, Callable[[], None]], bucket: dist.GradBucket
) -> torch.futures.Future[Tensor]:
    """Gradients averaged as DistributedDataParallel does; the step's number, sent along, tells what they met."""
    name, record, report = state
    step = record.steps + 1
    message = torch.cat([bucket.buffer(), torch.tensor([float(step)])])

    def unpack(future: torch.futures.Future) -> Tensor:
        total = future.value()[0]
        record.reductions.append(Reduction(name, step, float(total[-1]) - step))
        report()
        return total[:-1] / RANKS

    return dist.all_reduce(message, async_op=True).get_future().then(unpack)


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _magnitude(spectrum: Tensor) -> Tensor:
    """(B, 2, T, F) → (B, 1, F, T), as the discriminator takes it."""
    return magnitude(spectrum).transpose(1, 2).unsqueeze(1)


def _digest(networks: Iterable[nn.Module]) -> str:
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return hashlib.sha256(b"".join(one.detach().numpy().tobytes() for one in parameters)).hexdigest()


def _last_record(process: BaseProcess, receiving: Connection, printed: Path) -> RankRecord:
    record = RankRecord()
    try:
        while not record.ended:
            record = receiving.recv()
    except EOFError:
        process.join()
        record.detail = "ended from outside: it hung"
        if process.exitcode != -signal.SIGALRM:
            raised = re.findall(r"what\(\):(.*)", printed.read_text())
            reason = short_reason(raised[-1]) if raised else "no message"
            record.detail = f"died with exit code {process.exitcode}: {reason}"
    return record
