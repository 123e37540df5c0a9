"""The primitive cell of a supercell, in a time that grows little faster than the number of its atoms.

Symmetry searches compare every atom with every other; of a supercell most of that is the search for its lattice.
"""

from __future__ import annotations

import warnings
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.crystal import Crystal
from cloud_model.errors import CloudWarning

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_NEIGHBOURS = 12  # that tell atoms of different surroundings apart
_PROBES = 16  # atoms on which a translation is tried before it is tried on all
_TRIALS = 100  # translations that are tried on all atoms, at most


class Primitive(NamedTuple):
    """A primitive cell.

    Attributes
    ----------
    crystal : Crystal
        The cell, its atoms at the means of their images.
    images : array of int (n,)
        For each atom of the supercell, the atom of the primitive cell.
    """

    crystal: Crystal
    images: Indices


def primitive_cell(crystal: Crystal, tolerance: float) -> Primitive:
    """Reduce a crystal by all translations that take each atom to within a tolerance of a like one.

    Parameters
    ----------
    crystal : Crystal
    tolerance : float
        Angstrom.
    """
    images = np.arange(len(crystal))
    while (translation := _translation(crystal, tolerance)) is not None:
        crystal, merged = _divided(crystal, *translation)
        images = merged[images]
    return Primitive(crystal, images)


def _translation(crystal: Crystal, tolerance: float) -> tuple[NDArray[np.int64], int, Indices] | None:
    """Find a short translation, as integers over its order, and the atom to which it takes each atom."""
    from scipy.spatial import cKDTree

    order = gcd(*np.unique(crystal.numbers, return_counts=True)[1].tolist())
    if order == 1:
        return None
    places = crystal.positions % 1 % 1  # -1e-20 % 1 is 1
    reach = tolerance * float(np.linalg.norm(np.linalg.inv(crystal.lattice)))
    tree = cKDTree(places, boxsize=1)
    neighbours = min(_NEIGHBOURS, len(places) - 1) + 1
    surroundings = tree.query(places, neighbours)[0].sum(axis=1) + 1e3 * crystal.numbers
    ranked = np.sort(surroundings)
    slack = 2 * neighbours * reach
    alike = np.searchsorted(ranked, surroundings + slack) - np.searchsorted(ranked, surroundings - slack)
    base = int(alike.argmin())
    candidates = np.flatnonzero(np.abs(surroundings - surroundings[base]) <= slack)
    offsets = places[candidates] - places[base]
    offsets -= np.rint(offsets)
    lengths = np.linalg.norm(offsets @ crystal.lattice, axis=1)
    probes = np.argsort(alike, kind="stable")[:_PROBES]
    divisors = np.array([n for n in range(2, order + 1) if order % n == 0])
    trials = 0
    for i in np.argsort(lengths, kind="stable"):
        fraction = _fraction(offsets[i], divisors, crystal.lattice, tolerance)
        if fraction is None or trials == _TRIALS:
            continue
        for atoms in (probes, np.arange(len(places))):
            nearest = tree.query((places[atoms] + fraction[0] / fraction[1]) % 1 % 1)[1]
            misses = places[atoms] + fraction[0] / fraction[1] - places[nearest]
            distances = np.linalg.norm((misses - np.rint(misses)) @ crystal.lattice, axis=1)
            if distances.max() > tolerance or (crystal.numbers[nearest] != crystal.numbers[atoms]).any():
                break
        else:
            return *fraction, nearest
        trials += len(atoms) == len(places)
    return None


def _fraction(
    offset: Array, divisors: NDArray[np.int64], lattice: Array, tolerance: float
) -> tuple[NDArray[np.int64], int] | None:
    """The offset as integers over the smallest divisor that fits; None if none does."""
    numerators = np.rint(offset * divisors[:, None])
    misses = np.linalg.norm((numerators / divisors[:, None] - offset) @ lattice, axis=1)
    fits = np.flatnonzero((misses <= tolerance) & numerators.any(axis=1))
    if not len(fits):
        return None
    return numerators[fits[0]].astype(np.int64), int(divisors[fits[0]])


def _divided(
    crystal: Crystal, numerators: NDArray[np.int64], order: int, nearest: Indices
) -> tuple[Crystal, Indices]:
    """Reduce a crystal by one translation; the atom of the smaller cell for each atom."""
    from moyopy import minkowski_reduce
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = _basis(np.vstack([order * np.eye(3, dtype=np.int64), numerators]))
    lattice = np.array(minkowski_reduce((rows / order @ crystal.lattice).tolist())[0])
    positions = crystal.positions @ crystal.lattice @ np.linalg.inv(lattice)
    n = len(crystal)
    graph = coo_array((np.ones(n), (np.arange(n), nearest)), shape=(n, n))
    count, images = connected_components(graph, directed=False)
    first = np.unique(images, return_index=True)[1]
    offsets = positions - positions[first][images]
    offsets -= np.rint(offsets)
    members = np.bincount(images, minlength=count)
    means = np.stack([np.bincount(images, offsets[:, axis], count) / members for axis in range(3)], axis=1)
    with warnings.catch_warnings():  # about vacuum, which the crystal has given
        warnings.simplefilter("ignore", CloudWarning)
        return Crystal(lattice, positions[first] + means, crystal.numbers[first], crystal.label), images


def _basis(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Three vectors that span the lattice of integer vectors, by Euclid's algorithm."""
    rows = rows.copy()
    for column in range(3):
        while np.count_nonzero(rows[column:, column]) > 1:
            below = rows[column:]
            smallest = int(np.where(below[:, column], np.abs(below[:, column]), np.inf).argmin())
            below[[0, smallest]] = below[[smallest, 0]]
            below[1:] -= below[1:, [column]] // below[0, column] * below[0]
        if not rows[column, column]:
            pivot = column + int(np.flatnonzero(rows[column:, column])[0])
            rows[[column, pivot]] = rows[[pivot, column]]
    return rows[:3]
