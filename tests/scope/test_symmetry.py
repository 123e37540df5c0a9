"""SCOPE does not depend on how a crystal is described, nor on the engine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import moyopy
import numpy as np
import pytest
import spglib
from ase.build import bulk, make_supercell
from ase.spacegroup import crystal as from_sites
from equivalent_crystals import CHANGES, changes
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cloud_model import Scope
from cloud_model.crystal.conversions import from_object
from cloud_model.crystal.crystal import Crystal
from cloud_model.errors import ArgumentError, CrystalError, SymmetryError
from cloud_model.scope.symmetry import (
    FOUND,
    MAX_ATOMS,
    find_published_symmetry,
    find_symmetry,
    orbits_of,
    recall_symmetry,
)

PROTOTYPES = {
    "copper": bulk("Cu"),
    "magnesium": bulk("Mg"),
    "diamond": bulk("C", "diamond", 3.57),
    "rock salt": bulk("NaCl", "rocksalt", 5.64),
    "zincblende": bulk("GaAs", "zincblende", 5.65),
    "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "fluorite": bulk("CaF2", "fluorite", 5.46, cubic=True),
    "perovskite": from_sites(
        ["Ba", "Ti", "O"],
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        spacegroup=221,
        cellpar=[4.01] * 3 + [90] * 3,
    ),
    "rutile": from_sites(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.59, 4.59, 2.96, 90, 90, 90]
    ),
    "quartz": from_sites(
        ["Si", "O"],
        [(0.47, 0, 1 / 3), (0.41, 0.27, 0.45)],
        spacegroup=152,
        cellpar=[4.91, 4.91, 5.4, 90, 90, 120],
    ),
    "corundum": from_sites(
        ["Al", "O"],
        [(0, 0, 0.352), (0.306, 0, 0.25)],
        spacegroup=167,
        cellpar=[4.76, 4.76, 12.99, 90, 90, 120],
    ),
    "spinel": from_sites(
        ["Mg", "Al", "O"],
        [(0.125,) * 3, (0.5,) * 3, (0.2625,) * 3],
        spacegroup=227,
        setting=2,
        cellpar=[8.08] * 3 + [90] * 3,
    ),
    "orthorhombic": from_sites(
        ["Na", "Cl", "O"],
        [(0, 0, 0), (0.5, 0, 0), (0.2, 0.5, 0.5)],
        spacegroup=47,
        cellpar=[4, 5, 6, 90, 90, 90],
    ),
    "monoclinic": from_sites(
        ["Fe", "S", "O"],
        [(0.5, 0, 0), (0, 0, 0.5), (0.2, 0.3, 0.4)],
        spacegroup=14,
        cellpar=[5.1, 6.2, 7.3, 90, 101, 90],
    ),
    "triclinic": from_sites(
        ["Cu", "S", "O", "O"],
        [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0.2, 0.3, 0.41)],
        spacegroup=2,
        cellpar=[5.1, 5.6, 7.3, 81, 77, 68],
    ),
}
CRYSTALS = {name: from_object(atoms) for name, atoms in PROTOTYPES.items()}

on_prototypes = pytest.mark.parametrize("crystal", CRYSTALS.values(), ids=CRYSTALS)
with_both_engines = pytest.mark.parametrize("engine", ["moyopy", "spglib"])


@st.composite
def crystals(draw):
    """Any space group, with one to three orbits on positions that may be special."""
    number = draw(st.integers(1, 230))
    operations = moyopy.operations_from_number(number)
    coordinate = st.sampled_from([0, 1 / 4, 1 / 2, 3 / 4, 0.1, 0.23, 0.37])
    sites = draw(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=3))
    positions, numbers = [], []
    for z, site in zip((11, 22, 8), sites, strict=False):
        images = np.array(operations.rotations) @ site + np.array(operations.translations)
        distinct = np.unique(np.round(images % 1, 6) % 1, axis=0)
        positions.append(distinct)
        numbers += [z] * len(distinct)
    assume(len(numbers) <= 120)
    try:
        return Crystal(lattice_of(number), np.concatenate(positions), np.array(numbers))
    except CrystalError:  # sites of several elements coincide
        assume(False)


def lattice_of(number):
    if number <= 2:
        return np.array([[6.1, 0, 0], [1.2, 6.9, 0], [-0.8, 1.5, 7.7]])
    if number <= 15:
        return np.array([[6.1, 0, 0], [0, 6.9, 0], [-1.3, 0, 7.7]])
    if number <= 74:
        return np.diag([6.1, 6.9, 7.7])
    if number <= 142:
        return np.diag([6.1, 6.1, 7.7])
    if number <= 194:
        return np.array([[6.1, 0, 0], [-3.05, 6.1 * np.sqrt(3) / 2, 0], [0, 0, 7.7]])
    return np.diag([6.9, 6.9, 6.9])


def describe(crystal, dialect="sites", **kwargs):
    return str(Scope.from_crystal(crystal, dialect, **kwargs))


@pytest.mark.parametrize("displacement", [0.004, 0.007, 0.009, 0.012, 0.02])
@pytest.mark.parametrize("name", ["copper", "diamond", "rock salt", "fluorite", "perovskite", "rutile"])
def test_engines_agree_about_one_displaced_atom(name, displacement):
    atoms = make_supercell(PROTOTYPES[name], [[1, 1, -1], [-1, 1, 1], [1, -1, 1]])
    atoms.positions[0] += displacement * np.array([0.36, 0.48, 0.8])
    first, second = (find_symmetry(from_object(atoms), 0.01, engine) for engine in ("moyopy", "spglib"))
    assert first.number == second.number
    if displacement == 0.004:
        assert first.number == find_symmetry(CRYSTALS[name], 0.01).number


@with_both_engines
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@on_prototypes
def test_prototypes_described_differently(crystal, change, engine):
    other = change(crystal, np.random.default_rng(0))
    for dialect in ("canonical", "sites"):
        assert describe(other, dialect, engine=engine) == describe(crystal, dialect, engine=engine)


@settings(max_examples=150, deadline=None)
@given(crystals(), changes())
def test_any_crystal_described_differently(crystal, change):
    assert describe(change(crystal)) == describe(crystal)


@settings(max_examples=40, deadline=None)
@given(crystals())
def test_engines_agree(crystal):
    assert describe(crystal, engine="moyopy") == describe(crystal, engine="spglib")


@on_prototypes
def test_mirror_images_of_lattices_are_crystals_too(crystal):
    mirrored = Crystal(crystal.lattice * [1, 1, -1], crystal.positions, crystal.numbers)
    chiral = {152: 154}  # quartz has a hand
    number = Scope.from_crystal(crystal).space_group
    assert Scope.from_crystal(mirrored).space_group == chiral.get(number, number)


@with_both_engines
@pytest.mark.parametrize(("symprec", "number"), [(0.0102, 221), (0.0098, 99)])
def test_symprec_is_the_largest_distance_to_an_image(engine, symprec, number):
    atoms = PROTOTYPES["perovskite"].copy()
    atoms.positions[1, 2] += (
        0.00625  # a mirror moves Ti by twice this, of which the mean over 5 atoms is no motion
    )
    assert Scope.from_crystal(atoms, symprec=symprec, engine=engine).space_group == number


@with_both_engines
def test_supercells_have_whole_orbits(engine):
    crystal = from_object(PROTOTYPES["perovskite"] * (3, 2, 1))
    symmetry = find_symmetry(crystal, 0.01, engine)
    assert sorted(orbits_of(crystal, symmetry), key=lambda orbit: orbit[1]) in (
        [("a", "Ba"), ("c", "O"), ("b", "Ti")],
        [("b", "Ba"), ("d", "O"), ("a", "Ti")],
    )


@pytest.mark.parametrize("engine", ["moyopy", "spglib"])
def test_a_geometry_is_searched_once_whatever_its_elements(engine):
    salt, caesium_chloride = (
        from_object(bulk("NaCl", structure, a=5.0)) for structure in ("rocksalt", "cesiumchloride")
    )
    bromide = replace(salt, numbers=np.where(salt.numbers == 17, 35, 11))
    swapped = replace(salt, numbers=salt.numbers[::-1])
    FOUND.clear()
    results = [
        recall_symmetry(partial(find_symmetry, engine=engine), crystal, 0.01, engine)
        for crystal in (salt, bromide, swapped, caesium_chloride)
    ]
    assert [result.number for result in results] == [225, 225, 225, 221]
    assert len(FOUND) == 3
    assert find_symmetry(bromide, 0.01, engine) == results[1]


def test_engines_that_fail_raise(monkeypatch):
    def fail(*_, **__):
        raise ValueError("no primitive cell")

    crystal = CRYSTALS["copper"]
    monkeypatch.setattr(spglib, "get_symmetry_dataset", lambda *_: None)
    with pytest.raises(SymmetryError, match="Cu1: the symmetry search failed"):
        find_symmetry(crystal, 0.01, "spglib")
    with pytest.raises(SymmetryError):
        find_published_symmetry(crystal, 0.01)
    monkeypatch.setattr(moyopy, "MoyoDataset", fail)
    with pytest.raises(SymmetryError, match="no primitive cell"):
        find_symmetry(crystal, 0.01, "moyopy")


def test_spglib_errors_are_ours(monkeypatch):
    def fail(*_, **__):
        raise spglib.SpglibError("too close distance between atoms")

    monkeypatch.setattr(spglib, "get_symmetry_dataset", fail)
    with pytest.raises(SymmetryError, match="spglib finds no"):
        find_symmetry(CRYSTALS["copper"], 0.01, "spglib")


def test_large_cells_are_refused():
    atoms = bulk("Cu", cubic=True) * (8, 8, 8)
    assert find_symmetry(from_object(atoms), 0.01, "spglib").number == 225  # its primitive cell is searched
    atoms.numbers[0] = 47
    assert len(atoms) > MAX_ATOMS["spglib"]
    with pytest.raises(CrystalError, match="2048 atoms"):
        find_symmetry(from_object(atoms), 0.01, "spglib")


@pytest.mark.parametrize(
    "arguments",
    [{"symprec": 0}, {"symprec": float("nan")}, {"symprec": -1}, {"symprec": "0.01"}, {"engine": "findsym"}],
)
def test_wrong_arguments(arguments):
    with pytest.raises(ArgumentError):
        Scope.from_crystal(PROTOTYPES["copper"], **arguments)
