import json
from pathlib import Path

import pytest

from cmgan.recipe import recorded_budget
from cmgan.study.profile import parse_override, profile_from, read_settings

PROFILES = Path(__file__).parents[2] / "notebooks" / "profiles"


@pytest.mark.parametrize("name", ["smoke", "laptop", "study", "paper"])
def test_profiles_are_valid_those_on_recorded_speech_with_a_corpus(name):
    corpus = {"corpus_path": "speech"} if name in ("study", "paper") else {}
    assert profile_from(read_settings(name, PROFILES, corpus)).run == name


def test_only_a_corpus_that_can_be_downloaded_needs_no_folder():
    assert profile_from(read_settings("paper", PROFILES, {})).corpus_path == ""
    with pytest.raises(ValueError, match="CORPUS="):
        profile_from(read_settings("study", PROFILES, {}))


def test_overrides_replace_settings_with_yaml_values():
    overrides = dict(parse_override(text) for text in ("seeds=[3]", "generator_learning_rate=1.0e-3"))
    profile = profile_from(read_settings("laptop", PROFILES, overrides))
    assert profile.seeds == [3]
    assert profile.budget().generator_learning_rate == 1e-3


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("epoch=3", "unknown setting epoch"),
        ("arms=[published, fixed]", "unknown arm 'fixed'"),
        ("generator_learning_rate=5e-4", r"5\.0e-4"),
        ("channels=18", "multiple of 4"),
        ("corpus=librispeech", "synthetic, folder, voicebank"),
        ("seeds=[]", "seeds"),
        ("run=trial epochs=3", "names a folder"),
        ("seeds=[0", "not a plain YAML value"),
        ("seeds=!!python/object/apply:os.system [id]", "not a plain YAML value"),
        ("seeds=[a]", "'a': use a value of type int"),
        ("seeds=[-1]", "use at least 0"),
        ("objective_iterations=9", "use at least 10"),
        ("seeds=[0, 0]", "name each once"),
        ("seeds=3", r"use a list, such as \[0,1\]"),
        ("arms=[[published]]", "use a value of type str"),
        ("branches=[3]", "use a value of type str"),
        ("objective_gains=[.nan]", "use a finite number"),
    ],
)
def test_a_bad_override_is_refused_in_one_line_that_says_what_to_use(override, named):
    with pytest.raises(ValueError, match=named) as caught:
        profile_from(read_settings("laptop", PROFILES, dict([parse_override(override)])))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "smoke", "- run", "run: [", "run: !!python/name:os.system"])
def test_a_profile_that_holds_no_settings_is_refused_by_name(tmp_path, content):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"mine\.yaml: ") as caught:
        read_settings("mine", tmp_path, {})
    assert "\n" not in str(caught.value)


def test_an_unknown_profile_lists_the_profiles():
    with pytest.raises(
        ValueError, match=r"unknown profile 'desktop': use one of laptop, paper, smoke, study"
    ):
        read_settings("desktop", PROFILES, {})


@pytest.mark.parametrize("run", ["reference", "confirmation", "longer", "more_seeds"])
def test_the_budget_of_a_kept_training_can_be_read(run):
    path = next((PROFILES.parents[1] / "results" / run / "training").glob("*/config.json"))
    config = json.loads(path.read_text())
    assert recorded_budget(config).epochs == config["budget"]["epochs"]
    # Its name until the profile's became that of both.
    earlier = {"budget": {"validation_utterances": 5}}
    assert recorded_budget(earlier).validated_utterances == 5


def test_an_override_without_a_value_is_refused():
    with pytest.raises(ValueError, match="setting=value"):
        parse_override("epochs")
