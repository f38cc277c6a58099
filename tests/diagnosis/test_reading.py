"""Reading training logs in every format that people have, and training code without running it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmgan.diagnosis.model_code import code_findings
from cmgan.diagnosis.quantities import quantity_of
from cmgan.diagnosis.reading import read_runs
from cmgan.diagnosis.text_log import read_text
from tests.simulated_run import simulate_run

PUBLIC_CODE = """
import torch
raise SystemExit("this file must never be executed")
def batch_pesq(clean, noisy):
    scores = np.array(Parallel(n_jobs=-1)(delayed(pesq_loss)(c, n) for c, n in zip(clean, noisy)))
    if -1 in scores:
        return None
    return torch.FloatTensor((scores - 1) / 3.5)
def wss(clean, processed):
    return clean / 32768
class Trainer:
    def forward_generator_step(self, clean, noisy):
        c = torch.sqrt(noisy.size(-1) / torch.sum((noisy**2.0), dim=-1))
        noisy, clean = torch.transpose(noisy * c, 0, 1), torch.transpose(clean * c, 0, 1)
        return {"est_audio": self.model(noisy), NORMALISED}
    def loss(self, outputs):
        return torch.mean(torch.abs(outputs["est_audio"] - outputs["clean"]))
    def train_step(self, batch):
        clean, noisy = batch[0].to(self.gpu), batch[1].to(self.gpu)
        outputs = self.forward_generator_step(clean, noisy)
        PUBLISHED
        return self.loss(outputs)
loader = DataLoader(train, sampler=DistributedSampler(train))
"""
PUBLISHED = PUBLIC_CODE.replace("NORMALISED", '"est_mag": 0').replace("PUBLISHED", 'outputs["clean"] = clean')
NORMALISED = PUBLIC_CODE.replace("NORMALISED", '"clean": clean').replace("PUBLISHED", "pass")


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("loss", "loss"),
        ("train_loss", "loss"),
        ("Train/gen_loss", "loss"),
        ("trainLoss", "loss"),
        ("test_gen_loss", "validation_loss"),
        ("val loss", "validation_loss"),
        ("disc_loss", "disc_loss"),
        ("Discriminator loss", "disc_loss"),
        ("test_disc_loss", "validation_disc_loss"),
        ("time_loss", "time_loss"),
        ("val_pesq", "pesq"),
        ("PESQ", "pesq"),
        ("best_pesq", ""),
        ("best_val_loss", ""),
        ("loss_mag", ""),
        ("Epoch", "epoch"),
        ("global_step", "step"),
        ("learning_rate", ""),
    ],
)
def test_names_are_understood_as_people_write_them(name, quantity):
    assert quantity_of(name) == quantity


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
    steps = pd.DataFrame(
        {
            "epoch": [0, 0, 1],
            "step": [500, 1000, 500],
            "loss": [0.2, 0.1, 0.1],
            "disc_loss": [0.0, 0.01, 0.02],
        }
    )
    epochs = pd.DataFrame(
        {"Epoch": [0, 1], "Train Loss": [0.15, 0.1], "Test Loss": [0.11, 0.12], "PESQ": [2, 2.5]}
    )
    steps.to_csv(tmp_path / "training_step_log.csv", index=False)
    epochs.to_csv(tmp_path / "training_epoch_log.csv", index=False)
    (run,) = read_runs([tmp_path / "training_step_log.csv", tmp_path / "training_epoch_log.csv"])
    assert len(run.steps) == 3
    assert run.epochs["validation_loss"].tolist() == [0.11, 0.12]
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


def test_published_code_shows_its_faults_with_their_lines_and_is_not_executed(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(PUBLISHED)
    found = {finding.claim: finding for finding in code_findings(path)}
    assert set(found) == {"C12", "C04", "C13", "C17"}
    lines = PUBLISHED.splitlines()
    assert lines[int(found["C12"].place.rpartition(":")[2]) - 1].strip().startswith("clean, noisy = batch[0]")
    assert lines[int(found["C04"].place.rpartition(":")[2]) - 1].strip() == "return None"


def test_a_target_that_comes_out_of_the_normalising_function_is_left_alone(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(NORMALISED)
    assert "C12" not in {finding.claim for finding in code_findings(path)}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("clean * c", False),
        ("(clean * c)[:, :length]", False),
        ("clean[:, :length]", True),
        ("clean.squeeze(1)", True),
        ("normalise(clean)", False),
    ],
)
def test_the_clean_signal_is_followed_to_the_loss(target, expected, tmp_path):
    path = tmp_path / "train.py"
    path.write_text(
        "def step(clean, noisy, c, length):\n"
        "    est_audio = model(noisy * c)\n"
        f"    return F.l1_loss(est_audio, {target})\n"
    )
    assert any(finding.claim == "C12" for finding in code_findings(path)) == expected


def test_labels_repeated_over_the_batch_are_noted(tmp_path):
    path = tmp_path / "discriminator.py"
    path.write_text("def batch_pesq(scores):\n    return FloatTensor([np.mean(scores)] * len(scores))\n")
    assert [finding.claim for finding in code_findings(path)] == ["C05"]


def test_code_that_is_no_python_is_named(tmp_path):
    (tmp_path / "train.py").write_text("def step(:\n")
    with pytest.raises(ValueError, match=r"train\.py: not Python"):
        code_findings(tmp_path / "train.py")


def test_numbers_that_are_not_finite_count_as_unknown(tmp_path):
    pd.DataFrame({"epoch": [1, 2], "step": [1, 2], "loss": [np.inf, 1.0]}).to_csv(
        tmp_path / "a.csv", index=False
    )
    assert read_runs([tmp_path / "a.csv"])[0].steps["loss"].isna().tolist() == [True, False]
