"""What a whole run says, what its scale cannot say, and what made it: sentences from its files and tables."""

import json
import platform
import subprocess
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pandas as pd
import yaml

from cmgan.progress import duration
from cmgan.signal import SAMPLE_RATE
from cmgan.study.comparison import words
from cmgan.study.comparison.evaluation import Comparison
from cmgan.study.profile import read_settings
from cmgan.study.published import logs
from cmgan.study.published.composite_inflation import inflation_in_words
from cmgan.study.published.rank_skip import ranks_in_words
from cmgan.study.run_results import NOISY, RunResults
from cmgan.study.silence import words as silence_words
from cmgan.study.silence.survey import failure_shares
from cmgan.study.silence.words import estimates_in_words, labels_in_words, noise_in_words
from cmgan.study.wording import counted

PACKAGES = (
    *("torch", "accelerate", "pesq", "pystoi", "numpy"),
    *("scipy", "pandas", "matplotlib", "papermill", "snakemake"),
)
# A sentence and the tables that it is made from.
Finding = tuple[Callable[..., str], Sequence[str]]
SILENCE: tuple[Finding, ...] = (
    (lambda crops: silence_words.crops_in_words(failure_shares(crops, ["crop_seconds"])), ["crops"]),
    (silence_words.batches_in_words, ["batches"]),
    (
        lambda doses: silence_words.doses_in_words(failure_shares(doses, ["side", "dose_ms"]), doses),
        ["dose_response"],
    ),
    (silence_words.activity_in_words, ["crops"]),
    (silence_words.levels_in_words, ["levels"]),
    (labels_in_words, ["label_policies"]),
    (noise_in_words, ["validation_noise", "figures/validation_noise"]),
)
EVIDENCE: tuple[Finding, ...] = (
    (lambda skips: logs.skips_in_words(skips.fillna({"code_version": ""})), ["skips"]),
    (logs.losses_in_words, ["discriminator_losses"]),
    (logs.validation_in_words, ["results"]),
    (ranks_in_words, ["rank_skip"]),
    (inflation_in_words, ["composite_inflation"]),
)


def introduction(results: RunResults) -> str:
    """What the page is about, in two sentences."""
    test = results.evaluation["id"].nunique()
    arms, seeds = len(results.arms), len(results.seeds)
    return (
        f"{counted(arms, 'way')} of training CMGAN, a conformer GAN for speech enhancement, each with "
        f"{counted(seeds, 'random seed')} and tested on {test} utterances. Every "
        "number and verdict here is computed from the run's files."
    )


def in_short(compared: Comparison) -> list[str]:
    """The run in short: which arms fell, what the losses did, who ends where, what was skipped."""
    return [
        *words.falls_in_words(compared.pesq_falls),
        *words.what_losses_did(compared.pesq_falls, compared.since_peak),
        *words.differences_in_words(compared.differences),
        words.skips_in_words(compared.skip_rates),
        *words.identical_in_words(compared.identical_arms),
    ]


def silence_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/silence/*.csv; none when 02_silence_analysis was not run."""
    validations = [pd.read_csv(file) for file in sorted(run_root.glob("training/*/validation.csv"))]
    return [
        *_found(SILENCE, run_root / "silence"),
        *([estimates_in_words(validations)] if validations else []),
    ]


def evidence_in_words(run_root: Path) -> list[str]:
    """Sentences on RUN/evidence/*.csv; none when 06_published_logs was not run."""
    return _found(EVIDENCE, run_root / "evidence")


def limits(results: RunResults) -> list[str]:
    """The scale of the run in sentences, from its settings and counts."""
    budget = next(iter(results.configs.values()))["budget"]
    noisy = results.evaluation[results.evaluation["arm"] == NOISY]
    seeds, validated = len(results.seeds), results.validation["id"].nunique()
    return [
        f"Width of the network {budget['channels']}, two-stage blocks {budget['blocks']}, epochs {budget['epochs']}; "
        "published: 64, 4 and 120. What happens at that size may come earlier, later or not at all here.",
        f"{counted(seeds, 'seed')} an arm: intervals are over seeds, and over few seeds wide or missing.",
        f"Whether PESQ fell is judged on {validated} validation utterances.",
        f"{noisy['id'].nunique()} test utterances of one corpus: scores on them, on synthetic speech above all, are "
        "not comparable with published ones; arms are compared with each other only.",
        "The same seed starts every arm from the same weights and the same crops, so arms that never differed in "
        "what they did give the same numbers.",
        "Intervals are not corrected for the number of comparisons, but for those that decide on claims.",
    ]


def provenance(results: RunResults, root: Path) -> list[str]:
    """What a reader needs to judge or repeat the run (Markdown); what was not recorded is left out.

    root: the checkout, for its profiles and its commit.
    """
    settings_file, timing = results.root / "profile.yaml", results.root / "timing.csv"
    settings = yaml.safe_load(settings_file.read_text()) if settings_file.is_file() else {}
    budget = next(iter(results.configs.values()))["budget"]
    facts = {
        "Run": results.root.name,
        "Command": f"`{_command(settings, root / 'notebooks' / 'profiles')}`" if settings else "",
        "Corpus": _corpus(results.root, settings.get("corpus", "")),
        "Seeds": ", ".join(map(str, results.seeds)),
        "Network and budget": f"channels {budget['channels']} (paper 64), conformer blocks {budget['blocks']} "
        f"(paper 4), epochs {budget['epochs']} (paper 120), crops a batch {budget['batch_size']}, crop length "
        f"{budget['crop_seconds']:g} s",
        "Time and memory": _cost(pd.read_csv(timing)) if timing.is_file() else "",
        "Arithmetic": _arithmetic(results),
        "Commit": _commit(root),
        "Versions": ", ".join(
            [
                f"Python {platform.python_version()}",
                *(f"{name} {metadata.version(name)}" for name in PACKAGES),
            ]
        ),
    }
    return [f"**{label}:** {text}" for label, text in facts.items() if text]


def _found(findings: Sequence[Finding], folder: Path) -> list[str]:
    """The sentences whose tables lie in `folder`."""
    lines = []
    for sentence, names in findings:
        files = [folder / f"{name}.csv" for name in names]
        if all(file.is_file() for file in files):
            lines.append(sentence(*map(pd.read_csv, files)))
    return lines


def _arithmetic(results: RunResults) -> str:
    """What computed the networks; several where trainings ran on machines that compute differently."""
    kinds = sorted({kind for config in results.configs.values() for kind in config.get("arithmetic", [])})
    mixed = "not the same everywhere, so that trainings with one seed may differ by rounding: "
    return f"{mixed if len(kinds) > 1 else ''}{'; '.join(kinds)}"


def _command(settings: dict, profiles: Path) -> str:
    """The make command that runs these settings: the profile of the run's name (or laptop) and what differs."""
    name = settings["run"] if (profiles / f"{settings['run']}.yaml").is_file() else "laptop"
    standard, path = read_settings(name, profiles, {}), settings.get("corpus_path", "")
    # With a path, the kind of corpus need not be said.
    said = {"corpus_path", "corpus"} if path else {"corpus_path"}
    changed = {
        key: value for key, value in settings.items() if key not in said and value != standard.get(key)
    }
    # JSON without spaces and quotes is YAML too, and survives make's splitting at spaces.
    config = " ".join(
        f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in changed.items()
    ).replace('"', "")
    parts = ["make study", f"PROFILE={name}", path and f"CORPUS={path}", config and f'CONFIG="{config}"']
    return " ".join(filter(None, parts))


def _corpus(root: Path, kind: str) -> str:
    """Kind of corpus, utterances, speakers and minutes of each split."""
    manifest = pd.read_csv(root / "data" / "manifest.csv")
    splits = [
        f"{split}: {len(rows)} utterances, {rows['speaker'].nunique()} speakers, "
        f"{rows['samples'].sum() / (60 * SAMPLE_RATE):.1f} min"
        for split, rows in manifest.groupby("split", sort=False)
    ]
    return "; ".join(filter(None, [kind, *splits]))


def _cost(timing: pd.DataFrame) -> str:
    jobs = timing.drop_duplicates("job", keep="last")
    training = jobs[jobs["job"].str.startswith("04_training")]["seconds"].sum()
    return (
        f"{duration(jobs['seconds'].sum())} of jobs added up, several at a time ({duration(training)} of training); "
        f"at most {jobs['peak_mib'].max():.0f} MiB a job"
    )


def _commit(root: Path) -> str:
    """The checkout's commit, marked when files but results differ from it; empty where there is no git checkout."""
    try:
        head, changed = (
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=True
            ).stdout
            for command in (
                ["rev-parse", "--short=12", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"],
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.strip() + (", with uncommitted changes" if changed.strip() else "")
