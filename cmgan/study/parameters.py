"""Notebook parameters: read once, typed, and refused when a name or value is unknown."""

import dataclasses
from collections.abc import MutableMapping
from types import ModuleType
from typing import TypeVar

Parameters = TypeVar("Parameters")

# What IPython itself puts into a kernel's namespace.
IPYTHON_NAMES = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython", "display"})
# Left in a namespace whose names were checked: from then on it also holds what later cells made.
CHECKED = "_parameters_checked"


def read_parameters(kind: type[Parameters], namespace: MutableMapping[str, object]) -> Parameters:
    """The notebook's parameters as the data class `kind`, from its globals right after the parameters cells.

    papermill injects any name it is given, so a misspelt parameter would silently keep its default: every name
    that is neither a field of `kind` nor a module, function or class raises ValueError, as does a wrong type.
    Names are checked on the first call with a namespace, values on every one: cells may be run again.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = {name: value for name, value in namespace.items() if _is_parameter(name, value)}
    unknown = sorted(set(given) - set(fields))
    if unknown and CHECKED not in namespace:
        raise ValueError(f"unknown parameter {', '.join(unknown)}: this notebook has {', '.join(fields)}")
    missing = sorted(set(fields) - set(given))
    if missing:
        raise ValueError(f"missing parameter {', '.join(missing)}")
    for name, field in fields.items():
        _check_type(name, given[name], field.type)
    namespace[CHECKED] = True
    return kind(**{name: given[name] for name in fields})


def _is_parameter(name: str, value: object) -> bool:
    if name.startswith("_") or name in IPYTHON_NAMES:
        return False
    return not isinstance(value, ModuleType | type) and not callable(value)


def _check_type(name: str, value: object, expected: type) -> None:
    allowed = (int, float) if expected is float else (expected,) if isinstance(expected, type) else (list,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and expected is not bool):
        wanted = getattr(expected, "__name__", str(expected))
        raise ValueError(f"parameter {name} is {value!r}: use a {wanted}")
