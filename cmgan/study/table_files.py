"""Tables as CSV that exist whole or not at all."""

from pathlib import Path

import pandas as pd


def write_table(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write a frame without its index, making the folder where needed, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    frame.to_csv(partial, index=False)
    partial.replace(path)
    return frame
