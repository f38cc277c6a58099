"""The code behind a notebook or a figure, as one digest: where it changes, they are made again, in any checkout."""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OWN_PACKAGES = ("cmgan", "data_prep")
NAMED_FILE = re.compile(r"""["']([\w-]+(?:\.\w+)+)["']""")
WORD = re.compile(r"\w+")


def notebook_code(notebook: Path) -> str:
    """SHA-256 of a notebook's cells and of the own code that they need, of the checkout that holds notebooks/.

    Outputs and the parameters cell are left out: both change when a notebook is looked at and saved, and neither
    reaches a job, which is given every parameter. Times and places of files do not count.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    cells = [cell for cell in cells if "parameters" not in cell["metadata"].get("tags", [])]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    said = "\0".join("".join(cell["source"]) for cell in cells)
    return _digest(said, needed_code(code, notebook.parents[1]))


def function_code(function: Callable[..., object], root: Path) -> str:
    """SHA-256 of the own code that a function at the top of a module below `root` needs, itself included."""
    used = f"from {function.__module__} import {function.__name__}\n{function.__name__}()\n"
    return _digest(used, needed_code([used], root))


def _digest(said: str, code: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(said.encode())
    for name, content in code.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def needed_code(sources: Iterable[str], root: Path) -> dict[str, bytes]:
    """What Python sources need of each file of their closure: its content by its path relative to `root`.

    That is each file but for functions and classes at the top of a module that no needed code names: another
    notebook's figure may change. A name is an identifier that is read, an attribute, or a word in a string or in a
    file that is no Python (workers, rules and templates have functions as words), but none in a docstring. Whose name
    it is does not matter, so that rather too much is needed than too little. What is decorated is needed: its
    decorator may keep it.
    """
    sources = list(sources)
    files = code_closure(set[str]().union(*map(_imports, sources)), root)
    contents = {file: (root / file).read_bytes() for file in files}
    parts = {file: _parts(content.decode()) for file, content in contents.items() if file.endswith(".py")}
    waiting = [part for of_file in parts.values() for part in of_file if part.defines]
    newly = [part for of_file in parts.values() for part in of_file if not part.defines]
    newly += [part for source in sources for part in _parts(source)]
    names = {word for file in files if file not in parts for word in WORD.findall(contents[file].decode())}
    while newly:
        names.update(*(part.names for part in newly))
        newly = [part for part in waiting if part.defines in names]
        waiting = [part for part in waiting if part.defines not in names]
    needed = {
        file: [part.text for part in parts[file] if part.defines in names or not part.defines]
        for file in parts
    }
    return contents | {file: "".join(texts).encode() for file, texts in needed.items()}


def code_closure(modules: Iterable[str], root: Path) -> list[str]:
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


@dataclass(frozen=True)
class Part:
    """A statement at the top of a module, with the comments before it: what it defines, names and imports.

    defines: of an undecorated function or class its name; "" for what is run when the module is imported.
    imports: own modules that it may import, `from package import module` and `from module import name` look alike.
    """

    text: str
    defines: str
    names: frozenset[str]
    imports: frozenset[str]


# Notebooks share most of their modules, so that it is asked for the same source again and again.
@cache
def _parts(source: str) -> tuple[Part, ...]:
    lines, start, parts = source.splitlines(keepends=True), 0, []
    for node in ast.parse(source).body:
        defined = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.decorator_list
        text, start = "".join(lines[start : node.end_lineno]), node.end_lineno
        nodes = list(ast.walk(node))
        names, imports = frozenset(_names(nodes)), frozenset(_own_modules(nodes))
        parts.append(Part(text, node.name if defined else "", names, imports))
    return tuple(parts)


def _imports(source: str) -> frozenset[str]:
    return frozenset[str]().union(*(part.imports for part in _parts(source)))


def _own_modules(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in OWN_PACKAGES)


def _names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.name.rpartition(".")[2]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield from WORD.findall(node.value)


def _file_of(module: str, root: Path) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
