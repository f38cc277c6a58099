"""Everything a run left behind, as tidy tables: every arm and seed below one another."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmgan.study.arms import ARMS
from cmgan.study.paths import evaluation_table, noisy_table, training_folder

NOISY = "noisy"
_RUN_AGAIN = "make study goes on where it stopped"


@dataclass(frozen=True)
class RunResults:
    """Tables of one run, each with columns arm and seed, in the order of `arms` and `seeds`.

    steps, epochs, validation: the logs of `cmgan.training.loop`, arm by arm. evaluation: a row per test utterance,
    of the unprocessed files too (arm "noisy", no seed). configs: config.json of each (arm, seed).
    """

    root: Path
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: pd.DataFrame
    epochs: pd.DataFrame
    validation: pd.DataFrame
    evaluation: pd.DataFrame
    configs: dict[tuple[str, int], dict]

    def batch_size(self) -> int:
        """Crops a batch of the arms that have no size of their own."""
        own = {arm for arm, recipe in ARMS.items() if recipe.batch_size}
        sizes = [
            config["budget"]["batch_size"] for (arm, _), config in self.configs.items() if arm not in own
        ]
        return sizes[0] if sizes else 0


def load_run(root: Path, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> RunResults:
    """All arms × seeds of results/RUN; without names, every arm or seed that has been trained.

    Raises FileNotFoundError, in one line that names the file and what to run, when one of them is missing.
    """
    pairs = _pairs(root, arms, seeds)
    logs = {name: _stacked(root, pairs, f"{name}.csv") for name in ("steps", "epochs", "validation")}
    noisy = _read(noisy_table(root), "01_data_preparation")
    enhanced = [_evaluation(root, arm, seed) for arm, seed in pairs]
    return RunResults(
        root=root,
        arms=tuple(dict.fromkeys(arm for arm, _ in pairs)),
        seeds=tuple(dict.fromkeys(seed for _, seed in pairs)),
        evaluation=pd.concat([noisy.assign(arm=NOISY, seed=pd.NA), *enhanced], ignore_index=True),
        configs={(arm, seed): _config(root, arm, seed) for arm, seed in pairs},
        **logs,
    )


def found_arms_and_seeds(root: Path) -> list[tuple[str, int]]:
    """Arms and seeds whose training is complete, in the order of `cmgan.study.arms`."""
    folders = (config.parent.name for config in (root / "training").glob("*/config.json"))
    matches = (re.fullmatch(r"(.+)-(\d+)", name) for name in folders)
    found = [(match[1], int(match[2])) for match in matches if match]
    order = list(ARMS)
    return sorted(found, key=lambda pair: (order.index(pair[0]) if pair[0] in order else len(order), pair))


def _pairs(root: Path, arms: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    if arms and seeds:
        return [(arm, seed) for arm in arms for seed in seeds]
    found = found_arms_and_seeds(root)
    if not found:
        raise FileNotFoundError(f"{root / 'training'} holds no trained arm: run make study first")
    for arm in arms:
        if arm not in {name for name, _ in found}:
            raise FileNotFoundError(
                f"{root / 'training' / arm}-* is missing: train arm {arm} with 04_training ({_RUN_AGAIN})"
            )
    for seed in seeds:
        if seed not in {number for _, number in found}:
            raise FileNotFoundError(
                f"{root / 'training'}/*-{seed} is missing: train seed {seed} with 04_training ({_RUN_AGAIN})"
            )
    chosen = [pair for pair in found if (not arms or pair[0] in arms) and (not seeds or pair[1] in seeds)]
    return sorted(chosen, key=lambda pair: arms.index(pair[0])) if arms else chosen


def _stacked(root: Path, pairs: list[tuple[str, int]], name: str) -> pd.DataFrame:
    frames = []
    for arm, seed in pairs:
        frame = _read(training_folder(root, arm, seed) / name, f"04_training for arm {arm}, seed {seed}")
        frame.insert(0, "arm", arm)
        frame.insert(1, "seed", seed)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _evaluation(root: Path, arm: str, seed: int) -> pd.DataFrame:
    frame = _read(evaluation_table(root, arm, seed), f"05_evaluation for arm {arm}, seed {seed}")
    return frame.assign(arm=arm, seed=seed)


def _config(root: Path, arm: str, seed: int) -> dict:
    path = training_folder(root, arm, seed) / "config.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise _missing(path, f"04_training for arm {arm}, seed {seed}") from None


def _read(path: Path, notebook: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise _missing(path, notebook) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it and run {notebook} again") from None


def _missing(path: Path, notebook: str) -> FileNotFoundError:
    return FileNotFoundError(f"{path} is missing: run {notebook} ({_RUN_AGAIN})")
