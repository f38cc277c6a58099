"""python -m cmgan: the command line."""

from cmgan.cli import app

app()
