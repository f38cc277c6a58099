"""A run with recordings and networks."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cmgan.models.systems import build_generator
from cmgan.recipe import Budget
from cmgan.study.arms import arm as recipe_of
from tests.tiny_corpus import write_tiny_corpus

SMALL = Budget(channels=4, blocks=1, n_fft=64, hop=32)


@pytest.fixture
def run(tmp_path: Path, rng: np.random.Generator) -> Path:
    """A run of two arms with tiny networks as they begin, two test recordings, and some scores of one network."""
    (tmp_path / "data").mkdir()
    write_tiny_corpus(tmp_path / "data", rng, utterances=4, split="test")
    for name, seed in (("published", 0), ("recommended", 0), ("recommended", 1)):
        folder = tmp_path / "training" / f"{name}-{seed}"
        folder.mkdir(parents=True)
        config = {"recipe": asdict(recipe_of(name)), "budget": asdict(SMALL)}
        (folder / "config.json").write_text(json.dumps(config))
        torch.save(build_generator("tscnet", SMALL).state_dict(), folder / "generator.pt")
    (tmp_path / "evaluation").mkdir()
    pd.DataFrame({"id": ["u2", "u3"], "pesq": [1.234, np.nan]}).to_csv(
        tmp_path / "evaluation" / "recommended-1.csv", index=False
    )
    return tmp_path
