"""One command for a whole run: check the profile and the corpus, then let snakemake do what is not done yet."""

import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import yaml

from cmgan.progress import duration
from cmgan.study.notebook_parameters import ReportParameters, job_parameters
from cmgan.study.notebook_text import BRANCHES, FINDING, first_sentences, text_of_tag
from cmgan.study.paths import repository_root
from cmgan.study.pipeline.snakemake_run import make
from cmgan.study.profile import DEFAULT, Profile, parse_override, profile_from, read_settings
from cmgan.study.run_access import one_at_a_time, part_of_run, whole_run
from data_prep.folder import check_corpus
from data_prep.whole_files import write_text

SHARE = re.compile(r"([1-9]\d*)/([1-9]\d*)")
# What `run` and `plan` ask for.
ProfileName = Annotated[str, typer.Argument(metavar="PROFILE", help="a file of notebooks/profiles")]
CorpusFolder = Annotated[str, typer.Option(help="folder with clean/ and noisy/ instead of synthetic speech")]
Overrides = Annotated[list[str] | None, typer.Option(help="setting=value, overrides the profile")]


def main(
    profile_name: ProfileName = DEFAULT,
    corpus: CorpusFolder = "",
    config: Overrides = None,
    cores: Annotated[str, typer.Option(help="jobs at a time, or all")] = "all",
    cluster: Annotated[str, typer.Option(help="a folder of notebooks/profiles, e.g. slurm")] = "",
    share: Annotated[
        str, typer.Option(help="i/n: only the i-th of n parts of the trainings, beside other workers")
    ] = "",
    redraw: Annotated[bool, typer.Option(help="only draw the figures and write the report again")] = False,
) -> None:
    """Run a profile to results/RUN/report/index.html; what is up to date is not done again."""
    root = repository_root()
    try:
        profile = checked_profile(root, profile_name, corpus, config or [])
        workers = placement(root, cluster) if cluster else ["--cores", cores]
        trainings = shared_out(profile, share) if share else []
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    folder = root / "results" / profile.run
    make_files = partial(make, root=root, folder=folder, workers=workers)
    try:
        if share:
            work_on_part(make_files, folder, profile, trainings)
            return
        with whole_run(folder):
            write_text(profile.as_yaml(), folder / "profile.yaml")
            if redraw:
                _redraw(root, folder, profile)
                return
            print(
                f"Running profile {profile_name}: {len(profile.arms)} arms × {len(profile.seeds)} seeds",
                flush=True,
            )
            started = time.monotonic()
            jobs = make_files([])
    except OSError as error:
        sys.exit(f"error: {error}")
    print("\n".join(answer(folder)))
    print(f"Done in {duration(time.monotonic() - started)}." if jobs else "Nothing to do: all is up to date.")
    print(f"The report: {folder / 'report' / 'index.html'}")


def answer(folder: Path) -> list[str]:
    """What the run found, from its executed notebooks, in a line for the loss, the networks and the claims."""
    # The finding of 07 begins with the verdicts, in one sentence; then it repeats the loss and the networks.
    places = {
        "The loss": ("03_objective", FINDING, 400),
        "The networks": ("07_comparison_report", BRANCHES, 400),
        "The claims": ("07_comparison_report", FINDING, 0),
    }
    lines = []
    for title, (notebook, tag, longest) in places.items():
        file = folder / "notebooks" / f"{notebook}.ipynb"
        if file.is_file() and (text := text_of_tag(file, tag)):
            lines.append(f"{title}: {first_sentences(text, longest)}")
    return lines


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
        check_corpus(Path(profile.corpus_path), profile.speaker_pattern)
    if profile.corpus == "voicebank" and profile.corpus_path and not Path(profile.corpus_path).is_dir():
        raise ValueError(f"{profile.corpus_path}: no such folder; leave it out to download VoiceBank+DEMAND")
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
    return ["--profile", str(config.parent)]


def shared_out(profile: Profile, share: str) -> list[str]:
    """The trainings (ARM-SEED) that fall to part i of n, for a share "i/n"; ValueError when it is none."""
    match = SHARE.fullmatch(share)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"share is {share!r}: use i/n, e.g. 1/2 here and 2/2 on the other machine")
    return profile.trainings[int(match[1]) - 1 :: int(match[2])]


def work_on_part(
    make_files: Callable[[list[str]], int], folder: Path, profile: Profile, trainings: list[str]
) -> None:
    """Train and evaluate some trainings of a run on whose others other workers are at work.

    make_files: makes files of the run's folder. Ends with a message where the others were given other settings.
    """
    with part_of_run(folder, trainings) as alone:
        with one_at_a_time(folder, "preparation"):
            # One worker prepares the data, the others wait for it.
            settings = folder / "profile.yaml"
            if not alone and not (settings.is_file() and settings.read_text() == profile.as_yaml()):
                sys.exit(f"error: other workers are at {folder} with other settings: give all the same")
            write_text(profile.as_yaml(), settings)
            make_files(["data/manifest.csv", "evaluation/noisy.csv"])
        print(f"Working on {len(trainings)} trainings: {', '.join(trainings)}", flush=True)
        make_files([f"evaluation/{training}.csv" for training in trainings])
    print("This part is done. When all are, the same command without a share makes the report.")


def _redraw(root: Path, folder: Path, profile: Profile) -> None:
    """Every figure from the CSV beside it, then the report from what the run left; nothing is trained."""
    # What draws takes seconds to load, which a run that is up to date need not wait for.
    from cmgan.study.pipeline import run_notebook
    from cmgan.study.report import redraw

    redraw.draw_again(folder)
    parameters = json.dumps(job_parameters(ReportParameters, profile))
    run_notebook.main("07_comparison_report", folder.relative_to(root), parameters)
