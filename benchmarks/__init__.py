"""Speed as ratios against literal implementations; run one with `python -m benchmarks.bench_<name>`."""
