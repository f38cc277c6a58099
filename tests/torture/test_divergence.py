"""Numbers that are not finite: training stops at the step, says which term and sample, and saves none of it."""

import dataclasses
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import torch

from cmgan.dataset import UtterancePair, load_pairs
from cmgan.losses import GeneratorLosses
from cmgan.models.systems import objective
from cmgan.recipe import Recipe
from cmgan.training import loop, step
from cmgan.training.checkpoints import DivergenceError
from tests.tiny_training import quietly, tiny_run


def _run(manifest, folder, recipe=None, **budget):
    return tiny_run(manifest, folder / "run", recipe, 1, **budget)


def _numbers(content):
    """Every tensor in dictionaries and lists."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _numbers(value)


def _assert_all_finite(folder):
    files = sorted(folder.rglob("*.pt"))
    for path in files:
        assert all(torch.isfinite(values).all() for values in _numbers(torch.load(path))), path
    return files


def _changed_pairs(monkeypatch, change):
    def pairs(*given):
        return [change(pair) for pair in load_pairs(*given)]

    monkeypatch.setattr(loop, "load_pairs", pairs)


def test_a_nan_in_one_sample_stops_training_at_its_step_and_names_it(manifest, tmp_path, monkeypatch, seen):
    def spoilt(pair):
        noisy = np.where(np.arange(len(pair.noisy)) == 5_000, np.nan, pair.noisy).astype(np.float32)
        return UtterancePair(pair.id, pair.clean, noisy) if pair.id == "u1" else pair

    _changed_pairs(monkeypatch, spoilt)
    with pytest.raises(
        DivergenceError, match=r"loss is nan, from u1; the last checkpoint is as it was"
    ) as stop:
        quietly(_run(manifest, tmp_path, crop_seconds=0.6))
    logged = pd.read_csv(tmp_path / "run" / "unfinished" / "steps.csv") if "step 2" in str(stop.value) else []
    assert f"step {len(logged) + 1} (utterances " in str(stop.value)
    assert len(_assert_all_finite(tmp_path)) >= len(logged)
    seen("a NaN in one sample of one utterance", stop.value)


def test_batches_of_silence_train_without_labels_that_nobody_gave(manifest, tmp_path, monkeypatch, seen):
    _changed_pairs(monkeypatch, lambda pair: UtterancePair(pair.id, 0 * pair.clean, 0 * pair.noisy))
    folder = quietly(_run(manifest, tmp_path, Recipe(labels="skip_batch")))
    steps = pd.read_csv(folder / "steps.csv")
    assert (steps["failure_reasons"] == "silent_reference:2").all()
    assert steps["discriminator_skipped"].all()
    assert steps[["loss_discriminator", "label_mean", "pesq_mean"]].isna().all(axis=None)
    assert _assert_all_finite(folder)
    assert pd.read_csv(folder / "epochs.csv")["pesq"].isna().all()
    seen(
        "nothing but digital silence in training and validation",
        "trained to the end; every PESQ missing with its reason, no invented label, the first epoch as "
        "`generator_best.pt`",
    )


@pytest.mark.parametrize("rate", [10.0, 1e30])
def test_a_learning_rate_beyond_reason_saves_nothing_that_is_not_finite(manifest, tmp_path, seen, rate):
    run = _run(manifest, tmp_path, generator_learning_rate=rate)
    happened = "trained to the end, with finite weights"
    with pytest.raises(DivergenceError, match="step") if rate > 10 else suppress(DivergenceError) as stop:
        quietly(run)
    if rate > 10:
        happened = stop.value
    else:
        assert _assert_all_finite(run.output)
    _assert_all_finite(tmp_path)
    seen(f"a learning rate of {rate:g}", happened)


def test_an_exploding_gradient_changes_no_weight(manifest, tmp_path, monkeypatch, seen):
    calls = []

    def exploding(*given):
        losses = objective(*given)
        calls.append(1)
        return dataclasses.replace(losses, total=losses.total * (1e30 if len(calls) == 3 else 1))

    monkeypatch.setattr(step, "objective", exploding)
    with pytest.raises(
        DivergenceError, match=r"step 3 .*: the norm of the generator's gradient is inf"
    ) as stop:
        quietly(_run(manifest, tmp_path))
    assert torch.load(tmp_path / "run" / "unfinished" / "state.pt")["step"] == 2
    _assert_all_finite(tmp_path)
    seen("a gradient that overflows", stop.value)


def test_a_term_that_is_infinite_is_named(manifest, tmp_path, monkeypatch, seen):
    def infinite(*given) -> GeneratorLosses:
        losses = objective(*given)
        return dataclasses.replace(losses, time=losses.time / 0, total=losses.total + losses.time / 0)

    monkeypatch.setattr(step, "objective", infinite)
    with pytest.raises(DivergenceError, match=r"step 1 .*: the generator's time loss is inf; ") as stop:
        quietly(_run(manifest, tmp_path))
    assert not list(tmp_path.rglob("*.pt"))
    seen("one term of the loss that is infinite", stop.value)
