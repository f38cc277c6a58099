"""Players on the report's page: what a run kept of one utterance, as it is and at the level of the clean speech."""

import base64
import io

import numpy as np
import pytest
import soundfile

from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.report.listen import players, players_in_words
from cmgan.study.report.page import write_report
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run
from tests.speech_like import noisy_copy, speech_like


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run that kept the sound of 03_objective: a minimum at half the clean level."""
    root = simulate_run(tmp_path_factory.mktemp("results") / "run", epochs=2)
    rng = np.random.default_rng(0)
    clean = speech_like(rng, 2.0)
    audio = root / "objective" / "audio"
    audio.mkdir(parents=True)
    for name, wave in (
        ("clean", clean),
        ("noisy", noisy_copy(rng, clean)),
        ("published_minimum", 0.5 * clean),
    ):
        soundfile.write(audio / f"{name}.flac", wave, 16000)
    return load_run(root)


def _heard(source):
    return soundfile.read(io.BytesIO(base64.b64decode(source.removeprefix("data:audio/flac;base64,"))))[0]


def test_a_quiet_minimum_is_played_as_it_is_and_at_the_clean_level(results):
    noisy, clean, minimum = players(results)
    assert (noisy.levelled, clean.levelled) == ("", "")
    assert "gain 0.50 (−6.0 dB)" in minimum.measures
    assert np.allclose(_heard(minimum.source), 0.5 * _heard(clean.source), atol=1e-3)
    assert np.allclose(_heard(minimum.levelled), _heard(clean.source), atol=1e-3)


def test_the_page_says_how_much_of_it_is_sound(results):
    page = write_report(results, compare(results), judge_run(results), []).read_text()
    shown = players(results)
    assert page.count("<audio") == 4
    assert all(one.source in page and one.measures in page for one in shown)
    assert "Sound takes 0." in page


def test_a_run_kept_without_recordings_says_so_in_one_line(tmp_path):
    results = load_run(simulate_run(tmp_path / "run", epochs=2))
    assert players(results) == []
    (line,) = players_in_words([])
    assert line.startswith("Kept without recordings")
