"""One command for a whole run: check the profile and the corpus, then let snakemake do what is not done yet."""

import fcntl
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import yaml

from cmgan.progress import duration
from cmgan.study.paths import repository_root
from cmgan.study.profile import Profile, parse_override, profile_from, read_settings
from cmgan.study.time_left import TimeLeft
from data_prep.folder import check_corpus

# Lines of run_notebook start with the notebook's number, snakemake's count of jobs with a number.
JOB_LINE = re.compile(r"\[\d\d_")
SHOWN_ON_ERROR = 10
STEPS_LINE = re.compile(r"(\d+) of (\d+) steps")


def main(
    profile_name: Annotated[
        str, typer.Argument(metavar="PROFILE", help="a file of notebooks/profiles")
    ] = "laptop",
    corpus: Annotated[
        str, typer.Option(help="folder with clean/ and noisy/ instead of synthetic speech")
    ] = "",
    config: Annotated[list[str] | None, typer.Option(help="setting=value, overrides the profile")] = None,
    cores: Annotated[str, typer.Option(help="jobs at a time, or all")] = "all",
    cluster: Annotated[str, typer.Option(help="a folder of notebooks/profiles, e.g. slurm")] = "",
    redraw: Annotated[bool, typer.Option(help="only draw the figures and write the report again")] = False,
) -> None:
    """Run a profile to results/RUN/report/index.html; what is up to date is not done again."""
    root = repository_root()
    try:
        profile = checked_profile(root, profile_name, corpus, config or [])
        workers = placement(root, cluster) if cluster else ["--cores", cores]
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    folder = root / "results" / profile.run
    started = time.monotonic()
    with only_one(folder):
        settings = folder / "profile.yaml"
        settings.write_text(yaml.safe_dump(vars(profile), sort_keys=False))
        if redraw:
            sys.exit(_redraw(root, folder, profile))
        if _is_up_to_date(root, settings, workers):
            print(f"Nothing to do: {folder / 'report' / 'index.html'} is up to date.")
            return
        print(f"Running profile {profile_name}: {len(profile.arms)} arms × {len(profile.seeds)} seeds")
        code = _snakemake(root, settings, workers)
    took = duration(time.monotonic() - started)
    if code:
        sys.exit(
            f"The run stopped after {took}: lines above marked 'failed' say why, the executed notebooks they name "
            f"show where ({folder / 'snakemake.log'} has the rest). The same command goes on from here."
        )
    print(f"Done in {took}. The report: {folder / 'report' / 'index.html'}")


def checked_profile(root: Path, name: str, corpus: str, config: list[str]) -> Profile:
    """The profile with its overrides, and its corpus looked at, before any work starts.

    Raises ValueError or OSError with one line that names what is wrong and what to do.
    """
    overrides = dict(parse_override(text) for text in config)
    if corpus:
        overrides["corpus_path"] = str(Path(corpus).expanduser().resolve())
    settings = read_settings(name, root / "notebooks" / "profiles", overrides)
    if corpus and settings["corpus"] == "synthetic":
        settings["corpus"] = "folder"
    profile = profile_from(settings)
    if profile.corpus == "folder":
        check_corpus(Path(profile.corpus_path))
    return profile


def placement(root: Path, cluster: str) -> list[str]:
    """Snakemake's options for sending jobs to a cluster as notebooks/profiles/CLUSTER/config.yaml says.

    Raises ValueError when there is no such profile or its executor is not installed.
    """
    profiles = root / "notebooks" / "profiles"
    config = profiles / cluster / "config.yaml"
    if not config.is_file():
        known = ", ".join(sorted(path.parent.name for path in profiles.glob("*/config.yaml")))
        raise ValueError(
            f"unknown cluster {cluster!r}: use one of {known}, or add {config.relative_to(root)}"
        )
    executor = yaml.safe_load(config.read_text()).get("executor", "local")
    plugin = f"snakemake-executor-plugin-{executor}"
    if executor != "local" and importlib.util.find_spec(plugin.replace("-", "_")) is None:
        raise ValueError(f"jobs for {cluster} need {plugin}: call .venv/bin/pip install {plugin}")
    return ["--profile", str(config.parent.relative_to(root))]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the run's folder; a second call on the same one ends with a message instead of mixing results.

    The lock goes with the process, so that a killed run leaves nothing to clean up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(
                f"error: {folder} is being written by another run: wait for it or choose --config run=<name>"
            )
        yield


def _redraw(root: Path, folder: Path, profile: Profile) -> int:
    """Every figure from the CSV beside it, then the report from what the run left; nothing is trained."""
    report = ["cmgan.study.run_notebook", "06_comparison_report", str(folder.relative_to(root))]
    commands = (
        ["cmgan.study.redraw", str(folder)],
        [*report, "--parameters", json.dumps(profile.report_parameters())],
    )
    for words in commands:
        code = subprocess.run([sys.executable, "-m", *words], cwd=root, check=False).returncode
        if code:
            return code
    return 0


def _is_up_to_date(root: Path, settings: Path, workers: list[str]) -> bool:
    command = _command(settings, workers, ["--dry-run", "--quiet", "all"])
    # A dry run says "Nothing to be done" when every output is newer than what it depends on.
    result = subprocess.run(
        command, cwd=root, env=_environment(), capture_output=True, text=True, check=False
    )
    return result.returncode == 0 and "Nothing to be done" in result.stdout + result.stderr


def _snakemake(root: Path, settings: Path, workers: list[str]) -> int:
    """Run snakemake, showing the jobs' own lines and how many are done; all it says goes to snakemake.log."""
    command = _command(settings, workers, ["--keep-going", "--quiet", "rules", "host"])
    started, told = time.monotonic(), False
    time_left = TimeLeft(settings.parent / "timing.csv")
    with (
        (settings.parent / "snakemake.log").open("w") as log,
        subprocess.Popen(
            command, cwd=root, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout:
            log.write(line)
            log.flush()
            elapsed = time.monotonic() - started
            time_left.read(line, elapsed)
            if JOB_LINE.match(line):
                print(line, end="", flush=True)
                told = told or "] failed:" in line
            elif steps := STEPS_LINE.match(line):
                words = [
                    f"{steps[1]} of {steps[2]} jobs done after {duration(elapsed)}",
                    time_left.words(elapsed),
                ]
                print(", ".join(filter(None, words)), flush=True)
    if process.returncode and not told:
        # Snakemake itself stopped, before or between the jobs.
        last = (settings.parent / "snakemake.log").read_text().splitlines()[-SHOWN_ON_ERROR:]
        print("\n".join(last), file=sys.stderr)
    return process.returncode


def _command(settings: Path, workers: list[str], options: list[str]) -> list[str]:
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", "notebooks/Snakefile", *workers]
    # only_one() is the lock; a job cut off by a kill is done again.
    return [*snakemake, "--configfile", str(settings), "--nolock", "--rerun-incomplete", *options]


def _environment() -> dict[str, str]:
    """This environment with the running interpreter's `python` first, for the jobs' shells."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


if __name__ == "__main__":
    typer.run(main)
