"""Executed notebooks made fit to be published: figures small and embedded, no sound, no path of the machine."""

import base64
import io
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from data_prep.whole_files import write_text

# Notebooks that a run executes once for each arm and seed; of these the first seed is kept.
FOR_EACH_TRAINING = ("04_training", "05_evaluation")
WIDEST_PIXELS, COLOURS = 900, 256
NOT_KEPT = "Sound is not kept here: execute the notebook to hear it."
# Files of a kernel's cells, which warnings name.
CELL_FILE = re.compile(r"\S*ipykernel_\d+/\d+\.py")


def keep_notebooks(run: Path, folder: Path, seed: int, places: Mapping[str, str]) -> list[Path]:
    """Write the run's executed notebooks to folder/notebooks, fit to be published; returns the files.

    seed: whose trainings and evaluations are kept, of all arms. places: what stands for each path of the machine.
    """
    files = [
        file
        for file in sorted((run / "notebooks").glob("*.ipynb"))
        if not file.stem.startswith(FOR_EACH_TRAINING) or file.stem.endswith(f"-{seed}")
    ]
    names = [file.name for file in files]
    return [keep_notebook(file, folder / "notebooks" / file.name, places, names) for file in files]


def keep_notebook(file: Path, target: Path, places: Mapping[str, str], names: Sequence[str]) -> Path:
    """Write an executed notebook to `target`, fit to be published, with links to those that lie there: `names`."""
    notebook = publishable(nbformat.read(file, as_version=4), places)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "markdown"):
        for each in FOR_EACH_TRAINING:
            first = next((name for name in names if name.startswith(each)), f"{each}.ipynb")
            cell.source = cell.source.replace(f"]({each}.ipynb", f"]({first}")
    write_text(nbformat.writes(notebook) + "\n", target)
    return target


def publishable(notebook: NotebookNode, places: Mapping[str, str]) -> NotebookNode:
    """A copy of an executed notebook with its words, tables and figures, and nothing of the machine that executed it.

    places: what stands for each path; the longest are replaced first.
    """
    machine = {str(Path(sys.prefix)): "python", str(Path.home()): "~", tempfile.gettempdir(): "tmp"}
    # A service's home may be the root of the file system, which begins every path.
    named = {path: name for path, name in (machine | dict(places)).items() if path != "/"}
    ordered = sorted(named.items(), key=lambda place: -len(place[0]))
    kept = deepcopy(notebook)
    kept.metadata = _those(kept.metadata, "kernelspec", "language_info")
    for cell in kept.cells:
        # What a cell is for, and whether JupyterLab folds its source.
        cell.metadata = _those(cell.metadata, "tags", "jupyter")
        if cell.cell_type == "code":
            cell.source = _placed(cell.source, ordered)
            cell.outputs = [
                _publishable_output(output, ordered) for output in cell.outputs if _is_of_use(output)
            ]
    return kept


def shrunk(png: bytes) -> bytes:
    """A PNG of at most `WIDEST_PIXELS` across and a palette of 256 colours; the given one where that is smaller."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if image.width > WIDEST_PIXELS:
        height = round(image.height * WIDEST_PIXELS / image.width)
        image = image.resize((WIDEST_PIXELS, height), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.quantize(COLOURS).save(written, format="PNG", optimize=True)
    return min(png, written.getvalue(), key=len)


def _those(metadata: NotebookNode, *names: str) -> NotebookNode:
    return NotebookNode({name: metadata[name] for name in names if name in metadata})


def _is_of_use(output: NotebookNode) -> bool:
    """Whether a reader wants it: neither a warning nor an error."""
    return output.output_type != "error" and output.get("name") != "stderr"


def _publishable_output(output: NotebookNode, places: Sequence[tuple[str, str]]) -> NotebookNode:
    """The output without paths, sound and metadata."""
    if output.output_type == "stream":
        return NotebookNode(output, text=_placed(output.text, places))
    data = dict(output.data)
    if "data:audio" in data.get("text/html", "") or any(kind.startswith("audio/") for kind in data):
        data = {"text/markdown": NOT_KEPT, "text/plain": NOT_KEPT}
    if "image/png" in data:
        small = base64.b64encode(shrunk(base64.b64decode(data["image/png"]))).decode()
        data = {"image/png": small, "text/plain": data.get("text/plain", "")}
    data.pop("application/vnd.jupyter.widget-view+json", None)
    # In the letters of an image a short path could stand by chance.
    data = {
        kind: _placed(value, places) if kind.startswith("text/") else value for kind, value in data.items()
    }
    return NotebookNode(output, data=data, metadata={})


def _placed(text: str, places: Sequence[tuple[str, str]]) -> str:
    text = CELL_FILE.sub("cell", text)
    for path, name in places:
        text = text.replace(path, name)
    return text
