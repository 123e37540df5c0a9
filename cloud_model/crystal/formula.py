"""Chemical formulas."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from cloud_model.crystal.elements import ELEMENT_RANK


def reduced_formula(counts: Mapping[str, int]) -> str:
    """Write the smallest integer formula, elements in the order of electronegativity.

    Parameters
    ----------
    counts : mapping of str to int
        Atoms of each element.

    Examples
    --------
    >>> reduced_formula({"O": 12, "Ti": 4, "Sr": 4})
    'SrTiO3'
    """
    divisor = gcd(*counts.values())
    numbers = {
        element: counts[element] // divisor for element in sorted(counts, key=ELEMENT_RANK.__getitem__)
    }
    return "".join(f"{element}{number if number > 1 else ''}" for element, number in numbers.items())
