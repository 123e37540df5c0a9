"""The closest two atoms of a crystal, by the radii of their elements."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cell import Vector, dot
from cloud_model.crystal.elements import COVALENT_RADII

Array = NDArray[np.float64]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64], Array]  # of atoms, and their squared distances

_RADII = np.array((0.0, *COVALENT_RADII))
_ONES = np.ones(3)
_FEW = 64  # atoms up to which measuring all pairs is faster than to find the near ones first
_MANY = 512  # atoms from which a tree is faster than comparing all pairs


class Contact(NamedTuple):
    """Two atoms close to each other.

    Attributes
    ----------
    distance : float
        In Angstrom.
    share : float
        Distance over the sum of the covalent radii.
    elements : tuple of int
        Atomic numbers.
    shortest : float
        Distance of any two atoms in Angstrom, of these or of smaller ones.
    """

    distance: float
    share: float
    elements: tuple[int, int]
    shortest: float


FAR = Contact(np.inf, np.inf, (0, 0), np.inf)
"""Of a crystal without such atoms."""


def closest_contact(
    lattice: Array,
    positions: Array,
    numbers: NDArray[np.int64],
    heights: Sequence[float],
    directions: Sequence[Vector],
    share: float,
) -> Contact:
    """Find the two atoms, images in other cells included, that are closest for their covalent radii.

    Parameters
    ----------
    lattice : array of float (3, 3)
        Lattice vectors in rows, in Angstrom.
    positions : array of float (n, 3)
        Fractional coordinates.
    numbers : array of int (n,)
        Atomic numbers.
    heights, directions : sequence of 3 float, sequence of 3 vectors
        Distances between opposite faces of the cell in Angstrom, and unit vectors along them.
    share : float
        Atoms are searched for up to this share of the sum of their radii.

    Returns
    -------
    Contact
        ``FAR`` if there is none.
    """
    radii = _RADII.take(numbers)
    reach = 2 * share * float(radii[radii.argmax()])
    if len(numbers) > _MANY:
        first, second, squares = _pairs_of_tree(lattice, positions, heights, reach)
    elif len(numbers) > _FEW and reach < min(heights):
        first, second = _near(positions, radii * share, heights, directions)
        squares = _nearest_squares(lattice, positions[first] - positions[second], heights, reach)
    else:
        first, second, squares = _all_pairs(lattice, positions, heights, reach)
    if not len(squares) or (shortest := squares[squares.argmin()]) > reach * reach:
        return FAR
    sums = radii.take(first) + radii.take(second)
    shares = squares / (sums * sums)
    best = int(shares.argmin())
    if shares[best] > share**2:
        return FAR
    elements = int(numbers[first[best]]), int(numbers[second[best]])
    return Contact(sqrt(squares[best]), sqrt(shares[best]), elements, sqrt(shortest))


def _near(
    positions: Array, radii: Array, heights: Sequence[float], directions: Sequence[Vector]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that may be closer than the sum of these radii, by one product of matrices.

    A vector v of fractions d is as long along a height h as h d. The sum of h^2 (1 - cos 2 pi d) is therefore at most
    2 pi^2 v^2 times the largest eigenvalue of the Gram matrix of the directions, for all images at once.
    """
    a, b, c = directions
    ab, ac, bc = abs(dot(a, b)), abs(dot(a, c)), abs(dot(b, c))
    largest = 1 + max(ab + ac, ab + bc, ac + bc)  # Gershgorin's bound
    limits = pi * sqrt(2 * largest) * radii
    rows = np.ones((len(positions), 9))
    angles = 2 * pi * positions
    np.cos(angles, out=rows[:, :3])
    np.sin(angles, out=rows[:, 3:6])
    rows[:, :6] *= [*heights, *heights]
    np.multiply(limits, sqrt(2), out=rows[:, 6])
    np.multiply(limits, limits, out=rows[:, 7])
    columns = rows.take([0, 1, 2, 3, 4, 5, 6, 8, 7], axis=1)
    near = rows @ columns.T >= sum(height * height for height in heights)
    first, second = divmod(np.flatnonzero(near), len(positions))
    once = first < second
    return first[once], second[once]


def _nearest_squares(lattice: Array, offsets: Array, heights: Sequence[float], reach: float) -> Array:
    """Squared distances between atoms and the nearest images of others, right if they are within reach."""
    offsets -= np.rint(offsets)  # at most half a cell along each axis
    vectors = offsets.dot(lattice)
    across = [
        2 * reach >= height for height in heights
    ]  # axes along which the next image may be within reach
    if not any(across):
        return _squares(vectors)
    if reach < min(heights):  # so that it is the one on the other side
        cells = np.copysign(_corners(*across)[:, None], -offsets)
    else:
        cells = _cells(*(int(reach / height + 0.5) for height in heights))[:, None]
    images = cells.reshape(-1, 3).dot(lattice).reshape(cells.shape) + vectors
    return _squares(images.reshape(-1, 3)).reshape(images.shape[:2]).min(axis=0)


def _all_pairs(lattice: Array, positions: Array, heights: Sequence[float], reach: float) -> Pairs:
    first, second = _indices(len(positions))
    offsets = positions.take(first, axis=0) - positions.take(second, axis=0)
    squares = _nearest_squares(lattice, offsets, heights, reach)
    if reach < min(heights):  # so that no atom is near its own images
        return first, second, squares
    cells = _cells(*(int(reach / height) for height in heights))
    own = _squares(cells[cells.any(axis=1)] @ lattice).min(initial=np.inf)
    atoms = np.arange(len(positions))
    return (
        np.concatenate([first, atoms]),
        np.concatenate([second, atoms]),
        np.concatenate([squares, np.full(len(atoms), own)]),
    )


def _pairs_of_tree(lattice: Array, positions: Array, heights: Sequence[float], reach: float) -> Pairs:
    from scipy.spatial import cKDTree

    n = len(positions)
    places = (positions - np.floor(positions)) @ lattice
    cells = _cells(*(int(reach / height + 1) for height in heights))
    images = ((cells @ lattice)[:, None] + places).reshape(-1, 3)
    near = (
        ((images >= places.min(axis=0) - reach) & (images <= places.max(axis=0) + reach))
        .all(axis=1)
        .nonzero()[0]
    )
    pairs = cKDTree(places).sparse_distance_matrix(cKDTree(images[near]), reach, output_type="ndarray")
    first, second = pairs["i"], near[pairs["j"]]
    others = second != first + n * int(np.flatnonzero(~cells.any(axis=1))[0])
    return first[others], second[others] % n, pairs["v"][others] ** 2


def _squares(vectors: Array) -> Array:
    return (vectors * vectors).dot(_ONES)


@lru_cache(maxsize=64)
def _indices(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair of n once."""
    first, second = np.triu_indices(n, 1)
    return first, second


@lru_cache(maxsize=64)
def _cells(*most: int) -> Array:
    return np.array(list(product(*(range(-n, n + 1) for n in most))), dtype=float)


@lru_cache(maxsize=8)
def _corners(*across: bool) -> Array:
    return np.array(list(product(*(range(n + 1) for n in across))), dtype=float)
