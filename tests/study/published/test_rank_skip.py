"""Two real processes of which one skips: what is recorded, and that nothing hangs."""

import pandas as pd
import pytest

from cmgan.study.published.rank_skip import (
    SCENARIOS,
    STEPS,
    RankRecord,
    Reduction,
    rank_table,
    ranks_in_words,
    reduction_table,
    short_reason,
    try_scenarios,
)


@pytest.fixture(scope="module")
def outcome() -> pd.DataFrame:
    return rank_table(try_scenarios()).set_index("scenario")


@pytest.mark.parametrize("scenario", ["every_rank_steps", "failed_sample_masked"])
def test_processes_that_all_take_part_stay_together(outcome, scenario):
    rows = outcome.loc[scenario]
    assert rows["finished"].all()
    assert rows["parameters_equal"].all()
    assert rows["mispaired"].eq(0).all()
    assert rows["reductions"].nunique() == 1
    assert rows["steps"].eq(STEPS).all()


@pytest.mark.parametrize("scenario", ["one_rank_skips", "one_rank_skips_discriminator_only"])
def test_process_that_skips_leaves_the_other_waiting(outcome, scenario):
    rows = outcome.loc[scenario]
    assert not rows["finished"].all()
    assert rows.loc[~rows["finished"], "detail"].str.len().gt(0).all()


def test_process_that_died_has_not_finished_though_it_made_its_steps():
    died, ended = RankRecord(STEPS, [], "a"), RankRecord(STEPS, [], "a", ended=True)
    assert rank_table({"one_rank_skips": [died, ended]})["finished"].tolist() == [False, True]


def test_words_say_when_nothing_went_wrong(outcome):
    text = ranks_in_words(outcome.loc[["every_rank_steps"]].reset_index())
    assert "Every process steps: 2 of 2.**" in text
    assert "stopped" not in text
    assert "equal at the end of every scenario" in text


def test_errors_hold_no_paths_or_ports(outcome):
    details = outcome.loc[outcome["detail"] != "", "detail"]
    assert len(details)
    assert not details.str.contains(r"/|\]:\d").any()
    raised = (
        "[/build/gloo/pair.cc:81] Timed out waiting for [127.0.0.1]:1234 This is typically caused by\nmore"
    )
    assert short_reason(raised) == "Timed out waiting for"


def test_process_that_takes_too_long_is_ended_and_recorded():
    rows = rank_table(try_scenarios(SCENARIOS[:1], limit_s=0.05))
    assert rows["detail"].str.contains("hung").any()
    assert not rows["finished"].any()
    assert not rows["parameters_equal"].any()


def test_reductions_of_other_steps_are_counted():
    paired, mispaired = Reduction("discriminator", 1, 1.0), Reduction("discriminator", 3, 2.0)
    lagging = RankRecord(STEPS, [paired, mispaired], "a", ended=True)
    waiting = RankRecord(1, [paired], "b", "timed out", ended=True)
    table = rank_table({"one_rank_skips": [lagging, waiting]})
    assert table["mispaired"].tolist() == [1, 0]
    assert table["finished"].tolist() == [True, False]
    assert not table["parameters_equal"].any()
    text = ranks_in_words(table)
    assert "One skips its step: 1 of 2." in text
    assert "process 1 stopped (“timed out”), 1 of 3 gradient reductions" in text
    assert "differ at the end where one skips its step" in text
    assert reduction_table({"one_rank_skips": [lagging, waiting]})["other_step"].tolist() == [1, 2, 1]
