import numpy as np
import pytest
from ipywidgets import Checkbox, Dropdown, HBox, SelectMultiple

from cmgan.study.comparison import listening
from cmgan.study.comparison.listening import Version, choose, page, recordings_of, to_play


def tone(level):
    return (level * np.sin(np.arange(4000) / 5)).astype(np.float32)


def test_every_arm_is_heard_between_noisy_and_clean_at_the_same_length(run):
    versions = recordings_of(run).versions(["published", "recommended"], 0, "u2")
    assert [one.title for one in versions] == ["noisy", "published, seed 0", "recommended, seed 0", "clean"]
    assert {len(one.waveform) for one in versions} == {9600}
    assert not np.array_equal(versions[1].waveform, versions[2].waveform)


def test_titles_tell_the_score_that_the_evaluation_found(run):
    recordings = recordings_of(run)
    assert recordings.versions(["recommended"], 1, "u2")[1].title == "recommended, seed 1, PESQ 1.23"
    assert recordings.versions(["recommended"], 1, "u3")[1].title == "recommended, seed 1, PESQ failed"


def test_an_arm_that_was_not_trained_with_the_seed_is_left_out(run):
    assert len(recordings_of(run).versions(["published", "recommended"], 1, "u2")) == 3


def test_a_run_without_networks_says_so_and_what_to_do(run):
    for network in run.glob("training/*/generator.pt"):
        network.unlink()
    with pytest.raises(FileNotFoundError, match=r"no networks to listen to .*: run make study"):
        recordings_of(run)


def test_at_the_same_level_only_the_level_changes():
    versions = [Version("quiet", tone(0.01)), Version("silent", tone(0)), Version("clean", tone(0.5))]
    matched = to_play(versions, same_level=True)
    np.testing.assert_allclose(matched[0].waveform, versions[2].waveform, atol=1e-6)
    assert not matched[1].waveform.any()


def test_one_factor_for_all_brings_a_clipping_player_within_full_scale():
    loud, clean = to_play([Version("loud", tone(2.0)), Version("clean", tone(0.5))], same_level=False)
    assert np.abs(loud.waveform).max() <= 1
    np.testing.assert_allclose(loud.waveform, 4 * clean.waveform, atol=1e-6)
    np.testing.assert_array_equal(to_play([clean], same_level=False)[0].waveform, clean.waveform)


def test_a_spectrogram_s_colours_follow_the_level_on_a_fixed_scale():
    loud, quiet = listening.decibels(tone(0.5)), listening.decibels(tone(0.05))
    np.testing.assert_allclose((loud - quiet)[10:30], 20, atol=0.5)
    images = [listening.spectrogram(level, loud.max()).axes[0].images[0] for level in (loud, quiet)]
    assert images[0].get_clim() == images[1].get_clim() == (-60, 0)
    assert [image.get_array().max() for image in images] == pytest.approx([0, -20], abs=0.1)


def test_the_page_has_a_player_and_a_described_picture_for_each_version_and_escapes_names():
    text = page([Version("<b>", tone(0.5)), Version("clean", tone(0.5))], same_level=False).data
    assert text.count("<audio") == text.count("alt='spectrogram: ") == 2
    assert "<b>" not in text
    assert text.count("&lt;b&gt;") == 2


class Shown:
    def __init__(self):
        self.pages = []

    def __call__(self, thing, **_options):
        if isinstance(thing, HBox):
            self.widgets = [thing.children[0], *thing.children[1].children]
        else:
            self.update(thing)
        return self

    def update(self, thing):
        self.pages.append(thing.data)

    def widget(self, kind, description):
        return next(w for w in self.widgets if isinstance(w, kind) and w.description == description)


@pytest.fixture
def shown(monkeypatch):
    shown = Shown()
    monkeypatch.setattr(listening, "display", shown)
    return shown


def test_without_a_choice_the_first_and_the_last_arm_are_shown_for_the_first_utterance(run, shown):
    choose(recordings_of(run), [], 0, "", same_level=False)
    assert shown.pages[0].count("<audio") == 4
    assert "published, seed 0" in shown.pages[0]


def test_every_widget_draws_the_page_again(run, shown):
    choose(recordings_of(run), ["recommended"], 0, "u2", same_level=False)
    shown.widget(Dropdown, "seed").value = 1
    shown.widget(Dropdown, "utterance").value = "u3"
    shown.widget(Checkbox, "same level").value = True
    shown.widget(SelectMultiple, "arms").value = ()
    assert len(set(shown.pages)) == 5
    assert [text.count("<audio") for text in shown.pages] == [3, 3, 3, 3, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arms": ["skip_56"]}, "arm skip_56 cannot be heard: use one of published, recommended"),
        ({"seed": 7}, "seed 7 cannot be heard: use one of 0, 1"),
        ({"utterance": "u9"}, "utterance u9 cannot be heard: use one of u2, u3"),
    ],
)
def test_a_choice_that_cannot_be_heard_is_refused_with_what_can(run, wrong, message):
    choice = {"arms": [], "seed": 0, "utterance": "", "same_level": False} | wrong
    with pytest.raises(ValueError, match=message):
        choose(recordings_of(run), **choice)
