"""Collections of crystals, in any container of the user's libraries.

Structures and Atoms are sequences of atoms themselves, so numpy must never be asked to make an array of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cloud_model.errors import ArgumentError


def is_collection(crystals: Any) -> bool:
    """Whether this is several crystals rather than one."""
    if hasattr(crystals, "read"):  # a file object, which iterates over its lines
        return False
    return isinstance(crystals, list | tuple | Iterator | np.ndarray) or hasattr(crystals, "to_numpy")


def crystal_list(crystals: Any) -> list[Any]:
    """Crystals of a collection, in order.

    Parameters
    ----------
    crystals : list, tuple, iterator, Series, DataFrame of one column or ndarray of shape (n,) or (n, 1)
        A row that is a list, tuple or array of one crystal stands for that crystal.

    Raises
    ------
    ArgumentError
        If it is not such a collection, or a row is not one crystal.
    """
    if not is_collection(crystals):
        raise ArgumentError(
            type(crystals).__name__,
            "is not a collection of crystals",
            "Give a list, Series or array of crystals.",
        )
    rows = crystals.to_numpy() if hasattr(crystals, "to_numpy") else crystals
    if isinstance(rows, np.ndarray) and rows.ndim != 1 and rows.shape[1:] != (1,):
        raise ArgumentError(
            f"{type(crystals).__name__} of shape {rows.shape}",
            "does not hold one crystal a row; numpy takes crystals apart into their atoms",
            "Give a list, or select the one column that holds the crystals.",
        )
    return [_only(row) for row in rows]


def _only(row: Any) -> Any:
    """The crystal of a row of one column."""
    if not isinstance(row, list | tuple | np.ndarray):
        return row
    if len(row) != 1:
        raise ArgumentError(f"a row of {len(row)} entries", "is not one crystal", "Give one crystal a row.")
    if type(row[0]).__name__ in {"Atom", "Site", "PeriodicSite"}:
        raise ArgumentError(
            "a row",
            "is an atom; numpy takes crystals apart into their atoms",
            "Give a DataFrame of one column that holds the crystals.",
        )
    return row[0]
