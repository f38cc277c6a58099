"""The discriminator equals the published numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cmgan.models.discriminator import MetricDiscriminator


def test_names_shapes_and_parameter_count_are_the_published_ones(shared_folder: Path) -> None:
    published = json.loads((shared_folder / "parity" / "state_dict_shapes.json").read_text())
    discriminator = MetricDiscriminator()
    shapes = {name: list(value.shape) for name, value in discriminator.state_dict().items()}
    assert shapes == published["discriminator"]
    assert (
        sum(p.numel() for p in discriminator.parameters()) == published["discriminator_parameters"] == 181_650
    )


@pytest.mark.parametrize("compared", ["clean", "est"])
def test_score_equals_the_published_one(shared_folder: Path, compared: str) -> None:
    with np.load(shared_folder / "parity" / "cmgan_c8.npz") as arrays:
        fixture = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    discriminator = MetricDiscriminator(ndf=4)
    discriminator.load_state_dict({k.removeprefix("D/"): v for k, v in fixture.items() if k.startswith("D/")})
    clean = fixture["mid/clean_spec"].norm(dim=1, keepdim=True)
    estimate = torch.cat([fixture["out/est_real"], fixture["out/est_imag"]], dim=1).norm(dim=1, keepdim=True)
    with torch.no_grad():
        score = discriminator.eval()(clean, clean if compared == "clean" else estimate)
    torch.testing.assert_close(score, fixture[f"out/disc_{compared}"], rtol=1e-5, atol=0)


def test_score_lies_between_zero_and_one_and_reaches_every_weight() -> None:
    discriminator = MetricDiscriminator(ndf=4)
    score = discriminator(torch.rand(2, 1, 64, 48), torch.rand(2, 1, 64, 48))
    assert score.shape == (2, 1)
    assert ((score > 0) & (score < 1)).all()
    score.sum().backward()
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_samples_of_a_batch_are_scored_independently() -> None:
    discriminator = MetricDiscriminator(ndf=4).eval()
    clean, estimate = torch.rand(3, 1, 64, 48), torch.rand(3, 1, 64, 48)
    with torch.no_grad():
        together = discriminator(clean, estimate)
        alone = torch.cat([discriminator(clean[i : i + 1], estimate[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
