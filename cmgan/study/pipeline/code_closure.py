"""Which of the project's own files a module needs: what a step must rerun for when it changes."""

import ast
import hashlib
import json
import re
from pathlib import Path

OWN_PACKAGES = ("cmgan", "data_prep")
INCLUDE = re.compile(r'#include "([^"]+)"')


def code_closure(modules: list[str], root: Path) -> list[str]:
    """Files (relative to `root`, sorted) of the modules and of all own modules they import, however deep.

    C sources that a module names, and the headers these include, belong to it.

    Raises FileNotFoundError for a module without a file.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found[module] = _file_of(module, root)
        waiting += [name for name in _imports(found[module]) if _exists(name, root)]
    modules_and_sources = {source for path in found.values() for source in (path, *_c_sources(path))}
    return sorted(str(path.relative_to(root)) for path in modules_and_sources)


def notebook_modules(notebook: Path) -> list[str]:
    """Own modules that a notebook imports, from the text of its code cells."""
    import nbformat

    cells = nbformat.read(notebook, as_version=4).cells
    names = {name for cell in cells if cell.cell_type == "code" for name in _imports_in(cell.source)}
    root = notebook.parents[1]
    return sorted(name for name in names if _exists(name, root))


def notebook_digest(notebook: Path) -> str:
    """SHA-256 of what a notebook's cells say, without outputs and default parameters.

    Both change when a notebook is looked at and saved, and neither reaches a job, which is given every parameter.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = [
        "".join(cell["source"]) for cell in cells if "parameters" not in cell["metadata"].get("tags", [])
    ]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def digest_of(files: list[str], root: Path) -> str:
    """SHA-256 over names and contents of files, given relative to `root`."""
    digest = hashlib.sha256()
    for name in files:
        content = (root / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _c_sources(module: Path) -> set[Path]:
    """C files beside a module that its text names, with the headers beside them that they include."""
    texts = (node.value for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Constant))
    waiting = [
        module.with_name(text) for text in texts if isinstance(text, str) and re.fullmatch(r"\w+\.c", text)
    ]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path.is_file() and path not in found:
            found.add(path)
            waiting += [path.with_name(name) for name in INCLUDE.findall(path.read_text())]
    return found


def _imports(path: Path) -> set[str]:
    return _imports_in(path.read_text())


def _imports_in(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` and `from module import name` look alike: offer both.
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OWN_PACKAGES}


def _exists(module: str, root: Path) -> bool:
    try:
        _file_of(module, root)
    except FileNotFoundError:
        return False
    return True


def _file_of(module: str, root: Path) -> Path:
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no file for module {module} under {root}")
