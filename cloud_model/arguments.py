"""Arguments that users give, checked before work begins."""

from __future__ import annotations

import os
from math import inf, isfinite, nan
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from cloud_model.errors import ArgumentError, shortly

Settings = TypeVar("Settings")


def check_type(name: str, value: object, kind: type, remedy: str) -> None:
    """Raise an `ArgumentError` unless an argument is of a type."""
    if not isinstance(value, kind):
        raise ArgumentError(f"{name} {shortly(value)}", f"is not a {kind.__name__}", remedy)


def checked_settings(settings: object, kind: type[Settings]) -> Settings:
    """Settings, those by default for None, or an `ArgumentError`."""
    if settings is None:
        return kind()
    if not isinstance(settings, kind):
        raise ArgumentError(
            f"settings {shortly(settings)}", f"are not {kind.__name__}", "Give them, or None."
        )
    return settings


def check_column(name: str, value: object) -> None:
    """Raise an `ArgumentError` unless an argument is the name of a column."""
    if not isinstance(value, str):
        raise ArgumentError(f"{name} {shortly(value)}", "is not the name of a column", "Give one name.")


def checked_path(name: str, value: Any) -> Path:
    """Path, or an `ArgumentError`; an empty one, which would be the current folder, is none."""
    if not isinstance(value, str | os.PathLike) or not (text := os.fspath(value)) or "\0" in text:
        raise ArgumentError(
            f"{name} {shortly(value)}", "is not a path", "Give one; that of the current folder is '.'."
        )
    return Path(text)


def checked_integer(name: str, value: Any, least: int, remedy: str = "Give one.") -> int:
    """Integer from a bound to 2**31 - 1, which fits whatever it is passed to, or an `ArgumentError`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) < 2**31:
        raise ArgumentError(
            f"{name} {shortly(value)}", f"is not an integer from {least} to {2**31 - 1}", remedy
        )
    return int(value)


def checked_number(
    name: str, value: Any, least: float, remedy: str, above: bool = False, most: float = inf
) -> float:
    """Finite number of at least a bound, or above it, and at most another, or an `ArgumentError`.

    An array without dimensions is its number.
    """
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    try:
        number = nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        number = inf
    if not (isfinite(number) and (number > least if above else number >= least) and number <= most):
        bound = f"{'above' if above else 'of at least'} {least:g}" + f" and at most {most:,.10g}" * (
            most < inf
        )
        raise ArgumentError(f"{name} {shortly(value)}", f"is not a finite number {bound}", remedy)
    return number
