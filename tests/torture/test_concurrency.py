"""Two at work in one folder, a folder that was moved or copied, a clock set back: refused in a line, or right."""

import dataclasses
import os
import shutil
import time
from pathlib import Path

import pytest

from cmgan.recipe import Budget, Recipe
from cmgan.study.pipeline import run as pipeline
from cmgan.study.pipeline.snakemake_run import make
from cmgan.training import loop
from cmgan.training.loop import TrainingRun, train
from tests.torture.test_killing import BYTES

ROOT = Path(__file__).parents[2]
BUDGET = Budget(
    channels=4, blocks=1, discriminator_width=4, epochs=2, batch_size=2, crop_seconds=0.5, threads=1
)


def test_a_second_training_in_one_folder_is_refused_and_the_first_ends_as_if_alone(
    manifest, tmp_path, monkeypatch, seen
):
    run = TrainingRun(manifest, tmp_path / "run", Recipe(), BUDGET, 1, "tried")
    alone = train(dataclasses.replace(run, output=tmp_path / "alone"), lambda _: None)
    real_step, refused = loop.training_step, []

    def step(*given):
        for other in (run, dataclasses.replace(run, seed=2)):
            with pytest.raises(ValueError, match="being trained by another process: wait") as refusal:
                train(other, lambda _: None)
            refused.append(str(refusal.value))
        return real_step(*given)

    monkeypatch.setattr(loop, "training_step", step)
    train(run, lambda _: None)
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
    with pipeline.whole_run(folder):
        before = sorted(folder.rglob("*"))
        with pytest.raises(SystemExit, match=r"error: .*smoke is being written by a.* run: wait") as refusal:
            pipeline.main("smoke", **words)
        assert sorted(folder.rglob("*")) == before
    assert "\n" not in str(refusal.value)
    seen(f"`{command}` during `make study` of the same profile", refusal.value)


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
    "python -c 'from pathlib import Path; from cmgan.study.pipeline.file_times import date_now; date_now(Path())'"
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
