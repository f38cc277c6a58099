import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from torch import nn

from cmgan.recipe import LossWeights, Recipe
from cmgan.training.checkpoints import TrainingState, load_state, random_state, save_state
from cmgan.training.loop import accumulation_of
from cmgan.training.step import Accumulation, TrainingContext, update
from tests.tiny_corpus import write_tiny_corpus
from tests.tiny_training import quietly, tiny_run


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_tiny_corpus(
        tmp_path_factory.mktemp("corpus"), np.random.default_rng(0), utterances=6, held_out=2
    )


def _train(manifest, output, **budget):
    recipe = Recipe(loss_weights=LossWeights(metric=0.0))
    return quietly(tiny_run(manifest, output, recipe, epochs=1, **budget))


def _context():
    """What an update needs: no networks, no scores."""
    return TrainingContext(None, Recipe(), Accelerator(cpu=True), None)


def test_an_epochs_last_batches_make_an_update_of_their_own():
    schedule = [accumulation_of(number, 5, 2) for number in range(5)]
    assert [each.steps for each in schedule] == [2, 2, 2, 2, 1]
    assert [each.update for each in schedule] == [False, True, False, True, True]


def test_accumulated_gradients_change_weights_as_those_of_one_large_batch():
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    accelerator, context = Accelerator(cpu=True), _context()
    networks = [nn.Linear(3, 1) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    norms = []
    for network, parts in zip(networks, (1, 3), strict=True):
        optimiser = torch.optim.AdamW(network.parameters())
        for number, part in enumerate(inputs.chunk(parts)):
            accelerator.backward(network(part).square().mean() / parts)
            due = Accumulation(parts, number + 1 == parts)
            norms.append(update(network, optimiser, context, due))
        assert network.weight.grad is None
    assert np.isfinite(norms).tolist() == [True, False, False, True]
    assert norms[0] == pytest.approx(norms[3], rel=1e-6)
    torch.testing.assert_close(*(network.weight for network in networks))


def test_where_every_step_of_an_update_was_skipped_the_weights_stay():
    network = nn.Linear(3, 1)
    before = network.weight.clone()
    norm = update(network, torch.optim.AdamW(network.parameters()), _context(), Accumulation())
    assert np.isnan(norm)
    assert torch.equal(network.weight, before)


def test_a_compiled_generator_trains_as_one_that_is_not(manifest, tmp_path):
    folders = [
        _train(manifest, tmp_path / (backend or "none"), compile_backend=backend) for backend in ("", "eager")
    ]
    steps = [pd.read_csv(folder / "steps.csv").drop(columns="seconds") for folder in folders]
    pd.testing.assert_frame_equal(*steps, rtol=1e-4)
    weights = [torch.load(folder / "generator.pt", weights_only=True) for folder in folders]
    assert list(weights[0]) == list(weights[1])


def test_an_unknown_compile_backend_is_refused_with_those_there_are(manifest, tmp_path):
    with pytest.raises(ValueError, match=r"compile_backend is 'magic': use one of .*inductor"):
        _train(manifest, tmp_path / "run", compile_backend="magic")


def test_the_scale_of_fp16_losses_survives_a_checkpoint(tmp_path):
    def state():
        networks = nn.Linear(2, 2), nn.Linear(2, 2)
        optimisers = [torch.optim.AdamW(network.parameters()) for network in networks]
        schedules = [torch.optim.lr_scheduler.StepLR(optimiser, 1) for optimiser in optimisers]
        return TrainingState(*networks, *optimisers, *schedules, torch.amp.GradScaler("cpu"))

    saved, restored = state(), state()
    saved.scaler.load_state_dict(saved.scaler.state_dict() | {"scale": 512.0})
    save_state(saved, tmp_path, {}, [random_state()])
    load_state(restored, tmp_path, {})
    assert restored.scaler.get_scale() == 512.0
