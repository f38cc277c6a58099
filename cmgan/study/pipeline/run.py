"""One command for a whole run: check the profile and the corpus, then let snakemake do what is not done yet."""

import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
import yaml

from cmgan.progress import duration
from cmgan.study.paths import repository_root
from cmgan.study.pipeline.locks import part_of_run, preparation, whole_run
from cmgan.study.pipeline.profile import Profile, parse_override, profile_from, read_settings
from cmgan.study.pipeline.snakemake_run import SnakemakeRun
from data_prep.folder import check_corpus

SHARE = re.compile(r"([1-9]\d*)/([1-9]\d*)")


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
    run = SnakemakeRun(root, folder, workers, f"snakemake{share and '-'}{share.replace('/', '-of-')}.log")
    if share:
        _work_on_part(run, profile, trainings)
        return
    started = time.monotonic()
    with whole_run(folder):
        _write_settings(folder, profile)
        if redraw:
            sys.exit(_redraw(root, folder, profile))
        if run.is_up_to_date():
            print(f"Nothing to do: {folder / 'report' / 'index.html'} is up to date.")
            return
        print(f"Running profile {profile_name}: {len(profile.arms)} arms × {len(profile.seeds)} seeds")
        _make(run, [])
    print(f"Done in {duration(time.monotonic() - started)}. The report: {folder / 'report' / 'index.html'}")


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
    every = [f"{arm}-{seed}" for arm in profile.arms for seed in profile.seeds]
    return every[int(match[1]) - 1 :: int(match[2])]


def _work_on_part(run: SnakemakeRun, profile: Profile, trainings: list[str]) -> None:
    """Train and evaluate some trainings of a run on whose others other workers are at work."""
    with part_of_run(run.folder, trainings) as alone:
        with preparation(run.folder):
            if not alone and _settings_there(run.folder) != _settings_of(profile):
                sys.exit(f"error: other workers are at {run.folder} with other settings: give all the same")
            _write_settings(run.folder, profile)
            _make(run, ["data/manifest.csv", "evaluation/noisy.csv"])
        print(f"Working on {len(trainings)} trainings: {', '.join(trainings)}")
        _make(run, [f"evaluation/{training}.csv" for training in trainings])
    print("This part is done. When all are, the same command without a share makes the report.")


def _write_settings(folder: Path, profile: Profile) -> None:
    """Write profile.yaml where it says something else: jobs of other workers read it."""
    if _settings_there(folder) != _settings_of(profile):
        (folder / "profile.yaml").write_text(_settings_of(profile))


def _settings_there(folder: Path) -> str:
    settings = folder / "profile.yaml"
    return settings.read_text() if settings.exists() else ""


def _settings_of(profile: Profile) -> str:
    return yaml.safe_dump(vars(profile), sort_keys=False)


def _make(run: SnakemakeRun, targets: list[str]) -> None:
    """Make the targets, or end with a message that says how to go on."""
    started = time.monotonic()
    if run.make(targets):
        sys.exit(
            f"The run stopped after {duration(time.monotonic() - started)}: lines above marked 'failed' say why, the "
            f"executed notebooks they name show where ({run.folder / run.log} has the rest). The same command goes "
            "on from here."
        )


def _redraw(root: Path, folder: Path, profile: Profile) -> int:
    """Every figure from the CSV beside it, then the report from what the run left; nothing is trained."""
    report = ["cmgan.study.pipeline.run_notebook", "07_comparison_report", str(folder.relative_to(root))]
    commands = (
        ["cmgan.study.report.redraw", str(folder)],
        [*report, "--parameters", json.dumps(profile.report_parameters())],
    )
    for words in commands:
        code = subprocess.run([sys.executable, "-m", *words], cwd=root, check=False).returncode
        if code:
            return code
    return 0
