"""A whole run: its profile, what it would cost, and snakemake at work on it."""
