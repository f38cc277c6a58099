import os
import sys
from pathlib import Path

import nbformat
import pytest

from cmgan.study.claims.verdicts import judge_run
from cmgan.study.code_closure import code_closure, needed_code, notebook_code
from cmgan.study.run_results import load_run

ROOT = Path(__file__).parents[2]


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


def figures_module(first="return 1", second="return 2", kept="return 3", loose="1"):
    """A module whose functions `first` and `kept` (named in a string, decorated) a notebook needs, not `second`."""
    return (
        f"import functools\nLOOSE = {loose}\ndef first():\n    return helper()\n"
        f"def helper():\n    {first}\n# Of the other figure.\ndef second():\n    '''Beside first.'''\n    {second}\n"
        f"def kept():\n    {kept}\n@functools.cache\ndef decorated(second=1):\n    return 'cmgan.arms:kept'\n"
    )


def digest_of(checkout, **changes):
    return code_of(checkout, cell="from cmgan.arms import first\nfirst()", module=figures_module(**changes))


def test_a_function_that_a_notebook_does_not_need_may_change(tmp_path):
    assert digest_of(tmp_path) == digest_of(tmp_path, second="return first() + 2")


@pytest.mark.parametrize("change", [{"first": "return 0"}, {"kept": "return 0"}, {"loose": "second"}])
def test_a_function_that_is_needed_by_way_of_another_a_string_or_the_module_may_not(tmp_path, change):
    assert digest_of(tmp_path) != digest_of(tmp_path, **change)


def test_a_function_that_only_a_file_beside_the_module_names_is_needed(tmp_path):
    (tmp_path / "cmgan").mkdir()
    (tmp_path / "cmgan" / "rules.yaml").write_text("rule: decide\n")
    (tmp_path / "cmgan" / "rules.py").write_text('FILE = "rules.yaml"\n\ndef decide():\n    pass\n')
    needed = needed_code(["from cmgan.rules import FILE"], tmp_path)
    assert b"def decide" in needed["cmgan/rules.py"]
    (tmp_path / "cmgan" / "rules.yaml").write_text("rule: none\n")
    assert b"def decide" not in needed_code(["from cmgan.rules import FILE"], tmp_path)["cmgan/rules.py"]


def test_every_function_that_judging_a_run_calls_is_needed_by_the_notebook_that_judges():
    cells = nbformat.read(ROOT / "notebooks" / "07_comparison_report.ipynb", as_version=4).cells
    needed = needed_code([cell.source for cell in cells if cell.cell_type == "code"], ROOT)
    called = set()

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT / "cmgan")):
            called.add(frame.f_code)

    sys.setprofile(note)
    try:
        judge_run(load_run(ROOT / "results" / "default"))
    finally:
        sys.setprofile(None)
    files = {code: str(Path(code.co_filename).relative_to(ROOT)) for code in called}
    first_lines = {
        code: Path(code.co_filename).read_text().splitlines()[code.co_firstlineno - 1] for code in called
    }
    missing = [code for code in called if first_lines[code].encode() not in needed.get(files[code], b"")]
    assert len(called) > 100
    assert not missing
