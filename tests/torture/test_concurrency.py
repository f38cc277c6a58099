"""Two at work in one folder, a folder that was moved or copied, a clock set back: refused in a line, or right."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from cmgan.cli import app
from cmgan.models.tscnet import TSCNet
from cmgan.study.kept import run as keep
from cmgan.study.pipeline import run as pipeline
from cmgan.study.pipeline.snakemake_run import make
from cmgan.study.report import redraw
from cmgan.study.run_access import whole_run
from cmgan.training import loop
from data_prep.audio import write_audio
from data_prep.whole_files import whole_file
from tests.commands.called import called
from tests.speech_like import noisy_copy, speech_like
from tests.tiny_training import quietly, tiny_run
from tests.torture.test_killing import BYTES

ROOT = Path(__file__).parents[2]


def test_a_second_training_in_one_folder_is_refused_and_the_first_ends_as_if_alone(
    manifest, tmp_path, monkeypatch, seen
):
    run = tiny_run(manifest, tmp_path / "run")
    alone = quietly(dataclasses.replace(run, output=tmp_path / "alone"))
    real_step, refused = loop.training_step, []

    def step(*given):
        for other in (run, dataclasses.replace(run, seed=2)):
            with pytest.raises(BlockingIOError, match="being trained by another process: wait") as refusal:
                quietly(other)
            refused.append(str(refusal.value))
        return real_step(*given)

    monkeypatch.setattr(loop, "training_step", step)
    quietly(run)
    assert len(refused) == 8
    for name in BYTES:
        assert (run.output / name).read_bytes() == (alone / name).read_bytes(), name
    assert {path.name for path in run.output.iterdir()} == {path.name for path in alone.iterdir()}
    seen("a second `cmgan train` into one folder", f"{refused[0]}; the first undisturbed")


@pytest.mark.parametrize(
    ("command", "words"),
    [("make study", {}), ("make figures", {"redraw": True}), ("make study SHARE=1/2", {"share": "1/2"})],
)
def test_a_second_command_on_a_run_at_work_is_refused(tmp_path, monkeypatch, seen, command, words):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "smoke"
    with whole_run(folder):
        before = sorted(folder.rglob("*"))
        with pytest.raises(SystemExit, match=r"error: .*smoke is being written by a.* run: wait") as refusal:
            pipeline.main("smoke", **words)
        assert sorted(folder.rglob("*")) == before
    assert "\n" not in str(refusal.value)
    seen(f"`{command}` during `make study` of the same profile", refusal.value)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("make figures RUN=results/smoke", [redraw.main]),
        ("make figures RUN=results/smoke STYLE=slides", [redraw.main, "--style", "slides"]),
        ("python -m cmgan.study.kept.run results/smoke FOLDER", [keep.main, "kept"]),
    ],
)
def test_nothing_is_drawn_or_kept_of_a_run_at_work(tmp_path, monkeypatch, seen, command, words):
    monkeypatch.chdir(tmp_path)
    folder = Path("results", "smoke")
    (folder / "report" / "figures").mkdir(parents=True)
    (folder / "report" / "figures" / "failure_doses.csv").write_text("half of a study")
    main, *options = words
    with whole_run(folder):
        before = sorted(folder.rglob("*"))
        result = called(main, folder, *options)
        assert sorted(folder.rglob("*")) == before
    refusal = str(result.exception)
    assert refusal == "error: results/smoke is being written by another run: wait for it"
    seen(f"`{command}` during `make study` of that run", refusal)


def test_a_kept_run_is_drawn_without_a_trace_of_a_lock(tmp_path, capsys):
    (tmp_path / "report" / "figures").mkdir(parents=True)
    kept = ROOT / "results" / "reference" / "report" / "figures" / "failure_doses.csv"
    shutil.copy(kept, tmp_path / "report" / "figures")
    redraw.main(tmp_path)
    assert "Drawn again: report/figures/failure_doses" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def _waiting_for_a_lock():
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return {int(words[5]) for words in locks if words[1] == "->"}


def _enhanced(folder, number):
    return ["enhance", folder / "generator.pt", folder / "noisy" / f"{number}.wav", folder / "out.wav"]


def _evaluated(folder, number):
    pair = (folder / side / f"{number}.wav" for side in ("clean", "noisy"))
    return ["evaluate", *pair, "--workers", 0, "--csv", folder / "out.csv"]


@pytest.mark.parametrize(("command", "words"), [("enhance", _enhanced), ("evaluate --csv", _evaluated)])
def test_of_two_commands_that_write_one_file_at_once_each_writes_it_whole(
    tmp_path, rng, seen, command, words
):
    torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), tmp_path / "generator.pt")
    for number in (0, 1):
        clean = speech_like(rng, 0.6)
        write_audio(tmp_path / "clean" / f"{number}.wav", clean)
        write_audio(tmp_path / "noisy" / f"{number}.wav", np.clip(noisy_copy(rng, clean), -0.99, 0.99))
    target, alone = Path(words(tmp_path, 0)[-1]), []
    given = [words(tmp_path, number) for number in (0, 1)]
    for one in given:
        assert called(app, *one).exit_code == 0
        alone.append(target.read_bytes())
    assert alone[0] != alone[1]
    names = sorted(path.name for path in tmp_path.iterdir())
    target.unlink()
    # Another number of threads would round otherwise.
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    # Held until both are about to write, so that they do so at once.
    with whole_file(target) as partial:
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "cmgan", *map(str, one)],
                cwd=ROOT,
                env=threads,
                stdout=subprocess.DEVNULL,
            )
            for one in given
        ]
        while {one.pid for one in both} - _waiting_for_a_lock():
            assert all(one.poll() is None for one in both)
            time.sleep(0.02)
        partial.write_bytes(b"of a third")
    assert [one.wait() for one in both] == [0, 0]
    assert target.read_bytes() in alone
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    seen(f"two `cmgan {command}` to one file at once", "one after the other: the file of the last, whole")


def test_a_second_preparation_in_one_folder_is_refused_and_the_first_ends_as_if_alone(tmp_path, seen):
    def started(folder, seed):
        words = ["--output", folder, "--seed", seed, "--train", 6, "--validation", 1, "--test", 1]
        return subprocess.Popen(
            [sys.executable, "-m", "data_prep", *map(str, words)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert started(tmp_path / "alone", 0).wait() == 0
    first = started(tmp_path / "data", 0)
    while not list((tmp_path / "data").glob("clean/*.wav")):
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)
    second = started(tmp_path / "data", 1)
    refusal = second.communicate()[1].strip()
    assert second.returncode == 1
    assert refusal == f"error: {tmp_path / 'data'} is being written by another process: " + (
        "wait for it, or give another folder"
    )
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    for path in (path for path in (tmp_path / "alone").rglob("*") if path.is_file()):
        there = tmp_path / "data" / path.relative_to(tmp_path / "alone")
        assert there.read_bytes() == path.read_bytes()
    assert not (tmp_path / "data" / ".lock").exists()
    seen("a second `data_prep` into one folder", f"{refusal}; the first undisturbed")


# The last one is what a training is: it is made from a file, and takes its time.
SNAKEFILE = """
rule all:
    input: "report.html"

rule first:
    output: "data/manifest.csv"
    shell: "echo made >> first.log; echo 1 > {output}"

rule second:
    input: "data/manifest.csv"
    output: "generator.pt"
    shell: "echo made >> second.log; cat {input} > {output}; CLOCK_SET_BACK"

rule third:
    input: "generator.pt"
    output: "report.html"
    shell: "echo made >> third.log; cat {input} > {output}"
"""
SET_BACK = (
    "touch -d '+1 hour' data/manifest.csv; "
    "python -c 'from pathlib import Path; from cmgan.study.run_access import date_now; date_now(Path())'"
)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "one" / "notebooks").mkdir(parents=True)
    (tmp_path / "one" / "results" / "run").mkdir(parents=True)
    (tmp_path / "one" / "results" / "run" / "profile.yaml").write_text("run: tried\n")
    return tmp_path / "one"


def _make(checkout, targets=(), clock="true"):
    (checkout / "notebooks" / "Snakefile").write_text(SNAKEFILE.replace("CLOCK_SET_BACK", clock))
    return make(list(targets), checkout, checkout / "results" / "run", ["--cores", "1"])


def _times_made(folder):
    return {path.stem: path.read_text().count("made") for path in sorted(folder.glob("*.log"))}


@pytest.mark.parametrize("preserve", [True, False], ids=["with its times", "without its times"])
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "half finished"])
def test_a_run_moved_to_another_checkout_goes_on_from_there(checkout, tmp_path, seen, preserve, finished):
    _make(checkout, () if finished else ["generator.pt"])
    other = tmp_path / "other"
    shutil.copytree(checkout, other, copy_function=shutil.copy2 if preserve else shutil.copyfile)
    if not preserve:
        # A copy writes files in any order: here what was made first is the newest.
        for age, name in enumerate(("data/manifest.csv", "generator.pt", "report.html")):
            if (path := other / "results" / "run" / name).exists():
                os.utime(path, (time.time() - 10 * age, time.time() - 10 * age))
    shutil.rmtree(checkout)
    assert _make(other) == (0 if finished else 1)
    folder = other / "results" / "run"
    assert _times_made(folder) == {"first": 1, "second": 1, "third": 1}
    assert (folder / "report.html").read_text() == "1\n"
    seen(
        f"a {'finished' if finished else 'half finished'} run moved to another checkout, "
        f"{'with the times of its files' if preserve else 'its files dated in another order'}",
        "nothing made again" + ("" if finished else ", what was missing made"),
    )


def test_a_clock_set_back_between_two_calls_costs_nothing(checkout, capsys, seen):
    _make(checkout, ["generator.pt"])
    folder = checkout / "results" / "run"
    for later, name in ((3600, "data/manifest.csv"), (7200, "generator.pt")):
        os.utime(folder / name, (time.time() + later, time.time() + later))
    assert _make(checkout) == 1
    told = next(line for line in capsys.readouterr().out.splitlines() if "future" in line)
    assert _times_made(folder) == {"first": 1, "second": 1, "third": 1}
    assert _make(checkout) == 0
    assert max(path.stat().st_mtime for path in folder.iterdir()) <= time.time()
    seen("the clock set back between two calls of `make study`", f"{told}; only what was missing made")


def test_a_clock_set_back_while_a_job_is_at_work_does_not_cost_what_it_makes(checkout, seen):
    assert _make(checkout, clock=SET_BACK) == 3
    assert _make(checkout, clock=SET_BACK) == 0
    assert _times_made(checkout / "results" / "run") == {"first": 1, "second": 1, "third": 1}
    seen("the clock set back while a job of `make study` is at work", "the job counts, nothing is made again")
