"""Append-only CSV logs that an interrupted run can take up again."""

import csv
import io
from pathlib import Path

from data_prep.whole_files import explained_when_unwritable, write_text


class CsvLog:
    """Rows appended to a CSV file one at a time, each written through at once so that it can be watched.

    Columns are fixed by the first row; a later row with other columns raises ValueError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: list[str] | None = None
        if path.exists() and path.stat().st_size:
            with path.open(newline="") as file:
                self._columns = next(csv.reader(file))

    def append(self, row: dict[str, object]) -> None:
        """Write one row; None and NaN become empty cells."""
        new = self._columns is None
        if new:
            self._columns = list(row)
        elif list(row) != self._columns:
            raise ValueError(f"{self.path}: row has columns {list(row)}, the file has {self._columns}")
        with explained_when_unwritable(self.path), self.path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(self._columns)
            writer.writerow(["" if _missing(value) else value for value in row.values()])


def keep_rows_up_to(path: Path, column: str, last: int) -> None:
    """Drop the rows after `last` in `column`: what an interrupted run wrote beyond its checkpoint.

    Rows that stay keep every byte; one cut off in the middle of a write goes, and all of a file whose header is.
    """
    if not path.exists():
        return
    text = path.read_bytes().decode()
    # Not by lines: a quoted cell, such as the name of an utterance, may hold any of the characters that end one.
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not text.endswith("\n"):
        rows = rows[:-1]
    if not rows:
        path.unlink()
        return
    header, *rows = rows
    place = header.index(column)
    kept = [row for row in rows if len(row) == len(header) and int(row[place]) <= last]
    whole = io.StringIO()
    csv.writer(whole, lineterminator="\n").writerows([header, *kept])
    write_text(whole.getvalue(), path)


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)
