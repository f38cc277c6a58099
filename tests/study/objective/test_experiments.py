"""The tables, words, figures and evidence of the objective's minima, on drawn speech."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from cmgan.dataset import UtterancePair
from cmgan.models.discriminator import MetricDiscriminator
from cmgan.study.effects import Evidence, MissingEvidenceError
from cmgan.study.notebook_parameters import ObjectiveParameters
from cmgan.study.objective import evidence, experiments, minima, plots, words
from cmgan.study.objective.job import ObjectiveJob
from tests.speech_like import speech_pair

PARAMETERS = ObjectiveParameters(
    run="drawn",
    recordings="",
    objective_clips=0,
    objective_seconds=0.5,
    objective_sweep_seconds=0.5,
    objective_targets=["published", "normalised"],
    objective_gains=[1, 16],
    objective_weights=[0.02, 0.2],
    objective_iterations=30,
    objective_discriminators=["published-0"],
    threads=1,
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run with one kept discriminator and one trained arm; its job, pairs, way and minima."""
    root = tmp_path_factory.mktemp("drawn")
    training = root / "training" / "published-0"
    training.mkdir(parents=True)
    torch.manual_seed(0)
    states = {1: MetricDiscriminator(ndf=4).state_dict(), 3: MetricDiscriminator(ndf=4).state_dict()}
    torch.save(states, training / "discriminators.pt")
    epochs = pd.DataFrame(
        {"epoch": [1, 2], "pesq": [1.5, 1.7], "gain": [0.9, 0.5], "inconsistency": [0.3, 0.4]}
    )
    terms = {
        "loss_real_imaginary": [1.0, 0.5],
        "loss_magnitude": [0.1, 0.05],
        "loss_time_published": [0.5, 0.25],
    }
    epochs.assign(**terms).to_csv(training / "epochs.csv", index=False)
    job = ObjectiveJob(PARAMETERS, root)
    pairs = [speech_pair(f"clip{seed}", 9000 / 16_000, seed, 0.1, 0.005) for seed in (0, 1)]
    path, _ = job.descents(pairs)
    ends = job.sweeps(pairs, path)
    return job, pairs, path, ends


def test_every_setting_has_a_minimum_for_every_clip(done):
    _, pairs, _, ends = done
    sweep = ends[ends["part"] == minima.SWEEP]
    counts = sweep.groupby("setting")["clip"].nunique()
    assert (counts == len(pairs)).all()
    assert {"gain=1", "gain=16", "time_weight=0.02", "paper_weights published", "mpsenet normalised"} <= set(
        counts.index
    )
    assert {"metric=0.05 published-0 epoch 1", "metric=1 reanalysed published-0 epoch 3"} <= set(counts.index)


def test_the_public_time_weight_as_a_dose_is_the_published_minimum(done):
    ends = done[3].set_index(["part", "setting", "clip", "start"])
    for clip in ("clip0", "clip1"):
        dose = ends.loc[(minima.SWEEP, "time_weight=0.2", clip, "noisy")]
        assert dose["loss_total"] == ends.loc[(minima.SWEEP, "published", clip, "noisy")]["loss_total"]


def test_at_a_gain_of_1_the_published_minimum_is_the_normalised_one(done):
    ends = done[3]
    sweep = ends[ends["part"] == minima.SWEEP].pivot(index="clip", columns="setting", values="loss_total")
    assert np.allclose(sweep["gain=1"], sweep["normalised"], rtol=1e-3)
    assert (sweep["gain=16"] > sweep["gain=1"]).all()


def test_the_metric_term_is_part_of_the_objective_only_with_a_judge(done):
    ends = done[3]
    with_judge = ends["setting"].str.startswith("metric=")
    judged, others = ends[with_judge], ends[~with_judge]
    assert np.allclose(judged["loss_metric"], (judged["score"] - 1) ** 2, atol=1e-5)
    assert judged["loss_metric"].max() > 0.1
    assert (others["loss_metric"] == 0).all()


def test_finished_descents_are_read_again_and_not_computed(done, monkeypatch):
    job, pairs, path, _ = done
    monkeypatch.setattr(experiments, "descend", None)
    again, _ = job.descents(pairs)
    pd.testing.assert_frame_equal(again, path, check_dtype=False, rtol=1e-9)


def test_another_sample_in_a_clip_is_another_descent(done, monkeypatch):
    job, pairs, _, _ = done
    other = [UtterancePair(pair.id, pair.clean, pair.noisy * np.float32(1.01)) for pair in pairs]

    def fail(*_):
        raise RuntimeError("computed")

    monkeypatch.setattr(experiments, "descend", fail)
    with pytest.raises(RuntimeError, match="computed"):
        job.descents(other)


def test_trained_epochs_lie_on_the_plane_with_the_published_weights(done):
    job, _, path, _ = done
    plane = job.plane(path)
    network = plane[plane["kind"] == "network"].sort_values("order")
    assert network["objective"].tolist() == pytest.approx([0.1 + 0.09 + 0.1, 0.05 + 0.045 + 0.05])
    descent = plane[(plane["kind"] == "descent") & (plane["label"] == "published")].sort_values("order")
    published = path[(path["setting"] == "published") & (path["start"] == "noisy")]
    at_start = published.loc[published["iteration"] == 0, "loss_total"].mean()
    assert descent["objective"].iloc[0] == pytest.approx(at_start, rel=1e-4)


def test_every_figure_is_drawn_and_every_table_is_in_words(done):
    job, pairs, path, ends = done
    plane = job.plane(path)
    for plot, frame in (
        (plots.objective_descent, path),
        (plots.objective_doses, minima.dose_frame(ends)),
        (plots.objective_settings, minima.settings_frame(ends)),
        (plots.objective_plane, plane),
    ):
        figure = plot(frame)
        assert all(axis.has_data() for axis in figure.axes)
        plt.close(figure)
    assert len(words.descent_in_words(ends)) == 4
    assert f"mean of {len(pairs)} clips" in words.answer_in_words(ends)
    assert "descents had settled" in words.convergence_in_words(ends)[0]
    assert "at a gain of 1: " in words.doses_in_words(ends)[0]
    assert any("MP-SENet's objective" in line for line in words.settings_in_words(ends))
    assert "`published` ends at" in words.plane_in_words(plane)[1]


def test_the_stations_of_a_clip_are_written_as_sound_that_keeps_their_levels(done):
    job, pairs, path, _ = done
    clip, best = minima.typical_descent(path)
    stations = job.stations(pairs, clip, best)
    heard = {file.stem: soundfile.read(file)[0] for file in (job.folder / "audio").glob("*.flac")}
    assert len(heard) == len(stations.states) == 5
    levels = {name: np.sqrt(np.mean(wave**2)) for name, wave in heard.items()}
    quiet, clean = (stations.states[name].waveform.square().mean().sqrt() for name in ("minimum", "clean"))
    assert levels["published_minimum"] / levels["clean"] == pytest.approx((quiet / clean).item(), rel=0.01)
    assert "<audio" in stations.players().data


def test_where_pesq_failed_on_every_clip_the_first_one_is_shown():
    columns = {"setting": "published", "start": "noisy", "clip": "a", "pesq": np.nan}
    path = pd.DataFrame([columns | {"iteration": iteration} for iteration in (0, 5)])
    assert minima.typical_descent(path) == ("a", 5)


def _evidence(job):
    return Evidence(None, (job.root,))


def test_effects_are_over_clips_and_without_seeds(done):
    run = _evidence(done[0])
    ends = done[3]
    fall = evidence.descent_fall(run, "published", "clean")
    rows = ends[(ends["part"] == "descent") & (ends["setting"] == "published") & (ends["start"] == "clean")]
    assert fall.estimate == pytest.approx((rows["pesq_peak"] - rows["pesq"]).mean(), abs=1e-5)
    assert (fall.n, fall.unit, fall.by_seed) == (2, "clips", ())
    assert evidence.objective_at_peak(run, "published").scale == "share"
    assert evidence.minimum_difference(run, "normalised", "gain=1").estimate == pytest.approx(0, abs=0.2)
    assert evidence.starts_meet(run, "published", 10.0).estimate == 1
    assert evidence.metric_effect(run, 0.05, "estimated").n == 2
    assert evidence.metric_effect(run, 1.0, "reanalysed").n == 2
    assert evidence.minimum_against_noisy(run, "normalised").n == 2


def test_a_run_without_discriminators_or_setting_says_so(done):
    run = _evidence(done[0])
    with pytest.raises(MissingEvidenceError, match="gain=3"):
        evidence.minimum_difference(run, "normalised", "gain=3")
    with pytest.raises(MissingEvidenceError, match="discriminator"):
        evidence.metric_effect(run, 0.7, "estimated")


def test_the_largest_harmless_weight_needs_all_smaller_ones_harmless():
    rows = [("normalised", np.nan, 4.6), ("time_weight=0.01", 0.01, 4.58), ("time_weight=0.02", 0.02, 4.3)]
    rows.append(("time_weight=0.05", 0.05, 4.59))
    table = pd.DataFrame(rows, columns=["setting", "value", "pesq"]).assign(
        clip="a", part="sweep", start="noisy"
    )
    assert minima.largest_harmless_weight(table) == 0.01
