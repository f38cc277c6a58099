"""Reading training logs in every format that people have."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmgan.diagnosis.reading import quantity_of, read_runs, read_text
from tests.simulated_run import simulate_run

NAMES = {
    "loss": ["loss", "train_loss", "Train/gen_loss", "trainLoss"],
    "validation_loss": ["test_gen_loss", "val loss"],
    "disc_loss": ["disc_loss", "Discriminator loss"],
    "validation_disc_loss": ["test_disc_loss"],
    "time_loss": ["time_loss"],
    "pesq": ["val_pesq", "PESQ"],
    "gain": ["train/gain"],
    "epoch": ["Epoch"],
    "step": ["global_step"],
    "": ["best_pesq", "best_val_loss", "loss_mag", "val_time_loss", "learning_rate"],
}


@pytest.mark.parametrize(("quantity", "names"), NAMES.items())
def test_names_are_understood_as_people_write_them(quantity, names):
    assert {name: quantity_of(name) for name in names} == dict.fromkeys(names, quantity)


def test_lines_of_the_public_code_become_steps_and_lines_without_a_step_validation():
    log = read_text(
        [
            "INFO:root:GPU: 0, Epoch 3, Step 500, loss: 0.082057, disc_loss: 0.000664",
            "2025-11-29 10:00:01 INFO GPU: 1, Epoch 3, Step 500, loss: 0.1, disc_loss: 0.000000",
            "INFO:root:GPU: 0, Step 1000, loss: 0.221943, disc_loss: 1.136e-03",
            "INFO:root:GPU: 0, Generator loss: 0.108577, Discriminator loss: 0.006841",
            "Validation PESQ: 2.07",
            "[Early Stopping] No improvement for 3/15 epochs",
        ],
        "train.log",
    )
    assert log.steps["step"].tolist() == [500, 500, 1000]
    assert log.steps["epoch"].tolist() == [3, 3, 3]
    assert log.steps["rank"].tolist() == [0, 1, 0]
    assert log.steps["disc_loss"].tolist() == [0.000664, 0.0, 0.001136]
    row = log.epochs.set_index("epoch").loc[3]
    assert (row["validation_loss"], row["pesq"]) == (0.108577, 2.07)


def test_a_progress_bar_counts_steps():
    log = read_text(
        ["Epoch 3:  45%|####5     | 450/1000 [00:10<00:12, 43.2it/s, loss=0.123, disc_loss=0.01]"],
        "train.log",
    )
    assert log.steps[["epoch", "step", "loss", "disc_loss"]].iloc[0].tolist() == [3, 450, 0.123, 0.01]


@settings(deadline=None)
@given(
    st.lists(
        st.text(max_size=80).filter(lambda text: not set(text.lower()) & set(":=#0123456789")), max_size=8
    )
)
def test_other_lines_between_those_of_the_log_change_nothing(others):
    lines = [f"GPU: 0, Epoch 1, Step {step}, loss: 0.{step}, disc_loss: 0.01" for step in range(1, 9)]
    mixed = [line for index, line in enumerate(lines) for line in (line, *others[index : index + 1])]
    pd.testing.assert_frame_equal(read_text(mixed, "a").steps, read_text(lines, "b").steps)


def test_quoted_lists_of_losses_and_epoch_summaries_are_read():
    log = read_text(
        [
            "Pattern: `disc_loss = 0.000004, 0.000003, 0.000016` (nearly zero!)",
            "Epoch 5: test_loss = 0.101463 (BEST)",
            "Epoch 10: test_loss = 0.106 (worse)",
            "Epoch: 25, train_loss: 0.08, test_loss: 0.109, pesq: 2.1",
        ],
        "notes.txt",
    )
    assert log.steps["disc_loss"].tolist() == [4e-6, 3e-6, 1.6e-5]
    assert log.epochs["validation_loss"].tolist() == [0.101463, 0.106, 0.109]
    assert log.epochs["train_loss"].tolist()[-1] == 0.08


def test_a_step_table_and_an_epoch_table_given_together_are_one_run(tmp_path):
    files = [tmp_path / "training_step_log.csv", tmp_path / "training_epoch_log.csv"]
    files[0].write_text("epoch,step,loss,disc_loss\n0,500,0.2,0\n0,1000,0.1,0.01\n1,500,0.1,0.02\n")
    files[1].write_text("Epoch,Train Loss,Test Loss,PESQ\n0,0.15,0.11,2\n1,0.1,0.12,2.5\n")
    (run,) = read_runs(files)
    assert len(run.steps) == 3
    assert run.epochs["validation_loss"].tolist() == [0.11, 0.12]
    assert run.epochs["train_loss"].tolist() == [0.15, 0.1]
    assert run.epochs["pesq"].tolist() == [2, 2.5]
    assert read_runs([tmp_path])[0].name == tmp_path.name


def test_every_trained_arm_of_a_run_folder_is_a_run(tmp_path):
    root = simulate_run(tmp_path / "run", seeds=(0,), epochs=3, utterances=4)
    runs = read_runs([root])
    assert [run.name for run in runs] == ["normalised_target-0", "published-0"]
    assert {len(run.steps) for run in runs} == {60}
    assert {len(run.utterances) for run in runs} == {12}
    assert runs[1].steps["skipped"].sum() > 0
    assert runs[1].epochs["inconsistency"].notna().all()


def test_a_run_that_goes_on_is_read_too(tmp_path):
    root = simulate_run(tmp_path / "run", arms=("published",), seeds=(0,), epochs=3, utterances=4)
    folder = root / "training" / "published-0"
    (folder / "unfinished").mkdir()
    for name in ("steps.csv", "epochs.csv", "validation.csv"):
        (folder / name).rename(folder / "unfinished" / name)
    assert len(read_runs([folder])[0].steps) == 60


def test_tensorboard_events_are_read_as_steps_and_epochs(tmp_path):
    tensorboard = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    writer = tensorboard.EventFileWriter(str(tmp_path))
    for step in range(1, 9):
        values = [Summary.Value(tag="train/loss", simple_value=1 / step)]
        values.append(Summary.Value(tag="train/disc_loss", simple_value=float(step % 2)))
        if step % 4 == 0:
            values.append(Summary.Value(tag="val/pesq", simple_value=2 + step / 8))
        writer.add_event(Event(step=step, summary=Summary(value=values)))
    writer.close()
    (run,) = read_runs([tmp_path])
    assert run.steps["epoch"].tolist() == [0] * 4 + [1] * 4
    assert run.steps["disc_loss"].eq(0).sum() == 4
    assert run.epochs["pesq"].tolist() == [2.5, 3.0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.log", "nothing of interest\n", "no line of a training log"),
        ("empty.csv", "", "not a CSV table"),
        ("other.csv", "a,b\n1,2\n", "no column is known"),
        ("header.csv", "epoch,loss\n", "holds no rows"),
    ],
)
def test_what_is_no_log_is_named_with_what_to_do(name, content, said, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=said) as raised:
        read_runs([tmp_path / name])
    assert name in str(raised.value)


def test_missing_paths_and_folders_without_logs_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_runs([tmp_path / "absent"])
    with pytest.raises(ValueError, match="holds no training log"):
        read_runs([tmp_path])


def test_numbers_that_are_not_finite_count_as_unknown(tmp_path):
    (tmp_path / "a.csv").write_text("epoch,step,loss\n1,1,inf\n2,2,1.0\n")
    assert read_runs([tmp_path / "a.csv"])[0].steps["loss"].isna().tolist() == [True, False]
