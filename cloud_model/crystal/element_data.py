"""Numerical data on the chemical elements, from the tables of ASE and pymatgen."""

from __future__ import annotations

import math
import warnings
from typing import Any


def element_features(symbol: str) -> list[float]:
    """Descriptors of an element from pymatgen's tables; NaN where one is unknown."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one for each number that pymatgen does not have
        return _element_numbers(Element(symbol))


def _element_numbers(element: Any) -> list[float]:
    shell = {"s": 0, "p": 1, "d": 2, "f": 3}[element.block]
    outer = [float(element.block == block) for block in "spdf"]
    flags = [
        element.is_metal,
        element.is_transition_metal,
        element.is_lanthanoid,
        element.is_halogen,
        element.is_chalcogen,
    ]
    numbers = [
        element.X,
        math.log(element.atomic_mass),
        element.atomic_radius,
        element.atomic_radius_calculated,
        element.average_ionic_radius,
        element.mendeleev_no,
        element.row,
        element.group,
        element.ionization_energy,
        element.electron_affinity,
        element.melting_point,
        element.molar_volume,
        max(element.common_oxidation_states, default=0),
        min(element.common_oxidation_states, default=0),
        shell,
    ]
    return (
        [math.nan if number is None else float(number) for number in numbers]
        + outer
        + [float(f) for f in flags]
    )


def colour(number: int) -> str:
    """Colour that Jmol gives an element, as CSS."""
    from ase.data.colors import jmol_colors

    red, green, blue = (round(255 * part) for part in jmol_colors[number])
    return f"rgb({red},{green},{blue})"
