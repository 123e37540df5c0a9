"""Other descriptions of the same crystal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cloud_model.crystal.crystal import Crystal


def permuted(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    order = rng.permutation(len(crystal))
    return replace(crystal, positions=crystal.positions[order], numbers=crystal.numbers[order])


def shifted(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(crystal, positions=crystal.positions + rng.random(3))


def rotated(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    return replace(crystal, lattice=Rotation.random(rng=rng).apply(crystal.lattice))


def sheared(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """In a cell with other lattice vectors of the same lattice, perhaps left-handed."""
    change = np.eye(3)[rng.permutation(3)]
    for _ in range(2):
        i, j = rng.permutation(3)[:2]
        change[i] += rng.integers(-1, 2) * change[j]
    return replace(
        crystal,
        lattice=change @ crystal.lattice,
        positions=crystal.positions @ np.linalg.inv(change),
    )


def repeated(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """In a supercell of up to four cells."""
    cells = [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 1), (1, 1, 3)][rng.integers(5)]
    offsets = np.stack(np.meshgrid(*map(np.arange, cells), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return replace(
        crystal,
        lattice=crystal.lattice * np.array(cells)[:, None],
        positions=((crystal.positions + offsets) / cells).reshape(-1, 3),
        numbers=np.tile(crystal.numbers, len(offsets)),
    )


CHANGES = {f.__name__: f for f in (permuted, shifted, rotated, sheared, repeated)}


@st.composite
def changes(draw):
    """A function that describes a crystal differently, by several of the above."""
    chosen = draw(st.lists(st.sampled_from(list(CHANGES.values())), min_size=1, max_size=4, unique=True))
    seed = draw(st.integers(0, 2**32 - 1))

    def change(crystal: Crystal) -> Crystal:
        rng = np.random.default_rng(seed)
        for step in chosen:
            crystal = step(crystal, rng)
        return crystal

    return change
