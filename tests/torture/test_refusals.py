"""Folders that may not be written, settings and parameters of no use: refused in a line, and nothing is done."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from cmgan.cli import app
from cmgan.models.tscnet import TSCNet
from cmgan.settings import declared
from cmgan.study.notebook_parameters import NotebookParameters, job_parameters
from cmgan.study.pipeline.run import main as study
from cmgan.study.profile import profile_from, read_settings
from cmgan.study.report import redraw
from data_prep.__main__ import main as prepare
from tests.commands.called import called
from tests.tiny_corpus import write_tiny_corpus

ROOT = Path(__file__).parents[2]
REFUSED = "cannot be written (Read-only file system); give another place, or make this one writable"


@pytest.fixture
def read_only(tmp_path, rng):
    """A folder with networks, recordings, a kept run and a checkout, in which nothing can be written."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        torch.save(TSCNet(num_channel=4, num_blocks=1).state_dict(), folder / "generator.pt")
        write_tiny_corpus(folder / "corpus", rng)
        figures = Path("report", "figures")
        (folder / "kept" / figures).mkdir(parents=True)
        kept = ROOT / "results" / "reference" / figures / "failure_doses.csv"
        shutil.copy(kept, folder / "kept" / figures)
        shutil.copytree(ROOT / "notebooks", folder / "notebooks")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


COMMANDS = {
    "cmgan enhance": (app, "enhance generator.pt corpus/noisy0.wav out.wav"),
    "cmgan evaluate --csv": (app, "evaluate corpus/clean0.wav corpus/noisy0.wav --workers 0 --csv out.csv"),
    "cmgan train": (
        app,
        "train corpus/manifest.csv run --channels 4 --blocks 1 --batch-size 1 --crop-seconds 0.5",
    ),
    "cmgan export": (app, "export generator.pt out.pt"),
    "data_prep": (prepare, "--output data --train 1 --validation 1 --test 1"),
    "make study": (study, "smoke"),
    "make figures": (study, "smoke --redraw"),
    "make study SHARE=1/2": (study, "smoke --share 1/2"),
    "make figures RUN=": (redraw.main, "kept"),
    "make figures RUN= STYLE=": (redraw.main, "kept --style slides"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_folder_is_named_with_what_to_do(read_only, monkeypatch, seen, command):
    monkeypatch.chdir(read_only)
    application, words = COMMANDS[command]
    result = called(application, *words.split())
    told = result.stderr or str(result.exception)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert line.endswith(REFUSED)
    seen(f"`{command}` into a read-only folder", line)


# Nothing that YAML can hold runs: what is no plain value, or none that the setting takes, is refused.
HOSTILE = {
    "a tag that calls a program": "seeds=!!python/object/apply:os.system [touch PWNED]",
    "a list without an end": "seeds=[0",
    "an unknown setting": "sceds=[0]",
    "a list of lists": "arms=[[published]]",
    "the same seed twice": "seeds=[0,0]",
    "a run outside of results/": "run=../../PWNED",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_setting_of_no_use_is_refused_before_anything_is_done(tmp_path, monkeypatch, seen, what):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refusal:
        study("smoke", config=[HOSTILE[what]])
    line = str(refusal.value)
    assert line.startswith("error: ")
    assert "\n" not in line
    assert [path.name for path in tmp_path.iterdir()] == ["notebooks"]
    short = line if len(line) < 200 else f"{line[:100]} …"
    seen(f'`make study CONFIG="{HOSTILE[what]}"`, {what}', short)


def test_a_notebooks_parameter_of_the_wrong_type_is_refused_by_its_name(seen):
    profile = profile_from(read_settings("smoke", ROOT / "notebooks" / "profiles", {}))
    kinds = NotebookParameters.__subclasses__()
    kinds += [lower for kind in kinds for lower in kind.__subclasses__()]
    kinds = [kind for kind in kinds if kind.__name__.endswith("Parameters")]
    count = 0
    for kind in kinds:
        given = {"arm": "published", "seed": 0} if "arm" in declared(kind) else {}
        good = job_parameters(kind, profile, **given)
        kind(**good)
        for name in good:
            for wrong in ({"a": 1}, [{}], None, 1j):
                with pytest.raises(ValueError, match=rf"^{name} is .*: use "):
                    kind(**good | {name: wrong})
                count += 1
    assert len(kinds) == 9
    seen(
        f"a notebook's parameter of a wrong type, {count} cases over {len(kinds)} notebooks",
        "each refused by its name, with what to use",
    )
