"""One result: what the number of label workers leaves alone, and what threads and kernels move, in numbers."""

import numpy as np
import pandas as pd
import pytest
import torch

from cmgan.kernels import torch_only
from tests.tiny_corpus import write_tiny_corpus
from tests.tiny_training import quietly, tiny_run

SAME = ("generator.pt", "generator_best.pt", "discriminators.pt", "epochs.csv", "validation.csv")
LOSSES = ["loss_real_imaginary", "loss_magnitude", "loss_time", "loss_metric", "loss_total"]


@pytest.fixture(scope="module")
def longer_manifest(tmp_path_factory):
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), np.random.default_rng(1), utterances=8)


@pytest.fixture
def trained(longer_manifest, tmp_path):
    """Train two epochs of six steps, or as the settings say; returns the run's folder."""
    threads = torch.get_num_threads()

    def run(name, **settings):
        return quietly(tiny_run(longer_manifest, tmp_path / name, channels=16, batch_size=1, **settings))

    yield run
    torch.set_num_threads(threads)


def test_the_number_of_label_workers_does_not_change_a_byte(trained, seen):
    none, *others = [trained(f"workers-{number}", pesq_workers=number) for number in (0, 1, 2)]
    for other in others:
        for name in SAME:
            assert (other / name).read_bytes() == (none / name).read_bytes(), name
        logs = [pd.read_csv(run / "steps.csv", dtype=str).drop(columns="seconds") for run in (none, other)]
        pd.testing.assert_frame_equal(*logs)
    seen("a training with 0, 1 and 2 label workers", "the same bytes in weights and logs")


def test_threads_and_kernels_move_a_training_by_rounding_only(trained, seen):
    usual = _losses_and_pesq(trained("usual", epochs=1))
    with torch_only():
        by_torch = _losses_and_pesq(trained("torch", epochs=1))
    others = {
        "2 threads in place of 1": _losses_and_pesq(trained("threads", epochs=1, threads=2)),
        "torch in place of kernels": by_torch,
    }
    for what, other in others.items():
        losses = (other[0] / usual[0] - 1).abs().max(axis=1)
        pesq = (other[1] - usual[1]).abs().max()
        first, last = losses.iloc[0], losses.max()
        # Rounding, which every step makes larger by half or more: of a whole training only means can be compared.
        assert first < 1e-5
        assert last < 0.02
        assert pesq < 0.02
        seen(
            f"a training of {len(losses)} steps, {what}",
            f"losses differ by {first:.0e} of themselves in the first step and at most {last:.0e} later, PESQ by "
            f"{pesq:.1g} (tolerated: 1e-05, 0.02, 0.02)",
        )


def _losses_and_pesq(run):
    return pd.read_csv(run / "steps.csv")[LOSSES], pd.read_csv(run / "validation.csv")["pesq"]
