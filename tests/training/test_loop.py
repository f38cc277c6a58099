import json

import numpy as np
import pandas as pd
import pytest

from cmgan.recipe import LossWeights, Recipe
from cmgan.training import loop
from cmgan.training.run import is_complete
from tests.tiny_corpus import write_tiny_corpus
from tests.tiny_training import quietly, tiny_run


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), np.random.default_rng(0))


def test_a_run_logs_every_step_and_epoch_and_leaves_only_finished_files(manifest, tmp_path):
    folder = quietly(tiny_run(manifest, tmp_path / "run"))
    steps, epochs = (pd.read_csv(folder / name) for name in ("steps.csv", "epochs.csv"))
    assert steps["step"].tolist() == [1, 2, 3, 4]
    assert epochs["epoch"].tolist() == [1, 2]
    assert len(pd.read_csv(folder / "validation.csv")) == 4
    assert steps["loss_discriminator"].notna().all()
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "discriminators.pt",
        "epochs.csv",
        "generator.pt",
        "generator_best.pt",
        "steps.csv",
        "validation.csv",
    ]
    assert json.loads((folder / "config.json").read_text())["recipe"]["labels"] == "mask"


def test_a_finished_run_is_not_trained_again(manifest, tmp_path, monkeypatch):
    run = tiny_run(manifest, tmp_path / "run", epochs=1)
    folder = quietly(run)
    monkeypatch.setattr(loop, "training_step", lambda *_: pytest.fail("trained again"))
    assert quietly(run) == folder


def test_a_finished_run_of_other_settings_is_not_overwritten(manifest, tmp_path):
    folder = quietly(tiny_run(manifest, tmp_path / "run", epochs=1))
    before = (folder / "generator.pt").read_bytes()
    with pytest.raises(ValueError, match=r"budget\.epochs 1 there, 3 asked for"):
        quietly(tiny_run(manifest, tmp_path / "run", epochs=3))
    assert (folder / "generator.pt").read_bytes() == before


def test_a_run_of_an_earlier_version_counts_as_finished_with_the_defaults_it_did_not_name(manifest, tmp_path):
    run = tiny_run(manifest, tmp_path / "run", epochs=1)
    config = quietly(run) / "config.json"
    named = json.loads(config.read_text())
    del named["budget"]["processes"], named["recipe"]["batch_size"]
    config.write_text(json.dumps(named))
    assert is_complete(run)


def test_unfinished_work_of_other_settings_is_not_taken_up(manifest, tmp_path):
    unfinished = tmp_path / "run" / "unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "config.json").write_text("{}")
    (unfinished / "state.pt").write_bytes(b"of another run")
    assert quietly(tiny_run(manifest, tmp_path / "run", epochs=1)).joinpath("generator.pt").exists()


def test_a_skipped_discriminator_step_logs_a_missing_loss_and_leaves_the_discriminator_alone(
    manifest, tmp_path
):
    recipe = Recipe(labels="skip_batch", injected_failure_rate=1.0)
    steps = pd.read_csv(quietly(tiny_run(manifest, tmp_path / "run", recipe, epochs=1)) / "steps.csv")
    assert steps["discriminator_skipped"].all()
    assert steps["loss_discriminator"].isna().all()
    assert steps["failure_injected"].all()


def test_without_a_metric_loss_no_pesq_is_asked_for(manifest, tmp_path):
    recipe = Recipe(loss_weights=LossWeights(metric=0.0))
    steps = pd.read_csv(quietly(tiny_run(manifest, tmp_path / "run", recipe, epochs=1)) / "steps.csv")
    assert steps[["loss_metric", "loss_discriminator", "pesq_mean"]].isna().all(axis=None)


def test_arms_with_the_same_seed_start_from_the_same_estimate(manifest, tmp_path):
    gains = [
        pd.read_csv(
            quietly(tiny_run(manifest, tmp_path / target, Recipe(time_target=target), epochs=1)) / "steps.csv"
        )["gain"].iloc[0]
        for target in ("published", "normalised")
    ]
    assert gains[0] == gains[1]


def test_early_stopping_ends_the_run_when_the_validation_loss_no_longer_falls(manifest, tmp_path):
    recipe = Recipe(patience=1, minimum_improvement=10.0)
    epochs = pd.read_csv(quietly(tiny_run(manifest, tmp_path / "run", recipe, epochs=5)) / "epochs.csv")
    assert len(epochs) == 2


def test_the_second_system_trains_with_the_same_trainer_at_another_stft_size(manifest, tmp_path):
    recipe = Recipe(generator="mpsenet", metric_input="reanalysed", gradient_clip=1.0)
    run = tiny_run(
        manifest, tmp_path / "run", recipe, epochs=1, n_fft=512, hop=128, generator_learning_rate=1e-3
    )
    steps = pd.read_csv(quietly(run) / "steps.csv")
    assert steps[["loss_phase", "loss_consistency", "loss_total"]].notna().all(axis=None)
    assert np.isfinite(steps["gradient_norm_generator"]).all()


def test_the_first_system_logs_the_second_ones_terms_as_missing(manifest, tmp_path):
    steps = pd.read_csv(quietly(tiny_run(manifest, tmp_path / "run", epochs=1)) / "steps.csv")
    assert steps[["loss_phase", "loss_consistency"]].isna().all(axis=None)
