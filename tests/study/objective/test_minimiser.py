import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan.dataset import UtterancePair
from cmgan.losses import generator_losses
from cmgan.metrics.pesq import PesqWorkers
from cmgan.recipe import LossWeights, Recipe
from cmgan.signal import compressed_spectrum, waveform_of
from cmgan.study.objective.clips import clips_of
from cmgan.study.objective.minima import best_scaling, has_settled, settling_from
from cmgan.study.objective.minimiser import measure, minimise, step_sizes, watched_iterations
from tests.speech_like import speech_pair

WEIGHTS = LossWeights(metric=0.0)
PUBLISHED = Recipe(time_target="published", loss_weights=WEIGHTS)
NORMALISED = Recipe(time_target="normalised", loss_weights=WEIGHTS)


def _pair(seed=0, samples=8000):
    return speech_pair(f"clip{seed}", samples / 16_000, seed, 0.1, 0.005)


@pytest.fixture(scope="module")
def clips():
    return clips_of([_pair(0), _pair(1)])


def _rows(clips, recipe, start, iterations=60):
    shots = minimise(clips, recipe, start, iterations, (0, settling_from(iterations)))
    with PesqWorkers(0) as scorer:
        return measure(clips, recipe, shots, scorer)


def test_the_objective_is_that_of_the_training_losses(clips):
    estimate = compressed_spectrum(clips.noisy).contiguous()
    (row, _) = [row for row in _rows(clips, PUBLISHED, "noisy") if row["iteration"] == 0]
    one = slice(0, 1)
    losses = generator_losses(
        estimate[one],
        compressed_spectrum(clips.clean)[one],
        waveform_of(estimate[one], length=clips.clean.shape[-1]),
        (clips.clean / clips.gains)[one],
        None,
        WEIGHTS,
    )
    assert row["loss_total"] == pytest.approx(losses.total.item(), rel=1e-5)
    assert row["loss_time"] == pytest.approx(losses.time.item(), rel=1e-5)


def test_a_descent_lowers_the_objective_and_turns_the_published_estimate_down(clips):
    rows = _rows(clips, PUBLISHED, "clean", iterations=120)
    first = [row for row in rows if row["iteration"] == 0]
    last = [row for row in rows if row["iteration"] == 120]
    for before, after in zip(first, last, strict=True):
        assert after["loss_total"] < before["loss_total"]
        assert before["gain"] == pytest.approx(1, abs=1e-3)
        assert after["gain"] < 0.6


def test_the_normalised_objective_leaves_clean_speech_as_it_is(clips):
    last = [row for row in _rows(clips, NORMALISED, "clean", iterations=120) if row["iteration"] == 120]
    for row in last:
        assert row["gain"] == pytest.approx(1, abs=0.02)
        assert row["si_sdr"] > 20


def test_at_a_gain_of_1_both_targets_are_the_same(clips):
    plain = clips.with_gain(1.0)
    published, normalised = (_rows(plain, recipe, "noisy", 30) for recipe in (PUBLISHED, NORMALISED))
    assert [row["loss_total"] for row in published] == [row["loss_total"] for row in normalised]


def test_a_clip_goes_the_same_way_alone_and_in_a_batch(clips):
    together = minimise(clips, PUBLISHED, "noisy", 15)[-1].estimate[1]
    alone = minimise(clips.part(1), PUBLISHED, "noisy", 15)[-1].estimate[0]
    # Adam divides gradients by their size: rounding is carried on, but the way is the same.
    assert (together - alone).norm() / alone.norm() < 0.01


@settings(max_examples=15, deadline=None)
@given(st.floats(0.01, 100))
def test_the_files_level_does_not_matter_to_the_normalised_scale(factor):
    pair = _pair(3, 4000)
    scaled = UtterancePair("scaled", pair.clean * np.float32(factor), pair.noisy * np.float32(factor))
    one, other = clips_of([pair]), clips_of([scaled])
    torch.testing.assert_close(one.noisy, other.noisy, rtol=1e-4, atol=1e-5)
    assert other.gains.item() == pytest.approx(one.gains.item() / factor, rel=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.5, 40), st.floats(0.01, 2), st.floats(0.1, 3), st.floats(0.05, 1))
def test_the_closed_form_is_the_best_of_all_scalings(gain, time, power, level):
    weights = LossWeights(time=time, metric=0.0)

    def loss(a):
        return power * (1 - a**0.3) ** 2 + time * level * abs(a - 1 / gain)

    best, value = best_scaling(weights, power, level, gain)
    grid = np.linspace(0.005, 1.2, 4000)
    assert value == pytest.approx(loss(best), rel=1e-6)
    assert value <= loss(grid).min() + 1e-6
    assert 1 / gain <= best <= 1


def test_the_closed_form_is_the_loss_of_scaled_clean_speech(clips):
    one = clips.part(0)
    clean = compressed_spectrum(one.clean)
    power, level = clean.square().sum(1).mean().item(), one.clean.abs().mean().item()
    gain, value = best_scaling(WEIGHTS, power, level, one.gains.item())
    scaled = generator_losses(
        compressed_spectrum(gain * one.clean),
        clean,
        gain * one.clean,
        one.clean / one.gains,
        None,
        WEIGHTS,
    )
    assert value == pytest.approx(scaled.total.item(), rel=1e-4)


def test_without_a_gain_there_is_nothing_to_scale():
    assert best_scaling(WEIGHTS, 1.0, 0.5, 1.0) == (1.0, 0.0)


def test_a_descent_has_settled_when_its_last_quarter_changes_little():
    assert has_settled(0.101, 0.1, speech=1.0)
    assert not has_settled(0.11, 0.1, speech=1.0)
    assert has_settled(0.002, 0.0004, speech=1.0)  # of next to nothing


def test_step_sizes_rise_and_fall_and_watched_iterations_begin_and_end_the_way():
    sizes = step_sizes(100)
    assert len(sizes) == 100
    assert sizes.index(max(sizes)) == 20
    watched = watched_iterations(100)
    assert watched[0] == 0
    assert watched[-1] == 100
    assert settling_from(100) in watched


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        (UtterancePair("quiet", np.zeros(8000, np.float32), _pair().noisy), "quiet: the clip is silent"),
        (UtterancePair("short", _pair().clean[:2000], _pair().noisy[:2000]), "short: 0.12 s are too short"),
    ],
)
def test_a_clip_that_cannot_be_used_is_named_in_one_line(pair, named):
    with pytest.raises(ValueError, match=named) as caught:
        clips_of([pair])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gain", [0, -1, float("inf"), float("nan")])
def test_an_impossible_gain_is_refused(clips, gain):
    with pytest.raises(ValueError, match="gain is"):
        clips.with_gain(gain)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"weight of the time loss is -0\.1"):
        LossWeights(time=-0.1)
