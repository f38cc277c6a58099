"""What made a run: settings, command, code, versions, time and memory."""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pandas as pd
import yaml

from cmgan.progress import duration
from cmgan.study.pipeline.profile import read_settings
from cmgan.study.run_results import RunResults

PACKAGES = (
    "torch",
    "accelerate",
    "pesq",
    "pystoi",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "papermill",
    "snakemake",
)
SAMPLES_PER_MINUTE = 16000 * 60


def provenance(results: RunResults, root: Path) -> dict[str, str]:
    """What a reader needs to judge or repeat the run, as label and text; what was not recorded is left out.

    root: the checkout, for its profiles and its commit.
    """
    settings_file = results.root / "profile.yaml"
    settings = yaml.safe_load(settings_file.read_text()) if settings_file.is_file() else {}
    facts = {
        "Run": results.root.name,
        "Command": command(settings, root / "notebooks" / "profiles") if settings else "",
        "Corpus": corpus(results.root, settings),
        "Seeds": ", ".join(map(str, results.seeds)),
        "Network and budget": budget(next(iter(results.configs.values()))["budget"]),
        "Time and memory": cost(results.root / "timing.csv"),
        "Commit": commit(root),
        "Versions": versions(),
    }
    return {label: text for label, text in facts.items() if text}


def command(settings: dict, profiles: Path) -> str:
    """The make command that runs these settings: the profile of the run's name (or laptop) and what differs."""
    name = settings["run"] if (profiles / f"{settings['run']}.yaml").is_file() else "laptop"
    standard = read_settings(name, profiles, {})
    path = settings.get("corpus_path", "")
    taken_care_of = {"corpus_path"} | ({"corpus"} if path else set())
    changed = [
        f"{key}={_compact(value)}"
        for key, value in settings.items()
        if key not in taken_care_of and value != standard.get(key)
    ]
    parts = ["make study", f"PROFILE={name}", f"CORPUS={path}" if path else "", _config(changed)]
    return " ".join(filter(None, parts))


def corpus(root: Path, settings: dict) -> str:
    """Kind of corpus, utterances, speakers and minutes of each split."""
    manifest = root / "data" / "manifest.csv"
    kind = settings.get("corpus", "")
    if not manifest.is_file():
        return kind
    frame = pd.read_csv(manifest)
    splits = [
        f"{split}: {len(rows)} utterances, {rows['speaker'].nunique()} speakers, "
        f"{rows['samples'].sum() / SAMPLES_PER_MINUTE:.1f} min"
        for split, rows in frame.groupby("split", sort=False)
    ]
    return "; ".join(filter(None, [kind, *splits]))


def budget(settings: dict) -> str:
    """Size of the networks and length of the training in words; settings: fields of `cmgan.recipe.Budget`."""
    return (
        f"channels {settings['channels']} (paper 64), conformer blocks {settings['blocks']} (paper 4), "
        f"epochs {settings['epochs']} (paper 120), crops a batch {settings['batch_size']}, "
        f"crop length {settings['crop_seconds']:g} s"
    )


def cost(timing: Path) -> str:
    """Time of all jobs added up and the highest peak memory of one, from timing.csv; empty without it."""
    if not timing.is_file():
        return ""
    jobs = pd.read_csv(timing).drop_duplicates("job", keep="last")
    training = jobs[jobs["job"].str.startswith("04_training")]["seconds"].sum()
    return (
        f"{duration(jobs['seconds'].sum())} of jobs added up, several at a time ({duration(training)} of training); "
        f"at most {jobs['peak_mib'].max():.0f} MiB a job"
    )


def commit(root: Path) -> str:
    """The checkout's commit, marked when files differ from it; empty where there is no git checkout."""
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}, with uncommitted changes" if changed else head


def versions() -> str:
    """Versions of Python and of the packages that decide numbers."""
    named = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *named])


def _config(changed: list[str]) -> str:
    return f'CONFIG="{" ".join(changed)}"' if changed else ""


def _compact(value: object) -> str:
    # JSON without spaces and quotes is YAML too, and survives make's splitting at spaces.
    return json.dumps(value, separators=(",", ":")).replace('"', "")


def _git(root: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()
