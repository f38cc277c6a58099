"""Data-parallel training in which one process skips its discriminator step: a few real steps of two processes.

Both networks, the label policies and the discriminator's loss are the trainer's own; only their size is small.
"""

import hashlib
import os
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cmgan.labels import labels_from_pesq
from cmgan.losses import discriminator_loss
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.models.tscnet import TSCNet, spectral_magnitude
from cmgan.recipe import LabelPolicy

RANKS = 2
STEPS = 4
FAILING_RANK, FAILING_STEP = 1, 1
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
    labels: LabelPolicy
    fails: bool
    generator: bool = True


SCENARIOS = (
    Scenario("every_rank_steps", "skip_batch", fails=False),
    Scenario("failed_sample_masked", "mask", fails=True),
    Scenario("one_rank_skips", "skip_batch", fails=True),
    Scenario("one_rank_skips_discriminator_only", "skip_batch", fails=True, generator=False),
)


@dataclass(frozen=True)
class Reduction:
    """A gradient reduction that came back: which network's, in which step of this process and of the other."""

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

    @property
    def finished(self) -> bool:
        """Whether all steps were made and nothing went wrong."""
        return self.ended and self.steps == STEPS and not self.detail


def run_rank(scenario: Scenario, rank: int, folder: Path, report: Callable[[RankRecord], None]) -> None:
    """Go through the scenario's steps as process `rank`; the processes meet in a file in `folder`.

    Gradients are averaged as DistributedDataParallel does, with the step's number sent along, which tells what a
    reduction was paired with. `report` gets the record after every reduction and step, since a process may die, and
    at the end. The caller has to keep the process alive until the other one has ended too.
    """
    # Without this gloo looks up the machine's name, which needs a network.
    os.environ["GLOO_SOCKET_IFNAME"] = next((n for _, n in socket.if_nameindex() if n.startswith("lo")), "")
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), RANKS)
    limit = timedelta(seconds=WAIT_SECONDS)
    progress = _Progress(RankRecord(), report)
    networks = {"generator": TSCNet(4, _BINS, 1, fused=False), "discriminator": MetricDiscriminator(2)}
    try:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=RANKS, timeout=limit)
        torch.manual_seed(rank)
        _train(scenario, rank, networks, progress)
    except RuntimeError as error:
        progress.record.detail = short_reason(str(error))
    progress.record.parameters = _digest(networks.values())
    progress.record.ended = True
    report(progress.record)


def short_reason(error: str) -> str:
    """The first line of an error up to the advice, without source paths and ports, which differ by machine."""
    line = error.strip().splitlines()[0]
    line = re.sub(r"\[[^\]]*/[^\]]*\] ?|\[[\d.:a-fA-F]*\]:\d+", "", line)
    line = line.removeprefix("Got the following error when running the callback: RuntimeError: ")
    return line.split(" This is typically")[0].strip()


@dataclass(frozen=True)
class _Progress:
    record: RankRecord
    report: Callable[[RankRecord], None]


def _train(scenario: Scenario, rank: int, networks: dict[str, nn.Module], progress: _Progress) -> None:
    parallel = {}
    for name, network in networks.items():
        parallel[name] = DistributedDataParallel(network)
        parallel[name].register_comm_hook((name, progress), _mean_with_step)
    generator, discriminator = parallel.values()
    optimisers = [torch.optim.AdamW(network.parameters(), lr=1e-3) for network in parallel.values()]
    for step in range(STEPS):
        noisy, clean = torch.randn(2, 1, 2, _FRAMES, _BINS)
        estimate = noisy
        if scenario.generator:
            estimate = _generator_step(generator, discriminator, optimisers[0], noisy, clean)
        fails = scenario.fails and (rank, step) == (FAILING_RANK, FAILING_STEP)
        labels = labels_from_pesq(np.array([np.nan if fails else 2.0]), scenario.labels)
        if not labels.skip:
            on_estimate = discriminator(_magnitude(clean), _magnitude(estimate))
            on_clean = discriminator(_magnitude(clean), _magnitude(clean))
            _update(optimisers[1], discriminator_loss(on_clean, on_estimate, labels))
        progress.record.steps += 1
        progress.record.parameters = _digest(networks.values())
        progress.report(progress.record)


def _generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimiser: torch.optim.Optimizer,
    noisy: Tensor,
    clean: Tensor,
) -> Tensor:
    estimate = torch.cat(generator(noisy), dim=1)
    score = discriminator(_magnitude(clean), _magnitude(estimate))
    _update(optimiser, (estimate - clean).square().mean() + METRIC_WEIGHT * (score - 1).square().mean())
    return estimate.detach()


def _update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _mean_with_step(state: tuple[str, _Progress], bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    name, progress = state
    step = progress.record.steps
    message = torch.cat([bucket.buffer(), torch.tensor([float(step)])])

    def unpack(future: torch.futures.Future) -> Tensor:
        total = future.value()[0]
        progress.record.reductions.append(Reduction(name, step, float(total[-1]) - step))
        progress.report(progress.record)
        return total[:-1] / RANKS

    return dist.all_reduce(message, async_op=True).get_future().then(unpack)


def _magnitude(spectrum: Tensor) -> Tensor:
    """(B, 2, T, F) → (B, 1, F, T), as the discriminator takes it."""
    return spectral_magnitude(spectrum).transpose(2, 3)


def _digest(networks: Iterable[nn.Module]) -> str:
    digest = hashlib.sha256()
    for network in networks:
        for parameter in network.parameters():
            digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()
