"""PESQ that crashes, hangs or gives nothing: right labels for the rest, exact counts, no process left behind."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmgan.metrics import pesq as pesq_module
from cmgan.metrics.pesq import PesqWorkers, pesq_score
from tests.metrics.scoring_doubles import CRASH, HANG, RAISE, first_samples
from tests.processes import children
from tests.speech_like import speech_like
from tests.tiny_training import quietly, tiny_run


@pytest.mark.parametrize(
    "count", [pytest.param(12, id="12"), pytest.param(300, id="300", marks=pytest.mark.torture)]
)
def test_failures_in_a_row_cost_their_own_samples_and_leave_no_process(monkeypatch, seen, count):
    monkeypatch.setattr(pesq_module, "PESQ_FUNCTION", "tests.metrics.scoring_doubles:echo")
    rng = np.random.default_rng(0)
    kinds = rng.choice([CRASH, RAISE, HANG, 5.0], count, p=[0.5, 0.25, 0.05, 0.2])
    before = children()
    with PesqWorkers(2, timeout_s=0.3) as scorer:
        scores = scorer.submit(*first_samples(*kinds)).result()
        after = scorer.submit(*first_samples(1, 2)).result()
    expected = {CRASH: "worker_crash", RAISE: "worker_crash", HANG: "timeout", 5.0: ""}
    assert [score.reason for score in scores] == [expected[kind] for kind in kinds]
    assert [score.value for score in after] == [1, 2]
    assert children() <= before
    reasons = pd.Series([score.reason or "scored" for score in scores]).value_counts()
    told = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
    seen(f"{count} PESQ calls, most of which crash, raise or hang", f"{told}; no process or zombie is left")


def _resident_mb(process):
    (line,) = (
        line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line[:6] == "VmRSS:"
    )
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize(
    "count", [pytest.param(400, id="400"), pytest.param(10_000, id="10000", marks=pytest.mark.torture)]
)
def test_memory_does_not_grow_with_the_number_of_calls(seen, count):
    rng = np.random.default_rng(0)
    clean = np.stack([speech_like(rng, 0.3) for _ in range(20)])
    noisy = clean + 0.01 * rng.standard_normal(clean.shape)
    before = children()
    with PesqWorkers(1) as scorer:
        scores, used = [], []
        for number in range(count // 20):
            scores += scorer.submit(clean, noisy).result()
            if number in (9, count // 20 - 1):
                (worker,) = children() - before
                used.append((_resident_mb(worker), _resident_mb("self")))
    assert len({score.value for score in scores}) == len({score.value for score in scores[:20]})
    grown = np.subtract(used[1], used[0])
    assert (grown < 8).all(), f"MB more in the worker and here: {grown}"
    seen(
        f"{count} PESQ calls in one worker",
        "the same scores, and no more than 8 MB more memory on either side",
    )


@pytest.mark.parametrize(
    ("double", "reason", "fault"),
    [
        ("crash", "worker_crash", "every PESQ call of a training ends its process"),
        ("hang", "timeout", "every PESQ call of a training hangs for ever (limit shortened from 600 s)"),
    ],
)
def test_training_goes_on_without_the_labels_of_workers_that_die_or_hang(
    manifest, tmp_path, monkeypatch, seen, double, reason, fault
):
    monkeypatch.setattr(pesq_module, "PESQ_FUNCTION", f"tests.metrics.scoring_doubles:{double}")
    monkeypatch.setattr(pesq_module, "CALL_LIMIT_S", 0.3)
    folder = quietly(tiny_run(manifest, tmp_path / "run", epochs=1, pesq_workers=1))
    steps = pd.read_csv(folder / "steps.csv")
    assert (steps["failure_reasons"] == f"{reason}:2").all()
    assert steps["label_mean"].isna().all()
    assert steps["loss_discriminator"].gt(0).all(), "the half on clean speech is learnt all the same"
    assert (pd.read_csv(folder / "validation.csv")["pesq_reason"] == reason).all()
    seen(fault, f"trained to the end, {reason}:2 a step")


def test_a_nan_from_the_package_is_a_missing_score_with_a_reason(monkeypatch, seen):
    clean = speech_like(np.random.default_rng(0), 1.0)
    for given in (float("nan"), float("inf")):
        monkeypatch.setattr(pesq_module, "pesq", lambda *_, given=given, **__: given)
        score = pesq_score(clean, clean)
        assert np.isnan(score.value)
        assert score.reason
        seen(f"PESQ that returns {given}", f"missing, with the reason {score.reason}")
