"""The kept minima: what stands in their summaries is what their tables say."""

from pathlib import Path

import pandas as pd
import pytest

from cmgan.study.kept.minima import keep_minima, summary
from cmgan.study.objective.words import clip_in_words

ROOT = Path(__file__).parents[3]
KEPT = sorted(path.parents[1] for path in (ROOT / "results" / "objective").glob("*/objective/minima.csv"))


def test_two_corpora_are_kept():
    assert [root.name for root in KEPT] == ["synthetic", "voicebank"]


@pytest.mark.parametrize("root", KEPT, ids=lambda root: root.name)
def test_a_kept_summary_is_computed_from_its_tables(root):
    assert (root / "SUMMARY.md").read_text() == summary(root)


@pytest.mark.parametrize("root", KEPT, ids=lambda root: root.name)
def test_nothing_kept_names_a_place_or_holds_sound(root):
    files = [file for file in root.rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in (".wav", ".flac", ".pt")]
    manifest = pd.read_csv(root / "data" / "manifest.csv")
    assert not manifest["clean_path"].str.startswith("/").any()


def test_what_is_kept_of_a_run_is_what_its_summary_is_made_of(tmp_path):
    keep_minima(KEPT[0], tmp_path)
    assert summary(tmp_path).splitlines()[1:] == summary(KEPT[0]).splitlines()[1:]
    assert (tmp_path / "data" / "manifest.csv").read_text() == (KEPT[0] / "data" / "manifest.csv").read_text()


def test_a_run_without_minima_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="run 03_objective first"):
        keep_minima(tmp_path, tmp_path / "kept")


def test_a_clip_is_told_by_its_scores_and_by_what_cancels_in_its_waveform():
    views = {
        "written": [0.0, 0.0],
        "heard": [-6.0, -6.0],
        "pesq": [2.25],
        "gain": [0.3],
        "inconsistency": [0.4],
    }
    rows = pd.DataFrame([("minimum", view, value) for view, values in views.items() for value in values])
    rows.columns = ["arm", "view", "value"]
    told = clip_in_words(pd.concat([rows.assign(arm="clean"), rows]))
    assert told == [
        "minimum: PESQ 2.25, gain 0.30, inconsistency 0.40; the spectrum of its waveform lies 6.0 dB below the "
        "one that is written."
    ]
