"""Symmetry operations in the notation of the International Tables, and the space group that they make."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MAX_OPERATIONS = 192
"""Most operations of a space group in its conventional cell."""

STRAIN = 0.005
"""Relative change of a length, or of an angle in radians, that symmetry operations may make."""

_LONGEST = 100  # characters of an operation
_TOLERANCE = 0.01  # of translations, which may be rounded: 0.333 for 1/3
_PARTS = 24  # of a lattice vector, whose multiples are the translations of all settings
_ROUNDING = 0.12  # of such a part, which a rounded translation may be off: 0.333 for 1/3
_MOST_SPELLINGS = 4 * MAX_OPERATIONS  # of operations, some of which may be the same
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

    def keep(self, lattice: Array, strain: float = STRAIN) -> bool:
        """Whether they are symmetries of a lattice (3, 3), its vectors in rows, to this relative change of it."""
        metric = lattice @ lattice.T
        images = self.rotations.transpose(0, 2, 1) @ metric @ self.rotations
        lengths = np.sqrt(np.diag(metric))
        return bool((np.abs(images - metric) <= 2 * strain * np.outer(lengths, lengths)).all())

    def codes(self) -> frozenset[bytes]:
        """Return what is equal for the same operations in any order."""
        shifts = (self.translations * _PARTS).round() % _PARTS
        rows = np.concatenate([self.rotations.reshape(-1, 9), shifts], axis=1).astype(np.int8)
        return frozenset(row.tobytes() for row in rows)


IDENTITY = Operations(np.eye(3)[None], np.zeros((1, 3)), 1)
"""The operation of P 1."""


@lru_cache(maxsize=1024)
def read_operations(texts: tuple[str, ...], centrings: tuple[str, ...] = ()) -> Operations:
    """Read operations such as '-x, y+1/2, -z+1/2', in any setting of their space group.

    Those that are there twice, or differ by a lattice vector, are one; 0.333 is a third.

    Parameters
    ----------
    texts : tuple of str
    centrings : tuple of str
        Translations such as 'x+1/2, y, z' to combine them with, the identity among them.

    Raises
    ------
    ValueError
        If they cannot be read, or do not make a space group.
    """
    distinct, shifts = list(dict.fromkeys(texts)), list(dict.fromkeys(centrings)) or ["x,y,z"]
    if len(distinct) * len(shifts) > _MOST_SPELLINGS:
        raise _too_many(len(texts) * len(shifts))
    rotations, translations = _operations(distinct)
    translations = (_operations(shifts)[1][:, None] + translations).reshape(-1, 3)
    rotations = np.tile(rotations, (len(shifts), 1))
    parts = np.rint(translations * _PARTS)
    translations = (
        np.where(np.abs(translations * _PARTS - parts) < _ROUNDING, parts / _PARTS, translations) % 1
    )
    _, first = np.unique(
        np.concatenate([rotations, translations], axis=1).round(6), axis=0, return_index=True
    )
    if len(first) > MAX_OPERATIONS:
        raise _too_many(len(texts) * len(shifts))
    first.sort()
    rotations, translations = rotations[first].reshape(-1, 3, 3), translations[first]
    number = _number(rotations, translations)
    if number is None:
        raise ValueError(f"its {len(texts)} symmetry operations do not make a space group")
    return Operations(rotations, translations, number)


def _too_many(operations: int) -> ValueError:
    return ValueError(f"it lists {operations} symmetry operations where no space group has that many")


def _operations(texts: list[str]) -> tuple[Array, Array]:
    """Rotations (m, 9) and translations (m, 3)."""
    rotations, translations = zip(*map(_operation, texts), strict=True)
    return np.array(rotations), np.array(translations)


def _operation(text: str) -> tuple[list[float], list[float]]:
    """Rotation (9 numbers) and translation (3)."""
    expressions = (
        text.lower().replace(" ", "").replace("\u2212", "-").split(",") if len(text) <= _LONGEST else []
    )
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


@contextmanager
def _without_deprecation() -> Iterator[None]:
    """Without spglib's warning that it will raise an error instead of returning None; both are expected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
