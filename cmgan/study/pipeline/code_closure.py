"""The code behind a notebook, as one digest: a job is done again where it changes, in whichever checkout."""

import ast
import hashlib
import json
import re
from pathlib import Path

OWN_PACKAGES = ("cmgan", "data_prep")
NAMED_FILE = re.compile(r"""["']([\w-]+(?:\.\w+)+)["']""")


def notebook_code(notebook: Path) -> str:
    """SHA-256 of a notebook's cells and of every own file that they need, of the checkout that holds notebooks/.

    Outputs and the parameters cell are left out: both change when a notebook is looked at and saved, and neither
    reaches a job, which is given every parameter. Times and places of files do not count.
    """
    root = notebook.parents[1]
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    cells = [cell for cell in cells if "parameters" not in cell["metadata"].get("tags", [])]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    modules = [name for source in code for name in _imports(source)]
    digest = hashlib.sha256("\0".join("".join(cell["source"]) for cell in cells).encode())
    for name in code_closure(modules, root):
        content = (root / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def code_closure(modules: list[str], root: Path) -> list[str]:
    """Files (relative to `root`, sorted) of the modules and of all own modules they import, however deep.

    Files beside a module, or in data/ beside it, whose names stand quoted in it belong to it (C sources, templates,
    tables), and so do those that these name, such as headers. A module without a file is a name of another module.
    """
    found: set[Path] = set()
    waiting = list(filter(None, (_file_of(module, root) for module in modules)))
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            waiting += filter(None, (_file_of(name, root) for name in _imports(text)))
        named = {name for name in NAMED_FILE.findall(text) if not name.endswith(".py")}
        beside = (folder / name for name in named for folder in (path.parent, path.parent / "data"))
        waiting += [file for file in beside if file.is_file()]
    return sorted(str(path.relative_to(root)) for path in found)


def _imports(source: str) -> set[str]:
    """Own modules that a source may import: `from package import module` and `from module import name` look alike."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OWN_PACKAGES}


def _file_of(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
