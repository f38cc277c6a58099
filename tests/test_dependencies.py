"""Dependencies point one way: the study → the system → data preparation, and so do those of the study's folders."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ABOVE = {"data_prep": ("cmgan",), "cmgan": ("cmgan.study", "cmgan.commands")}


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("package", ABOVE)
def test_nothing_imports_what_rests_on_it(package):
    # The command line is where the study and the system meet.
    upper = ("study", "commands", "cli.py")
    files = [path for path in (ROOT / package).rglob("*.py") if not {*upper} & {*path.parts}]
    assert len(files) > 10
    upward = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files
        for name in _imported(path)
        if any(f"{name}.".startswith(f"{above}.") for above in ABOVE[package])
    }
    assert not upward


def test_no_two_folders_of_the_study_need_each_other():
    study = ROOT / "cmgan" / "study"
    needed: dict[str, set[str]] = {}
    for path in study.rglob("*.py"):
        # A folder of the study, or one of the modules beside them.
        own = path.relative_to(study).with_suffix("").parts[0]
        of_study = (name.split(".")[2] for name in _imported(path) if name.startswith("cmgan.study."))
        needed.setdefault(own, set()).update(name for name in of_study if name != own)
    assert len(needed) > 15
    # Raises CycleError, which names them.
    assert {*TopologicalSorter(needed).static_order()} == {*needed}
