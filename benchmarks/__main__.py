"""Every benchmark in turn, each in a process of its own: python -m benchmarks."""

import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run bench_*.py; each prints its table and writes results/benchmarks/*.csv."""
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {script.stem.removeprefix('bench_').replace('_', ' ')}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{script.stem}"], check=True)


if __name__ == "__main__":
    main()
