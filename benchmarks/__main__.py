"""Every benchmark in turn, each in a process of its own with the environment of jobs: python -m benchmarks."""

import os
import subprocess
import sys
from pathlib import Path

from cmgan.job_environment import JOB_ENVIRONMENT


def main() -> None:
    """Run bench_*.py; each prints its table and writes results/benchmarks/*.csv."""
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {script.stem.removeprefix('bench_').replace('_', ' ')}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{script.stem}"]
        subprocess.run(command, check=True, env=os.environ | JOB_ENVIRONMENT)


if __name__ == "__main__":
    main()
