"""Fixtures every test may use."""

from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The study's folder of published fixtures beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "parity").is_dir():
        pytest.skip(f"{folder} is absent: the published fixtures are not part of the repository")
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Module initialisation draws from torch's global generator: fix it for every test."""
    torch.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
