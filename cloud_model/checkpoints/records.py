"""Validate untrusted JSON into dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def from_record(cls: type[Record], values: Any) -> Record:
    """Make a dataclass of JSON values of exactly the types of its fields.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are numbers, strings, literals, dataclasses, mappings from names to such, or None.
    values : Any
        A JSON object; entries of other names are left alone.

    Raises
    ------
    ValueError
        If an entry is missing, of another type, a number that is not finite, or a string with control characters.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{values!r:.40} is not a JSON object")
    hints = get_type_hints(cls)
    given: dict[str, Any] = {}
    for entry in fields(cls):  # type: ignore[arg-type]
        if entry.name in values:
            given[entry.name] = _value(hints[entry.name], values[entry.name], entry.name)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{entry.name} is missing")
    return cls(**given)


def _value(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return from_record(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is Mapping and isinstance(value, dict):
        if not all(map(str.isprintable, value)):
            raise ValueError(f"{name} has a name with control characters")
        return {key: _value(get_args(hint)[1], entry, f"{name} {key!r:.40}") for key, entry in value.items()}
    if not _fits(hint, value):
        raise ValueError(f"{name} is {value!r:.40}")
    return float(value) if hint is float else value


def _fits(hint: Any, value: Any) -> bool:
    if get_origin(hint) is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if get_origin(hint) is UnionType:
        return any(_fits(member, value) for member in get_args(hint))
    if hint is float:
        return type(value) in (int, float) and abs(value) < 1e300 and isfinite(value)
    if hint is str:
        return isinstance(value, str) and value.isprintable()  # it may be shown in a terminal
    return hint in (int, bool, NoneType) and type(value) is hint
