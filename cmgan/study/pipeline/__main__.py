"""python -m cmgan.study.pipeline: run a profile."""

import typer

from cmgan.study.pipeline.run import main

if __name__ == "__main__":
    typer.run(main)
