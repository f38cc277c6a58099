import io
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from cmgan.study.pipeline.run_notebook import NotebookFailedError, main, run_notebook


def _notebook(path, *cells):
    parameters = nbformat.v4.new_code_cell("seed: int = 0  # a seed")
    parameters.metadata["tags"] = ["parameters"]
    code = [nbformat.v4.new_code_cell(source) for source in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[parameters, *code], metadata=kernel), path)
    return path


def test_cells_output_is_passed_on_and_the_executed_notebook_is_kept_with_its_page(tmp_path):
    notebook, shown = _notebook(tmp_path / "a.ipynb", "print('seed is', seed)"), io.StringIO()
    run_notebook(notebook, tmp_path / "out" / "a.ipynb", {"seed": 7}, shown)
    assert "seed is 7" in shown.getvalue()
    assert "seed is 7" in (tmp_path / "out" / "a.html").read_text()


def test_a_failing_cell_leaves_the_executed_copy_with_the_error_and_no_page(tmp_path):
    notebook, executed = (
        _notebook(tmp_path / "a.ipynb", "raise ValueError('p257_143.wav is short')"),
        tmp_path / "b.ipynb",
    )
    executed.with_suffix(".html").write_text("of an earlier run")
    with pytest.raises(NotebookFailedError, match=r"ValueError: p257_143\.wav is short"):
        run_notebook(notebook, executed, {}, io.StringIO())
    assert "p257_143.wav is short" in executed.read_text()
    assert not executed.with_suffix(".html").exists()


def test_a_dead_kernel_marks_the_executed_copy(tmp_path):
    notebook, executed = _notebook(tmp_path / "a.ipynb", "import os; os._exit(1)"), tmp_path / "b.ipynb"
    with pytest.raises(NotebookFailedError, match="kernel died"):
        run_notebook(notebook, executed, {}, io.StringIO())
    assert "kernel died" in nbformat.read(executed, as_version=4).cells[0].source


def test_a_notebook_says_what_it_asks_as_it_starts_and_what_it_finds_as_it_ends(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "notebooks").mkdir()
    notebook = _notebook(
        tmp_path / "notebooks" / "01_asking.ipynb",
        "from IPython.display import Markdown\nprint('works')",
        "Markdown('**Yes**, it does.')",
    )
    cells = nbformat.read(notebook, as_version=4)
    cells.cells.insert(0, nbformat.v4.new_markdown_cell("# 1. Asking\n\n**Question.** Does it?\n\nMore."))
    cells.cells[-1].metadata["tags"] = ["finding"]
    nbformat.write(cells, notebook)
    (tmp_path / "notebooks" / "Snakefile").touch()
    monkeypatch.chdir(tmp_path)
    main("01_asking", Path("results/run"), "{}", "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[01_asking] asks: Does it?"
    assert lines.index("[01_asking] works") < lines.index("[01_asking] finds: Yes, it does.")
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("imported", ["cmgan.study.pipeline.run_notebook", "cmgan.study.notebook_text"])
def test_neither_a_job_nor_its_kernel_waits_for_a_grammar_of_addresses(imported):
    # It took longer to compile than everything else that a job imports, beside torch; lark is what compiles it.
    code = f"import sys, {imported}; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
