import os
from pathlib import Path

import nbformat

from cmgan.study.pipeline.code_closure import code_closure, notebook_code

ROOT = Path(__file__).parents[3]


def test_the_closure_holds_what_a_module_imports_however_deep():
    files = code_closure(["cmgan.losses"], ROOT)
    assert {"cmgan/losses.py", "cmgan/signal.py", "cmgan/labels.py", "cmgan/recipe.py"} <= set(files)


def test_the_closure_leaves_out_what_a_module_does_not_import():
    files = code_closure(["cmgan.signal"], ROOT)
    assert "cmgan/signal.py" in files
    assert not any("training" in file or "study" in file for file in files)


def test_the_closure_holds_the_files_that_a_module_names_and_those_that_they_name():
    files = code_closure(["cmgan.kernels.conformer"], ROOT)
    assert {"cmgan/kernels/conformer.c", "cmgan/kernels/vectors.h"} <= set(files)
    assert (ROOT / "cmgan" / "kernels" / "attention.c").is_file()
    assert "cmgan/kernels/attention.c" not in files


def test_the_closure_holds_tables_in_the_data_folder_beside_a_module(tmp_path):
    (tmp_path / "cmgan" / "data").mkdir(parents=True)
    (tmp_path / "cmgan" / "scores.py").write_text('TABLE = Path(__file__).parent / "data" / "scores.csv"')
    for name in ("scores.csv", "other.csv"):
        (tmp_path / "cmgan" / "data" / name).touch()
    assert code_closure(["cmgan.scores"], tmp_path) == ["cmgan/data/scores.csv", "cmgan/scores.py"]


def code_of(checkout, default=0, cell="train(\n)", outputs=(), module="ARMS = 1\n", changed_at=1000):
    """The code of a notebook in a checkout with one module, which it imports."""
    parameters = nbformat.v4.new_code_cell(
        f"seed: int = {default}  # a seed", metadata={"tags": ["parameters"]}, id="a"
    )
    code = nbformat.v4.new_code_cell(
        f"from cmgan.arms import ARMS\n{cell}",
        outputs=[*outputs],
        execution_count=len(outputs) or None,
        id="b",
    )
    for folder in ("notebooks", "cmgan"):
        (checkout / folder).mkdir(parents=True, exist_ok=True)
    (checkout / "cmgan" / "arms.py").write_text(module)
    os.utime(checkout / "cmgan" / "arms.py", (changed_at, changed_at))
    path = checkout / "notebooks" / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, code]), path)
    return notebook_code(path)


def test_a_notebook_that_was_only_looked_at_stays_the_same_in_any_checkout(tmp_path):
    text = nbformat.v4.new_output("stream", text="trained\n")
    looked_at = code_of(tmp_path / "one", default=1, outputs=[text])
    assert looked_at == code_of(tmp_path / "two", changed_at=2000)


def test_a_notebook_with_another_cell_or_module_is_another(tmp_path):
    changed = {"cell": "train(\n1)"}, {"module": "ARMS = 2\n"}, {}
    assert len({code_of(tmp_path, **change) for change in changed}) == 3
