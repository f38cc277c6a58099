"""Settings: fields of a data class whose annotations say what they mean and which values they take."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, get_args, get_origin


@dataclass(frozen=True)
class Setting:
    """What `Annotated[int, Setting(...)]` says. meaning: in words, with its unit; least: the smallest value.

    Of a list, the smallest of its items.
    """

    meaning: str = ""
    least: float | None = None


class Declared(NamedTuple):
    """A field: the type of its values, the choices where it is a Literal, what is said of it, and its default."""

    type: type
    choices: tuple
    said: Setting
    default: object


def declared(settings: object) -> dict[str, Declared]:
    """The fields of a data class by name."""
    found = {}
    for field in dataclasses.fields(settings):
        kind, said = get_args(field.type) if get_origin(field.type) is Annotated else (field.type, Setting())
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        found[field.name] = Declared(type(choices[0]) if choices else kind, choices, said, default)
    return found


def check_settings(settings: object) -> None:
    """Raise ValueError with the first field of a data class that has a wrong type, or a value it does not take."""
    for name, (kind, choices, said, _) in declared(settings).items():
        value = getattr(settings, name)
        item = get_args(kind)[0] if get_origin(kind) is list else kind
        if item is not kind and type(value) is not list:
            raise ValueError(f"{name} is {value!r}: use a list, such as [0,1]")
        for each in value if item is not kind else [value]:
            _check(name, each, item, said)
        if choices and value not in choices:
            raise ValueError(f"{name} is {value!r}: use one of {', '.join(choices)}")


def _check(name: str, value: object, kind: type, said: Setting) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number if kind is float else type(value) is kind):
        hint = " (YAML reads 5e-4 as text: write 5.0e-4)" if kind is float and isinstance(value, str) else ""
        raise ValueError(f"{name} is {value!r}: use a value of type {kind.__name__}{hint}")
    if is_number and not math.isfinite(value):
        raise ValueError(f"{name} is {value}: use a finite number")
    if said.least is not None and value < said.least:
        raise ValueError(f"{name} is {value}: use at least {said.least:g} ({said.meaning})")
