import os
from pathlib import Path

import nbformat
import pytest

from cmgan.study.pipeline.code_closure import code_closure, digest_of, notebook_digest

ROOT = Path(__file__).parents[3]


def test_the_closure_holds_what_a_module_imports_however_deep():
    files = code_closure(["cmgan.losses"], ROOT)
    assert {"cmgan/losses.py", "cmgan/signal.py", "cmgan/labels.py", "cmgan/recipe.py"} <= set(files)


def test_the_closure_leaves_out_what_a_module_does_not_import():
    assert not any("training" in file or "study" in file for file in code_closure(["cmgan.signal"], ROOT))


def test_a_module_without_a_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"cmgan\.nowhere"):
        code_closure(["cmgan.nowhere"], ROOT)


def test_the_closure_holds_the_c_sources_that_a_module_names_and_their_headers():
    files = code_closure(["cmgan.kernels.feed_forward"], ROOT)
    assert {"cmgan/kernels/feed_forward.c", "cmgan/kernels/dropout.h"} <= set(files)
    assert "cmgan/kernels/relative_attention.c" not in files


def write_notebook(path, seed, source, outputs):
    parameters = nbformat.v4.new_code_cell(
        f"seed: int = {seed}  # a seed", metadata={"tags": ["parameters"]}, id="a"
    )
    code = nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=len(outputs) or None, id="b")
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, code]), path)
    return path


def test_a_notebook_that_was_only_looked_at_stays_the_same_and_one_with_another_cell_does_not(tmp_path):
    committed = notebook_digest(write_notebook(tmp_path / "a.ipynb", 0, "train(\n)", []))
    text = nbformat.v4.new_output("stream", text="trained\n")
    assert notebook_digest(write_notebook(tmp_path / "b.ipynb", 1, "train(\n)", [text])) == committed
    assert notebook_digest(write_notebook(tmp_path / "c.ipynb", 0, "train(\n1)", [])) != committed


def test_a_digest_tells_contents_and_names_but_not_times_or_places(tmp_path):
    for number, (folder, name, text) in enumerate(
        [("one", "a.py", "x"), ("two", "a.py", "x"), ("two", "b.py", "x"), ("two", "c.py", "y")]
    ):
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (number, number))
    one, two = tmp_path / "one", tmp_path / "two"
    assert digest_of(["a.py"], one) == digest_of(["a.py"], two)
    assert len({digest_of([name], two) for name in ("a.py", "b.py", "c.py")}) == 3
