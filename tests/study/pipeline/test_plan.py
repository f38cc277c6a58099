import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmgan.study.pipeline.plan import Cost, plan_of
from cmgan.study.pipeline.run import checked_profile
from data_prep.audio import write_audio
from tests.speech_like import speech_like

ROOT = Path(__file__).parents[3]
COST = Cost(
    "CPU",
    step_seconds=2.0,
    validation_seconds=0.5,
    start_seconds=4.0,
    peak_mib=2048,
    network_bytes=2**20,
    log_row_bytes=1024,
)


def _plan(config, profile="laptop", corpus=""):
    return plan_of(checked_profile(ROOT, profile, corpus, [*config, "run=planned_only"]), ROOT)


def test_a_plan_multiplies_measured_steps_and_validations_by_what_the_profile_asks_for():
    plan = _plan(
        [
            "arms=[published,skip_56]",
            "seeds=[0,1,2]",
            "epochs=10",
            "batch_size=4",
            "train_utterances=30",
            "validation_utterances=8",
            "validated_utterances=6",
            "test_utterances=36",
        ]
    )
    assert plan.steps == 70
    assert plan.training_hours(COST) == pytest.approx((70 * 2.0 + 10 * 6 * 0.5) / 3600)
    assert plan.evaluation_hours(COST) == pytest.approx(18 / 3600)
    words = "\n".join(plan.in_words(COST, cores=3))
    assert "6 trainings, and 6 branches of 3 epochs" in words
    assert "One training: 2 min 50 s" in words
    # Six trainings with their tests, and six branches of three epochs where a training has ten.
    assert 6 * (170 + 18) + 6 * 0.3 * 170 == 23 * 60 + 54
    assert "on such a device: 23 min 54 s" in words
    # Each of the 18 jobs starts, and three run at a time with one thread each.
    assert "take 4 s to start, on 3 cores: 8 min 22 s" in words
    assert (23 * 60 + 54 + 18 * 4) / 3 == 502


def test_a_folder_is_counted_as_the_preparation_would_split_it(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("p1_001", "p1_002", "p1_003", "p2_001"):
        for kind in ("clean", "noisy"):
            write_audio(tmp_path / kind / f"{name}.wav", speech_like(rng, 0.6))
    plan = _plan(["batch_size=1", "epochs=2"], "study", str(tmp_path))
    assert plan.utterances["test"] == 1
    assert plan.steps == 2 * plan.utterances["train"]


def test_a_plan_is_measured_with_steps_of_the_profile_s_own_size():
    # With several processes, one is measured.
    asked = ["smoke", "--config", "run=planned_only", "--config", "processes=2", "--config", "seeds=[0]"]
    command = [sys.executable, "-m", "cmgan.study.pipeline.plan", *asked]
    shown = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ
    ).stdout
    assert "2 arms × 1 seeds = 2 trainings" in shown
    assert "4 steps of 2 crops" in shown
    assert "s a step" in shown
