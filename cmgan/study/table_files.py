"""Tables as CSV that exist whole or not at all."""

from pathlib import Path

import pandas as pd


def write_table(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write a frame without its index, making the folder where needed, and return it.

    A file that holds the same already keeps its time, so that nothing that depends on it is done again.
    """
    text = frame.to_csv(index=False)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(text, path)
    return frame


def write_text(text: str, path: Path) -> None:
    """Write a text file that is whole or not there at all, making the folder where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
