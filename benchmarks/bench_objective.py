"""What minimising the objective costs, and what it reaches: python -m benchmarks.bench_objective.

Four clips of 1 s, published target, from the noisy spectrum, one thread, all ways in one run: ours as a batch and
clip by clip, Adam with its usual forgetting and one step size, L-BFGS with a strong Wolfe search. The floor is the
time of the transforms alone, without which no step can be made: one inverse and its gradient an iteration.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks.bench_training_step import speech_pairs
from cmgan.models.systems import objective
from cmgan.signal import CMGAN_STFT, compressed_spectrum, istft, stft, waveform_of
from cmgan.study.objective.clips import Clips, clips_of
from cmgan.study.objective.experiments import PUBLISHED
from cmgan.study.objective.minimiser import minimise, state_of
from data_prep.whole_files import write_text

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks" / "objective.csv"
SECONDS, CLIPS, ITERATIONS = 1.0, 4, 200
PLAIN_ITERATIONS, PLAIN_STEP = 800, 0.1
LBFGS_EVALUATIONS = 800


def main() -> None:
    """Print the table and write results/benchmarks/objective.csv."""
    torch.set_num_threads(1)
    clips = clips_of(speech_pairs(CLIPS), SECONDS)
    ways: dict[str, Callable[[], Tensor]] = {
        "ours, as a batch": lambda: _ours(clips),
        "ours, clip by clip": lambda: torch.cat([_ours(clips.part(index)) for index in range(CLIPS)]),
        "ours, 400 iterations": lambda: _ours(clips, 2 * ITERATIONS),
        "ours, 800 iterations": lambda: _ours(clips, 4 * ITERATIONS),
        "Adam, 800 steps of one size": lambda: _adam(clips),
        "L-BFGS, 800 evaluations": lambda: torch.cat([_lbfgs(clips.part(index)) for index in range(CLIPS)]),
    }
    _ours(clips, 20)  # warms up
    rows = [_row(name, way, clips) for name, way in ways.items()]
    rows.append({"way": "floor: transforms of 200 iterations", "seconds_a_clip": _floor(clips)})
    table = pd.DataFrame(rows)
    table["ratio"] = table["seconds_a_clip"] / table["seconds_a_clip"].iloc[0]
    write_text(table.to_csv(index=False, float_format="%.4g"), RESULTS)
    print(table.to_string(index=False, float_format="%.4g"))


def _row(name: str, way: Callable[[], Tensor], clips: Clips) -> dict[str, str | float]:
    started = time.process_time()
    estimate = way()
    seconds = (time.process_time() - started) / CLIPS
    reached = sum(_objective(clips.part(i), estimate[i : i + 1]).item() for i in range(CLIPS)) / CLIPS
    return {"way": name, "seconds_a_clip": seconds, "objective_reached": reached}


def _ours(clips: Clips, iterations: int = ITERATIONS) -> Tensor:
    return minimise(clips, PUBLISHED, "noisy", iterations)[-1].estimate


def _adam(clips: Clips) -> Tensor:
    unknown = compressed_spectrum(clips.noisy).contiguous().requires_grad_(True)
    optimiser = torch.optim.Adam([unknown], lr=PLAIN_STEP)
    for _ in range(PLAIN_ITERATIONS):
        optimiser.zero_grad()
        _objective(clips, unknown).backward()
        optimiser.step()
    return unknown.detach()


def _lbfgs(clips: Clips) -> Tensor:
    unknown = compressed_spectrum(clips.noisy).contiguous().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [unknown], max_iter=LBFGS_EVALUATIONS, max_eval=LBFGS_EVALUATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = _objective(clips, unknown)
        total.backward()
        return total

    optimiser.step(closure)
    return unknown.detach()


def _objective(clips: Clips, estimate: Tensor) -> Tensor:
    state = state_of(clips, estimate.detach(), CMGAN_STFT)
    waveform = waveform_of(estimate, length=clips.clean.shape[-1])
    return objective(replace(state, estimate=estimate, waveform=waveform), None, PUBLISHED).total


def _floor(clips: Clips) -> float:
    spectrum = stft(clips.noisy).requires_grad_(True)
    started = time.process_time()
    for _ in range(ITERATIONS):
        istft(spectrum).sum().backward()
    return (time.process_time() - started) / CLIPS


if __name__ == "__main__":
    main()
