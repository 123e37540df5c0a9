"""Supercells are reduced before the search, with the answer of a direct one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from cloud_model import Scope
from cloud_model.crystal.conversions import from_ase
from cloud_model.errors import CloudWarning, CrystalError, SymmetryError
from cloud_model.scope import symmetry
from cloud_model.scope.canonical import canonical_orbits
from cloud_model.scope.primitive import primitive_cell
from cloud_model.scope.symmetry import find_symmetry, orbits_of

QUARTZ = Atoms(
    "Si3O6",
    scaled_positions=[[0.47, 0, 1 / 3], [0, 0.47, 2 / 3], [0.53, 0.53, 0], [0.41, 0.27, 0.45], [0.73, 0.14, 0.7833],
                      [0.86, 0.59, 0.1167], [0.27, 0.41, 0.55], [0.14, 0.73, 0.2167], [0.59, 0.86, 0.8833]],
    cell=[[4.9, 0, 0], [-2.45, 4.2435, 0], [0, 0, 5.4]],
    pbc=True,
)  # fmt: skip
CRYSTALS = [
    bulk("Cu"),
    bulk("Po", "sc", 3.35),
    bulk("Mg"),
    bulk("NaCl", "rocksalt", 5.64),
    bulk("Si"),
    QUARTZ,
]


@pytest.mark.parametrize("atoms", CRYSTALS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_reduced_and_direct_searches_agree(atoms, seed):
    rng = np.random.default_rng(seed)
    matrix = np.diag(rng.integers(2, 5, 3)) + np.triu(rng.integers(-1, 2, (3, 3)), 1)
    large = make_supercell(atoms, matrix)
    large = large[rng.permutation(len(large))]
    large.translate(rng.random(3))
    large.rattle(1e-4, seed=seed)
    crystal = from_ase(large)
    reduced, images = primitive_cell(crystal, 1e-3)
    assert len(reduced) == len(atoms)
    assert (reduced.numbers[images] == crystal.numbers).all()
    assert np.bincount(images).tolist() == [round(np.linalg.det(matrix))] * len(atoms)
    direct = symmetry._search_with_moyopy(crystal, 0.01)
    found = symmetry._search_with_moyopy(reduced, 0.01)
    letters = "".join(found.letters[i] for i in images)
    assert (found.number, found.n_conventional) == (direct.number, direct.n_conventional)
    orbits = [orbits_of(crystal, answer) for answer in (direct, found._replace(letters=letters))]
    first, second = (canonical_orbits(found.number, some) for some in orbits)
    assert first == second


def displaced(atoms: Atoms) -> Atoms:
    atoms = atoms * (6, 6, 6)
    atoms.positions[7] += [0.05, 0, 0]
    return atoms


def with_vacancy(atoms: Atoms) -> Atoms:
    atoms = atoms * (6, 6, 6)
    del atoms[7]
    return atoms


def substituted(atoms: Atoms) -> Atoms:
    atoms = atoms * (6, 6, 6)
    atoms.numbers[7] += 1
    return atoms


def along_one_axis(atoms: Atoms) -> Atoms:
    atoms = atoms * (6, 6, 1)
    atoms.positions[7] += [0.05, 0, 0]
    return atoms * (1, 1, 6)


@pytest.mark.parametrize(
    ("change", "factor"), [(displaced, 1), (with_vacancy, 1), (substituted, 1), (along_one_axis, 6)]
)
def test_cells_that_are_no_supercells(change, factor):
    crystal = from_ase(change(bulk("Cu")))
    assert len(primitive_cell(crystal, 1e-3).crystal) == len(crystal) / factor


def test_large_cells_take_little_time():
    large = bulk("Cu") * (24, 24, 24)
    started = time.process_time()
    scope = Scope.from_crystal(large, "sites")
    assert time.process_time() - started < 3
    assert scope.n_atoms == 13_824
    assert str(scope) == str(Scope.from_crystal(bulk("Cu"), "sites"))


def test_cells_beyond_the_limit_are_refused_at_once():
    large = bulk("Cu") * (47, 47, 47)
    started = time.process_time()
    with pytest.raises(CrystalError, match="103823 atoms, more than 20000"):
        Scope.from_crystal(large)
    assert time.process_time() - started < 1


def test_a_slab_is_warned_of_once():
    slab = bulk("Cu", cubic=True) * (6, 6, 1)
    slab.center(vacuum=8, axis=2)
    slab.pbc = True
    with pytest.warns(CloudWarning) as caught:
        Scope.from_crystal(slab)
    assert len(caught) == 1


def test_a_search_that_takes_too_long_is_ended(monkeypatch):
    def slow(*_):
        raise TimeoutError("it takes more than 30 s")

    monkeypatch.setattr(symmetry, "confined", slow)
    with pytest.raises(SymmetryError, match="512 atoms cannot be found: it takes more than 30 s"):
        find_symmetry(from_ase(displaced_512()), 0.01)


def displaced_512() -> Atoms:
    atoms = bulk("Cu") * (8, 8, 8)
    atoms.positions[7] += [0.05, 0, 0]
    return atoms
