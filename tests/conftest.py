"""Fixtures every test may use."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from cmgan.dataset import UtterancePair
from data_prep.audio import read_audio

# The same examples every time, so that a failure is met again.
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The study's folder of published fixtures beside the checkout; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "parity").is_dir():
        pytest.skip(f"{folder} is absent: the published fixtures are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def real_pairs(shared_folder: Path) -> dict[str, UtterancePair]:
    """25 published clips of VoiceBank+DEMAND by name."""
    folder = shared_folder / "voicebank_demand_sample"
    names = [path.stem for path in sorted((folder / "clean").glob("*.wav"))]
    waves = ([read_audio(folder / side / f"{name}.wav") for side in ("clean", "noisy")] for name in names)
    return {name: UtterancePair(name, *pair) for name, pair in zip(names, waves, strict=True)}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Module initialisation draws from torch's global generator: fix it for every test."""
    torch.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
