"""Symmetry operations in the notation of the International Tables, and the space group that they make."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_OPERATIONS = 192
"""Most operations of a space group in its conventional cell."""

_LONGEST = 100  # characters of an operation
_TOLERANCE = 0.01  # of translations, which may be rounded: 0.333 for 1/3
_STRAIN = 0.05  # relative change of the metric that an operation may make
_TERM = re.compile(r"([+-]?)(?:([xyz])|(\d+\.?\d*|\.\d+)(?:/([1-9]\d*))?)")


class Operations(NamedTuple):
    """The operations of a space group.

    Attributes
    ----------
    rotations : array of float (m, 3, 3)
        On fractional coordinates.
    translations : array of float (m, 3)
        Fractional.
    number : int
        International number of the space group.
    """

    rotations: Array
    translations: Array
    number: int

    def keep(self, lattice: Array) -> bool:
        """Whether they are symmetries of a lattice (3, 3), its vectors in rows."""
        metric = lattice @ lattice.T
        images = self.rotations.transpose(0, 2, 1) @ metric @ self.rotations
        lengths = np.sqrt(np.diag(metric))
        return bool((np.abs(images - metric) <= _STRAIN * np.outer(lengths, lengths)).all())


@lru_cache(maxsize=1024)
def read_operations(texts: tuple[str, ...]) -> Operations:
    """Read operations such as '-x, y+1/2, -z+1/2', in any setting of their space group.

    Raises
    ------
    ValueError
        If they cannot be read, or do not make a space group.
    """
    if len(texts) > MAX_OPERATIONS:
        raise ValueError(f"it lists {len(texts)} symmetry operations where no space group has that many")
    pairs = [_operation(text) for text in dict.fromkeys(texts)]
    rotations, translations = (np.array(part) for part in zip(*pairs, strict=True))
    number = _number(rotations.reshape(-1, 3, 3), translations)
    if number is None:
        raise ValueError(f"its {len(texts)} symmetry operations do not make a space group")
    return Operations(rotations.reshape(-1, 3, 3), translations, number)


def named_space_group(symbol: str) -> int | None:
    """Number of a space group of any setting by its Hermann-Mauguin or Hall symbol; None if it is unknown."""
    symbol = _normalised(symbol.partition(":")[0])
    return 1 if symbol == "p1" else _numbers_by_symbol().get(symbol)


def _operation(text: str) -> tuple[list[float], list[float]]:
    """Rotation (9 numbers) and translation (3)."""
    expressions = text.lower().replace(" ", "").split(",") if len(text) <= _LONGEST else []
    if len(expressions) != 3 or any(not part or _TERM.sub("", part) for part in expressions):
        raise ValueError(f"its symmetry operation {text[:_LONGEST]!r} cannot be read")
    rotation, translation = [0.0] * 9, [0.0] * 3
    for row, expression in enumerate(expressions):
        for sign, axis, numerator, denominator in _TERM.findall(expression):
            value = float(f"{sign}1") if axis else float(sign + numerator) / float(denominator or 1)
            if axis:
                rotation[3 * row + "xyz".index(axis)] += value
            else:
                translation[row] += value
    return rotation, translation


def _number(rotations: Array, translations: Array) -> int | None:
    if not translations.any() and (rotations == np.eye(3)).all():
        return 1
    if not (np.abs(np.linalg.det(rotations)).round(6) == 1).all():
        return None

    import spglib

    try:
        with _without_deprecation():
            group = spglib.get_spacegroup_type_from_symmetry(
                rotations.astype(int), translations % 1, symprec=_TOLERANCE
            )
    except spglib.SpglibError:
        return None
    return None if group is None else int(group.number)


@cache
def _numbers_by_symbol() -> dict[str, int]:
    import spglib

    numbers = {}
    for hall_number in range(1, 531):
        with warnings.catch_warnings():  # as above
            warnings.simplefilter("ignore", DeprecationWarning)
            group: Any = spglib.get_spacegroup_type(hall_number)
        names = (group.international_short, group.international_full, group.hall_symbol)
        for name in (*names, *group.international.split("=")):
            numbers[_normalised(name)] = group.number
    return numbers


def _normalised(symbol: str) -> str:
    return symbol.replace(" ", "").replace("_", "").lower()


@contextmanager
def _without_deprecation() -> Iterator[None]:
    """Without spglib's warning that it will raise an error instead of returning None; both are expected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
