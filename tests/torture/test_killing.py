"""A training killed again and again ends with the bytes of one that nobody touched, and takes its workers along."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.processes import children, gone
from tests.tiny_corpus import write_tiny_corpus

ROOT = Path(__file__).resolve().parents[2]
STEPS = 16  # four epochs of four
BYTES = (
    "generator.pt",
    "generator_best.pt",
    "discriminators.pt",
    "config.json",
    "epochs.csv",
    "validation.csv",
)


@pytest.fixture(scope="module")
def longer_manifest(tmp_path_factory):
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), np.random.default_rng(1), utterances=6)


def _started(manifest, output):
    sizes = "--channels 4 --blocks 1 --epochs 4 --batch-size 1 --crop-seconds 0.5 --pesq-workers 1"
    # Unmeasured: a signal that comes while coverage holds its lock waits for that lock for ever.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "cmgan", "train", manifest, output, *sizes.split(" ")],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What a shell starts in the background ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _steps(output):
    """Rows that the run has logged."""
    log = next(
        (path for path in (output / "unfinished" / "steps.csv", output / "steps.csv") if path.exists()), None
    )
    return log.read_text().count("\n") - 1 if log else 0


def _kill_after(training, output, steps, delay, how):
    """Send a signal `delay` seconds after that many steps were logged; whether the training still ran."""
    while training.poll() is None and _steps(output) < steps:
        time.sleep(0.005)
    time.sleep(delay)
    workers = children(training.pid) if training.poll() is None else []
    training.send_signal(how)
    said = training.communicate()[0]
    assert all(gone(worker, 5) for worker in workers), "a worker outlived its training"
    assert "Traceback" not in said or how == signal.SIGINT, said
    return training.returncode != 0


def _untimed(folder):
    return [line.rsplit(",", 1)[0] for line in (folder / "steps.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(longer_manifest, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "run"
    training = _started(longer_manifest, output)
    assert training.wait() == 0, training.stdout.read()
    assert _steps(output) == STEPS
    return output


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize(
    ("seed", "signals"),
    [
        pytest.param(0, SIGNALS, id="each"),
        *(
            pytest.param(seed, [how] * 4, marks=pytest.mark.torture, id=f"{how.name}-{seed}")
            for how in SIGNALS
            for seed in (1, 2, 3)
        ),
    ],
)
def test_a_training_killed_at_random_moments_ends_with_the_same_bytes(
    longer_manifest, whole, tmp_path, seen, seed, signals
):
    rng = np.random.default_rng([seed, *signals])
    output, kills = tmp_path / "run", 0
    # Each kill lies some steps beyond the last; a run that goes on begins at its last epoch.
    moments = np.sort(rng.integers(0, STEPS, len(signals))).tolist()
    for steps, how in zip(moments, signals, strict=True):
        kills += _kill_after(_started(longer_manifest, output), output, steps, rng.uniform(0, 0.15), how)
    training = _started(longer_manifest, output)
    assert training.wait() == 0, training.stdout.read()
    assert kills >= len(signals) / 2
    assert _untimed(output) == _untimed(whole)
    for name in BYTES:
        assert (output / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted(path.name for path in output.iterdir()) == sorted(path.name for path in whole.iterdir())
    names = " and ".join(dict.fromkeys(how.name for how in signals))
    seen(
        f"`cmgan train` ended by {names} shortly after steps {', '.join(map(str, moments))} of {STEPS}",
        "resumed each time; the same bytes in weights and logs as undisturbed, no worker left",
    )
