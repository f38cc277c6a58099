"""Everything a run left behind, as tidy tables, every arm and seed below one another."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cmgan.study.arms import ARMS
from cmgan.study.paths import evaluation_table, found_arms_and_seeds, noisy_table, training_folder

NOISY = "noisy"
RUN_AGAIN = "make study goes on where it stopped"


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
        """Crops a batch of the arms that have no size of their own; 0 where all have one."""
        own = {arm for arm, recipe in ARMS.items() if recipe.batch_size}
        shared = [config for (arm, _), config in self.configs.items() if arm not in own]
        return shared[0]["budget"]["batch_size"] if shared else 0


def load_run(root: Path, arms: Sequence[str] = (), seeds: Sequence[int] = ()) -> RunResults:
    """All arms × seeds of results/RUN; without names, every arm or seed that has been trained.

    Raises FileNotFoundError, in one line that names the file and what to run, when one of them is missing.
    """
    pairs = [(arm, seed) for arm in arms for seed in seeds] or _chosen(root, arms, seeds)
    logs: dict[str, list[pd.DataFrame]] = {"steps": [], "epochs": [], "validation": []}
    evaluations = [_read(noisy_table(root), "01_data_preparation").assign(arm=NOISY, seed=pd.NA)]
    configs = {}
    for arm, seed in pairs:
        folder, named = training_folder(root, arm, seed), f"for arm {arm}, seed {seed}"
        for name, frames in logs.items():
            frame = _read(folder / f"{name}.csv", f"04_training {named}")
            frame.insert(0, "arm", arm)
            frame.insert(1, "seed", seed)
            frames.append(frame)
        configs[arm, seed] = _read(folder / "config.json", f"04_training {named}")
        evaluation = _read(evaluation_table(root, arm, seed), f"05_evaluation {named}")
        evaluations.append(evaluation.assign(arm=arm, seed=seed))
    return RunResults(
        root=root,
        arms=tuple(dict.fromkeys(arm for arm, _ in pairs)),
        seeds=tuple(dict.fromkeys(seed for _, seed in pairs)),
        evaluation=pd.concat(evaluations, ignore_index=True),
        configs=configs,
        **{name: pd.concat(frames, ignore_index=True) for name, frames in logs.items()},
    )


def pooled(runs: Sequence[RunResults]) -> RunResults:
    """Several runs as one with the seeds of all, for what every one of them measured alike.

    root is the first run's. Raises ValueError where two runs trained one arm with the same seed.
    """
    taken: dict[tuple[str, int], Path] = {}
    for run in runs:
        for pair in run.configs:
            if pair in taken:
                raise ValueError(f"{taken[pair]} and {run.root} both trained {pair[0]} with seed {pair[1]}")
            taken[pair] = run.root
    frames = ("steps", "epochs", "validation", "evaluation")
    return RunResults(
        root=runs[0].root,
        arms=tuple(dict.fromkeys(arm for run in runs for arm in run.arms)),
        seeds=tuple(dict.fromkeys(seed for run in runs for seed in run.seeds)),
        configs={pair: config for run in runs for pair, config in run.configs.items()},
        **{name: pd.concat([getattr(run, name) for run in runs], ignore_index=True) for name in frames},
    )


def _chosen(root: Path, arms: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    found = found_arms_and_seeds(root)
    if not found:
        raise FileNotFoundError(f"{root / 'training'} holds no trained arm: run make study first")
    for place, kind, names in ((0, "arm", arms), (1, "seed", seeds)):
        for name in names:
            if name not in {pair[place] for pair in found}:
                raise FileNotFoundError(
                    f"{root / 'training'} holds no training of {kind} {name}: run 04_training for it ({RUN_AGAIN})"
                )
    chosen = [pair for pair in found if (not arms or pair[0] in arms) and (not seeds or pair[1] in seeds)]
    return sorted(chosen, key=lambda pair: arms.index(pair[0])) if arms else chosen


def _read(path: Path, notebook: str) -> pd.DataFrame | dict:
    try:
        return json.loads(path.read_text()) if path.suffix == ".json" else pd.read_csv(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: run {notebook} ({RUN_AGAIN})") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} cannot be read ({error}): delete it and run {notebook} again") from None
