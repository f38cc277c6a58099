import pandas as pd
import pytest

from cmgan.study.training.early_stopping import replay, stops


def _epochs(loss, pesq=None, **columns):
    return pd.DataFrame(
        {"epoch": range(1, len(loss) + 1), "loss_total": loss, "pesq": pesq or [1.0] * len(loss)} | columns
    )


def test_training_stops_after_patience_epochs_without_a_lower_loss():
    stop = stops(_epochs([3.0, 2.0, 2.5, 2.4, 1.0]), "loss", 2)
    assert (stop.last_epoch, stop.best_epoch, stop.stopped) == (4, 2, True)


def test_a_loss_that_goes_on_falling_never_stops_training():
    stop = stops(_epochs([3.0, 2.0, 1.0, 0.5]), "loss", 1)
    assert (stop.last_epoch, stop.best_epoch, stop.stopped) == (4, 4, False)


def test_stopping_on_pesq_waits_for_a_higher_score():
    stop = stops(_epochs([3.0, 2.0, 1.0, 0.5], [1.0, 3.0, 2.0, 2.5]), "pesq", 2)
    assert (stop.last_epoch, stop.best_epoch, stop.stopped) == (4, 2, False)
    assert stops(_epochs([1.0] * 5, [1.0, 3.0, 2.0, 2.5, 4.0]), "pesq", 2).stopped


def test_an_improvement_below_the_trainers_minimum_does_not_count():
    assert stops(_epochs([1.0, 0.99995, 0.9999, 0.5]), "loss", 2).last_epoch == 3


def test_a_missing_value_is_no_improvement():
    assert stops(_epochs([1.0, float("nan"), float("nan"), 0.5]), "loss", 2).last_epoch == 3


def test_patience_below_one_is_refused():
    with pytest.raises(ValueError, match="patience is 0"):
        stops(_epochs([1.0]), "loss", 0)


def test_the_replay_sets_pesq_at_the_stop_and_at_the_best_checkpoint_against_the_end():
    run = _epochs([3.0, 2.0, 2.5, 2.4, 1.0], [1.0, 3.0, 2.5, 2.2, 2.0], arm="published", seed=0)
    table = replay(run, patiences=(2,)).set_index("criterion")
    assert table.loc["loss", ["last_epoch", "best_epoch"]].tolist() == [4, 2]
    assert table.loc["loss", ["pesq_stopped", "pesq_best", "pesq_end"]].tolist() == [2.2, 3.0, 2.0]
    assert table.loc["loss", "gain"] == pytest.approx(0.2)
    assert table.loc["pesq", "stopped"]
