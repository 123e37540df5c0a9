"""Parse JSON of unknown origin, and validate it, or a table of TOML, into dataclasses."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from cloud_model.process import Temporarily

Record = TypeVar("Record")

_DEPTH = 3000
_shallow = Temporarily(sys.getrecursionlimit, sys.setrecursionlimit, lambda limit: min(limit, _DEPTH))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may be nested without end.

    The limit of recursion that guards the parser is the process's, and symfc, which phonopy imports, raises it to where
    the stack overflows; so it is lowered during the call.

    Raises
    ------
    ValueError
        If it is not JSON, nested too deeply, or an object has two entries of one name.
    """
    try:
        with _shallow:
            return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it states {next(name for name in names if names.count(name) > 1)!r:.40} twice")
    return found


def from_record(cls: type[Record], values: Any, *, only_known: bool = False) -> Record:
    """Make a dataclass of values of exactly the types of its fields.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are numbers, strings, literals, dataclasses, lists, mappings from names to such, or
        None.
    values : Any
        A JSON object or a TOML table.
    only_known : bool
        Refuse entries of other names, which are left alone otherwise.

    Raises
    ------
    ValueError
        If an entry is missing, of another type, a number that is not finite, or a string with control characters.
    """
    return _record(cls, values, "", only_known)


def _record(cls: type[Record], values: Any, place: str, only_known: bool) -> Record:
    if not isinstance(values, dict):
        raise ValueError(f"{place or repr(values):.40} is not a JSON object")
    place = f"{place}." if place else ""
    hints = get_type_hints(cls)
    unknown = values.keys() - hints.keys()
    if only_known and unknown:
        raise ValueError(f"{place}{min(unknown)} is unknown; known are {', '.join(hints)}")
    given: dict[str, Any] = {}
    for entry in fields(cls):  # type: ignore[arg-type]
        if entry.name in values:
            name = f"{place}{entry.name}"
            given[entry.name] = _value(hints[entry.name], values[entry.name], name, only_known)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{place}{entry.name} is missing")
    return cls(**given)


def _value(hint: Any, value: Any, name: str, only_known: bool) -> Any:
    if is_dataclass(hint):
        return _record(hint, value, name, only_known)  # type: ignore[arg-type]
    if get_origin(hint) is list and isinstance(value, list):
        return [_value(get_args(hint)[0], entry, name, only_known) for entry in value]
    if get_origin(hint) is Mapping and isinstance(value, dict):
        if not all(map(str.isprintable, value)):
            raise ValueError(f"{name} has a name with control characters")
        return {
            key: _value(get_args(hint)[1], entry, f"{name} {key!r:.40}", only_known)
            for key, entry in value.items()
        }
    if not _fits(hint, value):
        kind = f"one of {', '.join(get_args(hint))}" if get_origin(hint) is Literal else hint
        raise ValueError(f"{name} is {value!r:.40}, not {getattr(kind, '__name__', kind)}")
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
