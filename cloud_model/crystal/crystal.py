"""A crystal as plain arrays, checked to be physical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, prod
from operator import sub

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cell import Vector, heights_and_directions, volume_and_normals
from cloud_model.crystal.contacts import FAR, closest_contact
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import CrystalError, warn_user

MIN_DISTANCE = 0.1
"""Atoms closer than this, in Angstrom, are an error."""

TOO_CLOSE = 0.6
"""Share of the sum of their covalent radii at which two atoms are warned about; 0.1% of the crystals of the Materials
Project have such atoms."""

MIN_VOLUME = 0.5
"""Smallest volume of an atom in cubic Angstrom, a tenth of that in diamond."""

MAX_LENGTH = 1000.0
"""Longest lattice vector in Angstrom."""

MAX_ATOMS = 20_000
"""Most atoms of a cell."""

MAX_COORDINATE = 1e6
"""Largest fractional coordinate; those far away from the cell have lost their digits."""

_NEAR = 3.0  # Angstrom, within which neighbours are searched
_MOST_IMAGES = 2000  # cells that neighbours are searched in

VACUUM = 10.0
"""Thickness in Angstrom of the empty layer that makes a crystal a slab or a molecule."""


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """A crystal periodic in three dimensions, checked to be physical.

    Only elements and their places are kept: deuterium is hydrogen, and oxidation states, charges and magnetic
    moments are dropped. A `CloudWarning` tells of vacuum, as around a slab or a molecule.

    Attributes
    ----------
    lattice : array of float (3, 3)
        Lattice vectors in rows, in Angstrom, of either handedness.
    positions : array of float (n, 3)
        Fractional coordinates.
    numbers : array of int (n,)
        Atomic numbers.
    label : str
        What to call it in errors, such as the name of its file; its formula if empty.
    volume_per_atom : float
        Volume of the cell over its number of atoms, in cubic Angstrom.

    Raises
    ------
    CrystalError
        If it has no atoms or no volume, holds values that are not finite or no elements, or if atoms overlap.
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    numbers: NDArray[np.int64]
    label: str = ""
    volume_per_atom: float = field(init=False)

    def __post_init__(self) -> None:
        _check_atoms(self)
        volume, heights, directions = _check_lattice(self)
        object.__setattr__(self, "volume_per_atom", volume / len(self))
        _check_distances(self, heights, directions)
        _warn_of_vacuum(self, heights)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def formula(self) -> str:
        """Chemical formula of the cell."""
        return formula_of(self.numbers)

    @property
    def name(self) -> str:
        """The label, or the formula of a crystal without one."""
        return self.label or self.formula or "crystal"


def formula_of(numbers: NDArray[np.int64]) -> str:
    """Chemical formula, with X for what is not an element (of which ASE cannot write one)."""
    counts = Counter(numbers.tolist())
    symbols = {n: SYMBOLS[n - 1] if 1 <= n <= len(SYMBOLS) else "X" for n in counts}
    return "".join(f"{symbols[n]}{counts[n]}" for n in sorted(counts))


def _check_atoms(crystal: Crystal) -> None:
    numbers = crystal.numbers.tolist()
    if not numbers:
        raise no_atoms(crystal.name)
    check_number_of_atoms(len(numbers), crystal.label or "crystal")
    if not (min(numbers) >= 1 and max(numbers) <= len(SYMBOLS)):
        raise no_element(crystal.name, "X")
    if _far_away(crystal.positions):
        raise no_coordinates(crystal.name)


def _check_lattice(crystal: Crystal) -> tuple[float, list[float], list[Vector]]:
    """Return the volume of the cell, the distances between its opposite faces, and the unit vectors along them."""
    vectors = crystal.lattice.tolist()
    if not all(hypot(*vector) <= MAX_LENGTH for vector in vectors):  # nan is not
        raise CrystalError(
            crystal.name,
            f"a lattice vector is longer than {MAX_LENGTH:.0f} Angstrom, or not finite",
            "Check that its unit of length is Angstrom.",
        )
    signed, normals = volume_and_normals(vectors)
    volume = abs(signed)
    if volume < MIN_VOLUME * len(crystal):
        raise no_volume(crystal.name)
    heights, directions = heights_and_directions(volume, normals)
    if is_oblique(heights):
        raise CrystalError(
            crystal.name,
            f"its cell is so oblique that opposite faces are only {min(heights):.3g} Angstrom apart",
            "Reduce it, for example with Structure.get_reduced_structure() of pymatgen.",
        )
    return volume, heights, directions


def is_oblique(heights: Sequence[float]) -> bool:
    """Whether a cell of these heights in Angstrom has too many images near an atom to search them all."""
    return prod(1 + 2 * (_NEAR / height) for height in heights) > _MOST_IMAGES


def _check_distances(crystal: Crystal, heights: list[float], directions: list[Vector]) -> None:
    contact = closest_contact(
        crystal.lattice, crystal.positions, crystal.numbers, heights, directions, TOO_CLOSE
    )
    if contact.shortest < MIN_DISTANCE:
        raise CrystalError(
            crystal.name,
            f"atoms are closer than {MIN_DISTANCE} Angstrom",
            "Remove atoms that are there twice.",
        )
    if contact is not FAR:
        one, other = (SYMBOLS[number - 1] for number in contact.elements)
        warn_user(
            f"{crystal.name}: {one} and {other} are {contact.distance:.2f} Angstrom apart, {contact.share:.0%} of the "
            "sum of their covalent radii, closer than in any known crystal; check cell and coordinates."
        )


def _warn_of_vacuum(crystal: Crystal, heights: list[float]) -> None:
    gap = max(
        (
            height * _largest_gap(crystal.positions[:, i])
            for i, height in enumerate(heights)
            if height > VACUUM
        ),
        default=0.0,
    )
    if gap > VACUUM:
        warn_user(
            f"{crystal.name}: it has an empty layer of {gap:.0f} Angstrom, as around a slab or a molecule; "
            "CLOUD describes bulk crystals."
        )


def _largest_gap(coordinates: NDArray[np.float64]) -> float:
    """Largest empty part of a lattice vector, by the fractional coordinates of atoms along it."""
    places = sorted([place % 1 for place in coordinates.tolist()])
    return max(map(sub, [*places[1:], places[0] + 1], places))


def check_coordinates(positions: NDArray[np.float64], label: str) -> None:
    """Raise a `CrystalError` for fractional coordinates that are not finite, or too large."""
    if _far_away(positions):
        raise no_coordinates(label)


def _far_away(positions: NDArray[np.float64]) -> bool:
    return not np.vdot(positions, positions) < MAX_COORDINATE**2  # nan is not


def check_number_of_atoms(atoms: int, label: str) -> None:
    """Raise a `CrystalError` for a cell that is too large."""
    if atoms > MAX_ATOMS:
        raise CrystalError(
            label, f"its cell has {atoms} atoms, more than {MAX_ATOMS}", "Use its primitive cell."
        )


def no_atoms(label: str) -> CrystalError:
    """Return the error about a crystal without atoms."""
    return CrystalError(label, "it has no atoms", "Pass a crystal with at least one.")


def no_coordinates(label: str) -> CrystalError:
    """Return the error about fractional coordinates that are not finite, or too large."""
    return CrystalError(
        label, "some positions are not finite, or far outside the cell", "Correct its coordinates."
    )


def no_element(label: str, symbol: str) -> CrystalError:
    """Return the error about a symbol that is not an element."""
    return CrystalError(
        label,
        f"it holds {symbol!r}, which is not an element",
        "Write symbols such as Na, and remove dummy atoms and vacancies.",
    )


def no_volume(label: str) -> CrystalError:
    """Return the error about a cell without volume."""
    return CrystalError(
        label,
        "it has no cell, or one too small for its atoms",
        "Set three lattice vectors in Angstrom. A molecule has none and cannot be described.",
    )
