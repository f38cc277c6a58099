"""Notebooks as papermill leaves them."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

new = nbformat.v4


def executed_notebook(*outputs: NotebookNode, source: str = "1") -> NotebookNode:
    """A notebook of one cell with these outputs and what papermill notes beside them."""
    cell = new.new_code_cell(source, outputs=list(outputs), execution_count=1)
    cell.metadata["papermill"] = {"duration": 1.0, "start_time": "2026-01-01"}
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    metadata |= {"papermill": {"input_path": "/home/someone/a.ipynb"}, "widgets": {"state": {}}}
    return new.new_notebook(cells=[cell], metadata=metadata)


def write_executed(path: Path, printed: str) -> None:
    """Write a notebook of one cell that printed something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(executed_notebook(new.new_output("stream", name="stdout", text=printed)), path)
