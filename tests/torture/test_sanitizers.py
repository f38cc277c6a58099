"""The kernels' own tests with kernels that the compiler has instrumented."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Instrumented themselves, compilers take minutes: they run before the sanitizers' libraries are loaded.
COMPILE = """
from cmgan.kernels import attention, conformer, dense_net, library
for size in (4, 8, 12, 16):
    library._compiled(library._compiler(), library.FOLDER / attention.SOURCE, attention.definitions(4 * size, 4))
for source in (conformer.SOURCE, dense_net.SOURCE):
    library._compiled(library._compiler(), library.FOLDER / source, ())
"""
ONE_TOKEN_TOO_MANY = """
import torch
from cmgan.kernels import conformer
from cmgan.kernels.library import native_library, run_shared
x, out, weight, bias = torch.zeros(3, 16), torch.zeros(3, 16), torch.zeros(16, 16), torch.zeros(16)
first, none = conformer._arrays_of(weight, bias, 16), (None,) * 4
layers = conformer._layers(x, first, none[:3], none, (0, 0, 0), 16, False, False)
run_shared(native_library(conformer.SOURCE), "step", (x, None, out), layers, len(x) + 1)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of processes whose kernels are built with AddressSanitizer and UndefinedBehaviorSanitizer."""
    loaded = f"{_runtime('libasan.so')} {_runtime('libubsan.so')}"
    building = os.environ | {
        "CC": "gcc -fsanitize=address,undefined -fno-sanitize-recover=undefined -g",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "OMP_NUM_THREADS": "2",
    }
    compiled = _run(building, "-c", COMPILE)
    assert compiled.returncode == 0, compiled.stderr
    return building | {"LD_PRELOAD": loaded, "ASAN_OPTIONS": "detect_leaks=0"}


def _runtime(name: str) -> str:
    said = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    if not Path(said.stdout.strip()).is_absolute():
        pytest.skip(f"gcc comes without {name}")
    return said.stdout.strip()


def _run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.torture
def test_kernels_touch_nothing_outside_their_arrays_and_rely_on_no_undefined_behaviour(seen, environment):
    run = _run(
        environment, "-m", "pytest", "-q", "-rs", "tests/kernels/test_kernels.py", "-p", "no:cacheprovider"
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "skipped" not in run.stdout
    seen("the kernels' tests with AddressSanitizer and UndefinedBehaviorSanitizer", "nothing found")


@pytest.mark.torture
def test_a_kernel_that_reads_past_its_array_would_be_caught(environment):
    run = _run(environment, "-c", ONE_TOKEN_TOO_MANY)
    assert run.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in run.stderr
