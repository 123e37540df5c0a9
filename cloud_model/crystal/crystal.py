"""A crystal as plain arrays, checked to be physical."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import CloudWarning, CrystalError

MIN_DISTANCE = 0.1
"""Atoms closer than this, in Angstrom, are an error."""

MIN_VOLUME = 0.5
"""Smallest volume of an atom in cubic Angstrom, a tenth of that in diamond."""

MAX_LENGTH = 1000.0
"""Longest lattice vector in Angstrom."""

MAX_ATOMS = 20_000
"""Most atoms of a cell."""

MAX_COORDINATE = 1e6
"""Largest fractional coordinate; those far away from the cell have lost their digits."""

VACUUM = 10.0
"""Thickness in Angstrom of the empty layer that makes a crystal a slab or a molecule."""

_SMALL = 512  # atoms up to which comparing all pairs is faster than a tree

Vector = Sequence[float]


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

    Raises
    ------
    CrystalError
        If it has no atoms or no volume, holds values that are not finite or no elements, or if atoms overlap.
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    numbers: NDArray[np.int64]
    label: str = ""

    def __post_init__(self) -> None:
        _check_atoms(self)
        heights = _check_lattice(self)
        if _atoms_overlap(self, heights):
            raise CrystalError(
                self.name,
                f"atoms are closer than {MIN_DISTANCE} Angstrom",
                "Remove atoms that are there twice.",
            )
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
    """Chemical formula, with X for what is no element (of which ASE cannot write one)."""
    counts = Counter(numbers.tolist())
    symbols = {n: SYMBOLS[n - 1] if 1 <= n <= len(SYMBOLS) else "X" for n in counts}
    return "".join(f"{symbols[n]}{counts[n]}" for n in sorted(counts))


def _check_atoms(crystal: Crystal) -> None:
    numbers = crystal.numbers.tolist()
    if not numbers:
        raise no_atoms(crystal.name)
    check_number_of_atoms(len(numbers), crystal.name)
    if not (min(numbers) >= 1 and max(numbers) <= len(SYMBOLS)):
        raise no_element(crystal.name, "X")
    if not np.vdot(crystal.positions, crystal.positions) < MAX_COORDINATE**2:  # nan is not
        raise CrystalError(
            crystal.name, "some positions are not finite, or far outside the cell", "Correct its coordinates."
        )


def _check_lattice(crystal: Crystal) -> list[float]:
    """Return the distances in Angstrom between opposite faces of the cell."""
    vectors = crystal.lattice.tolist()
    if not all(hypot(*vector) <= MAX_LENGTH for vector in vectors):  # nan is not
        raise CrystalError(
            crystal.name,
            f"a lattice vector is longer than {MAX_LENGTH:.0f} Angstrom, or not finite",
            "Check that its unit of length is Angstrom.",
        )
    volume, normals = volume_and_normals(vectors)
    if abs(volume) < MIN_VOLUME * len(crystal):
        raise no_volume(crystal.name)
    return [abs(volume) / hypot(*normal) for normal in normals]


def cell_heights(lattice: NDArray[np.float64]) -> list[float]:
    """Return the distances in Angstrom between opposite faces of a cell."""
    volume, normals = volume_and_normals(lattice.tolist())
    return [abs(volume) / hypot(*normal) for normal in normals]


def volume_and_normals(vectors: Sequence[Vector]) -> tuple[float, list[Vector]]:
    """Return the signed volume of a cell, and the normals of its faces, which are as long as the faces are large."""
    a, b, c = vectors
    normals = [_cross(b, c), _cross(c, a), _cross(a, b)]
    return a[0] * normals[0][0] + a[1] * normals[0][1] + a[2] * normals[0][2], normals


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _atoms_overlap(crystal: Crystal, heights: list[float]) -> bool:
    pairs = _pairs_on_torus(crystal, heights) if len(crystal) <= _SMALL else _pairs_of_tree(crystal)
    if not len(pairs):
        return False
    offsets = crystal.positions[pairs[:, 0]] - crystal.positions[pairs[:, 1]]
    vectors = (offsets - np.rint(offsets)) @ crystal.lattice
    return bool((np.linalg.norm(vectors, axis=1) < MIN_DISTANCE).any())


def _pairs_on_torus(crystal: Crystal, heights: list[float]) -> NDArray[np.int64]:
    """Return pairs that may be close: with small offsets d, the sum of cos(2 pi d) is near 3."""
    angles = 2 * np.pi * crystal.positions
    torus = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    a, b, c = heights
    close = torus @ torus.T >= 3 - 2 * (np.pi * MIN_DISTANCE) ** 2 * (a**-2 + b**-2 + c**-2)
    if np.count_nonzero(close) <= len(crystal):
        return np.empty((0, 2), dtype=np.int64)
    return np.argwhere(np.triu(close, 1))


def _pairs_of_tree(crystal: Crystal) -> NDArray[np.int64]:
    from scipy.spatial import cKDTree

    radius = MIN_DISTANCE * np.linalg.norm(np.linalg.inv(crystal.lattice))
    tree = cKDTree(crystal.positions % 1 % 1, boxsize=1)  # -1e-20 % 1 is 1
    pairs: NDArray[np.int64] = tree.query_pairs(min(radius, 0.49), output_type="ndarray")
    return pairs


def _warn_of_vacuum(crystal: Crystal, heights: list[float]) -> None:
    if max(heights) < VACUUM:
        return
    places = np.sort(crystal.positions % 1, axis=0)
    around = np.concatenate([places, places[:1] + 1])
    gaps = (around[1:] - around[:-1]).max(axis=0) * heights
    if gaps.max() > VACUUM:
        warnings.warn(
            f"{crystal.name}: it has an empty layer of {gaps.max():.0f} Angstrom, as around a slab or a molecule; "
            "CLOUD describes bulk crystals.",
            CloudWarning,
            stacklevel=2,
        )


def check_number_of_atoms(atoms: int, label: str) -> None:
    """Raise a `CrystalError` for a cell that is too large."""
    if atoms > MAX_ATOMS:
        raise CrystalError(
            label, f"its cell has {atoms} atoms, more than {MAX_ATOMS}", "Use its primitive cell."
        )


def no_atoms(label: str) -> CrystalError:
    """Return the error about a crystal without atoms."""
    return CrystalError(label, "it has no atoms", "Pass a crystal with at least one.")


def no_element(label: str, symbol: str) -> CrystalError:
    """Return the error about a symbol that is no element."""
    return CrystalError(
        label, f"it holds {symbol!r}, which is not an element", "Remove dummy atoms and vacancies."
    )


def no_volume(label: str) -> CrystalError:
    """Return the error about a cell without volume."""
    return CrystalError(
        label,
        "it has no cell, or one too small for its atoms",
        "Set three lattice vectors in Angstrom. A molecule has none and cannot be described.",
    )
