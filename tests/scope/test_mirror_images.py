"""A crystal and its mirror image are one: the same string, whatever the space group."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import moyopy
import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from cloud_model import Scope
from cloud_model.crystal.conversions import from_object
from cloud_model.crystal.crystal import Crystal
from cloud_model.errors import CrystalError
from cloud_model.scope.space_groups import ENANTIOMORPHS, space_group, without_hand

LATTICES = [
    (3, np.array([[7, 0, 0], [1, 8, 0], [2, 3, 9]])),
    (16, np.array([[7, 0, 0], [0, 8, 0], [2, 0, 9]])),
    (75, np.diag([9, 11, 13])),
    (143, np.diag([13, 13, 15])),
    (195, np.array([[15, 0, 0], [-7.5, 7.5 * 3**0.5, 0], [0, 0, 17]])),
    (231, np.diag([25, 25, 25])),
]
"""End of the numbers of a lattice's space groups, and lattice vectors in Angstrom."""


def quartz(group: int, hand: int) -> Atoms:
    sites = [(0.47, 0, hand / 3), (0.413, 0.267, hand * 0.786)]
    return crystal("SiO", sites, spacegroup=group, cellpar=[4.91, 4.91, 5.4, 90, 90, 120])


def reflected(original: Crystal) -> Crystal:
    return replace(original, lattice=original.lattice * [1, 1, -1])


def orbit(operations: moyopy.Operations, point: np.ndarray) -> np.ndarray:
    images = np.array(operations.rotations) @ point + np.array(operations.translations)
    found: list[np.ndarray] = []
    for image in images:
        if not any(np.abs((image - other) - np.rint(image - other)).max() < 1e-5 for other in found):
            found.append(image)
    return np.array(found)


def fixed_point(operations: moyopy.Operations, rng: np.random.Generator) -> np.ndarray:
    """A random point of one of the Wyckoff positions that some operation leaves where it is, if there is any."""
    point = rng.random(3)
    for _ in range(20):
        i = rng.integers(len(operations.rotations))
        matrix = np.array(operations.rotations[i]) - np.eye(3)
        target = -(np.array(operations.translations[i]) + rng.integers(-1, 2, 3))
        step = np.linalg.lstsq(matrix, target - matrix @ point)[0]
        if not np.allclose(matrix, 0) and np.allclose(matrix @ (point + step), target):
            return point + step
    return point


def random_crystal(number: int, rng: np.random.Generator) -> Crystal:
    """Two general positions, so that there is no higher symmetry, and three that may be special."""
    operations = moyopy.operations_from_number(number)
    lattice = next(lattice for end, lattice in LATTICES if number < end).astype(float)
    while True:
        points = [rng.random(3), rng.random(3), *(fixed_point(operations, rng) for _ in range(3))]
        orbits = [orbit(operations, point) for point in points]
        numbers = np.repeat([8, 16, 11, 19, 37], [len(positions) for positions in orbits])
        with suppress(CrystalError):  # atoms that overlap
            return Crystal(lattice, np.concatenate(orbits), numbers)


@pytest.mark.filterwarnings("ignore:.*empty layer")
@pytest.mark.parametrize("numbers", np.array_split(np.arange(1, 231), 10), ids=lambda part: f"from {part[0]}")
@pytest.mark.parametrize("dialect", ["sites", "canonical"])
def test_reflection_does_not_change_the_string(numbers, dialect):
    rng = np.random.default_rng(int(numbers[0]))
    for number in numbers.tolist():
        original = random_crystal(number, rng)
        scope, image = (Scope.from_crystal(x, dialect) for x in (original, reflected(original)))
        assert scope.space_group == number
        assert without_hand(image.space_group) == without_hand(number)
        assert image == scope
        assert (image.space_group == number) is (number not in {*ENANTIOMORPHS, *ENANTIOMORPHS.values()})


@pytest.mark.parametrize("dialect", ["sites", "canonical"])
def test_left_and_right_quartz(dialect):
    right, left = (Scope.from_crystal(quartz(*hand), dialect) for hand in ((152, 1), (154, -1)))
    assert right == left
    assert (right.space_group, left.space_group) == (152, 154)
    assert Scope.parse(str(left)) == left
    assert left.to("canonical").space_group == 154


def test_the_published_dialect_tells_hands_apart():
    right, left = (Scope.from_crystal(quartz(*hand), "reference") for hand in ((152, 1), (154, -1)))
    assert right != left
    assert left.to("canonical") == right.to("canonical")
    assert Scope.parse(str(left)).space_group == 154


def test_both_of_a_pair_have_the_same_positions():
    for second, first in ENANTIOMORPHS.items():
        assert space_group(second).multiplicities == space_group(first).multiplicities
        assert set(space_group(second).relabellings) == set(space_group(first).relabellings)
        assert space_group(second).generators != space_group(first).generators


def test_mirror_images_of_arrays():
    left = from_object(quartz(154, -1))
    assert Scope.from_crystal(reflected(left)).space_group == 152
