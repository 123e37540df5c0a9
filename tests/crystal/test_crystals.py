"""Crystals of other libraries become the same arrays; what is not one physical crystal is refused."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, DummySpecies, Lattice, Molecule, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from cloud_model.crystal.cell import heights_and_directions, volume_and_normals
from cloud_model.crystal.contacts import closest_contact
from cloud_model.crystal.conversions import from_object
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import COVALENT_RADII
from cloud_model.errors import CloudWarning, CrystalError, DisorderedCrystalError

SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def salt(**changes):
    """Rock salt in its cubic cell, with other arrays."""
    arrays = {
        "lattice": np.eye(3) * 5.64,
        "positions": SALT.frac_coords.copy(),
        "numbers": np.array(SALT.atomic_numbers),
    }
    return Crystal(**(arrays | changes))


def same(one: Crystal, other: Crystal) -> bool:
    shift = one.positions - other.positions
    return (
        np.allclose(one.lattice, other.lattice)
        and np.allclose(shift, np.rint(shift))
        and one.numbers.tolist() == other.numbers.tolist()
    )


def decorated():
    """Rock salt with oxidation states, magnetic moments and labels."""
    structure = SALT.copy(site_properties={"magmom": [1.0] * 8, "label": list("abcdefgh")})
    structure.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    return structure


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING")  # pymatgen calls spglib the old way
@pytest.mark.parametrize(
    "make",
    [
        lambda: AseAtomsAdaptor.get_atoms(SALT),
        lambda: SALT,
        lambda: decorated(),
        lambda: SpacegroupAnalyzer(SALT).get_symmetrized_structure(),
        lambda: ComputedStructureEntry(SALT, -1.0),
        lambda: SALT.as_dict(),
        lambda: decorated().as_dict(),
        lambda: salt(),
    ],
    ids=["ase", "pymatgen", "decorated", "symmetrized", "entry", "dict", "decorated dict", "crystal"],
)
def test_carriers(make):
    assert same(from_object(make()), salt())


def test_the_input_is_left_as_it_is():
    atoms = bulk("NaCl", "rocksalt", 5.64)
    before = atoms.copy()
    from_object(atoms)
    assert atoms == before


def test_isotopes_are_their_element():
    ice = Structure(Lattice.cubic(4), ["D", "O", "T"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]])
    assert from_object(ice).numbers.tolist() == [1, 8, 1]


def test_left_handed_cells_are_fine():
    assert len(salt(lattice=np.diag([5.64, 5.64, -5.64]))) == 8


@pytest.mark.parametrize(
    "make",
    [
        lambda: Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]]),
        lambda: Structure(Lattice.cubic(3), [{"Fe": 0.9}], [[0, 0, 0]]),
        lambda: Structure(Lattice.cubic(3), [{"Fe": 0.9}], [[0, 0, 0]]).as_dict(),
        lambda: Structure(Lattice.cubic(3), [{"Fe2+": 0.5, "Fe3+": 0.4}], [[0, 0, 0]]),
        lambda: Atoms("Fe", cell=[3, 3, 3], pbc=True, info={"occupancy": {"0": {"Fe": 0.5, "Ni": 0.5}}}),
        lambda: Atoms("Fe", cell=[3, 3, 3], pbc=True, info={"occupancy": {"0": {"Fe": 0.9}}}),
    ],
)
def test_disorder_is_refused_with_a_remedy(make):
    with pytest.raises(DisorderedCrystalError, match="OrderDisorderedStructureTransformation"):
        from_object(make())


def noted_by_ase(sites):
    """NaCl as ASE reads it, the occupancies of its sites noted."""
    atoms = bulk("NaCl", "rocksalt", 5.64)
    atoms.info["occupancy"] = {str(kind): site for kind, site in enumerate(sites)}
    atoms.set_array("spacegroup_kinds", np.arange(2))
    return atoms


def test_other_elements_in_place_of_noted_ones_count():
    atoms = noted_by_ase([{"Na": 1.0}, {"Cl": 1.0}])
    atoms.symbols = ["K", "Br"]
    assert from_object(atoms).numbers.tolist() == [19, 35]


def test_another_element_where_a_partly_occupied_site_is_noted_is_refused():
    atoms = noted_by_ase([{"Na": 0.6, "K": 0.4}, {"Cl": 1.0}])
    with pytest.raises(DisorderedCrystalError):
        from_object(atoms)
    atoms.symbols = ["Li", "Cl"]
    with pytest.raises(CrystalError, match=r"an atom is Li where atoms\.info\['occupancy'\] has Na and K"):
        from_object(atoms)


def with_occupancy(amount):
    """One crystal of each carrier, its atom with this occupancy."""
    structure = Structure(Lattice.cubic(3), ["Fe"], [[0, 0, 0]]).as_dict()
    structure["sites"][0]["species"][0]["occu"] = amount
    atoms = Atoms("Fe", cell=[3, 3, 3], pbc=True)
    atoms.info["occupancy"] = {"0": {"Fe": amount}}
    of_arrays = Atoms("Fe", cell=[3, 3, 3], pbc=True)
    of_arrays.set_array("occupancy", np.array([amount]))
    made = [structure, atoms, of_arrays]
    return made if amount > 1 else [*made, Structure(Lattice.cubic(3), [{"Fe": amount}], [[0, 0, 0]])]


@pytest.mark.parametrize("amount", [0.999, 0.9999, 0.99999999, 1, 1.001])
def test_occupancies_that_round_to_one_are_one(amount):
    for crystal in with_occupancy(amount):
        assert from_object(crystal).numbers.tolist() == [26]


@pytest.mark.parametrize(
    ("amount", "reason"), [(0.99, "partly occupied"), (2, "occupancy above 1, namely 2")]
)
def test_other_occupancies_are_not(amount, reason):
    for crystal in with_occupancy(amount):
        with pytest.raises(CrystalError, match=reason):
            from_object(crystal)


def test_sites_without_atoms_are_left_out():
    """In objects and dictionaries as in files."""
    structure = SALT.as_dict()
    structure["sites"][0]["species"][0]["occu"] = 0
    atoms = AseAtomsAdaptor.get_atoms(SALT)
    atoms.set_array("occupancy", np.arange(8).astype(bool).astype(float))
    for crystal in (structure, Structure.from_dict(structure), atoms):
        with pytest.warns(CloudWarning, match="1 of its sites is empty"):
            assert from_object(crystal).formula == "Na3Cl4"


def test_cells_of_phonopy():
    phonopy = pytest.importorskip("phonopy.structure.atoms")
    atoms = phonopy.PhonopyAtoms(
        symbols=[site.specie.symbol for site in SALT],
        cell=SALT.lattice.matrix,
        scaled_positions=SALT.frac_coords,
    )
    assert same(from_object(atoms), salt())


def test_valences_and_isotopes_of_one_element_share_a_site():
    mixed = Structure(
        Lattice.cubic(4), [{"Fe2+": 0.333, "Fe3+": 0.667}, {"H": 0.5, "D": 0.5}], [[0] * 3, [0.5] * 3]
    )
    assert from_object(mixed).numbers.tolist() == [26, 1]
    assert from_object(mixed.as_dict()).numbers.tolist() == [26, 1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Atoms(), "no atoms"),
        (lambda: Atoms(cell=[3, 3, 3], pbc=True), "no atoms"),
        (lambda: Atoms("Na"), "no cell"),
        (lambda: molecule("H2O"), "no cell"),
        (lambda: Atoms("Na", cell=[3, 3, 0], pbc=[1, 1, 0]), "no cell"),
        (lambda: Atoms("Na", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True), "no cell"),
        (lambda: bulk("NaCl", "rocksalt", 0.564), "too small for its atoms"),
        (lambda: Atoms("X", cell=[3, 3, 3], pbc=True), "'X', which is not an element"),
        (lambda: Structure(Lattice.cubic(3), [DummySpecies("X")], [[0, 0, 0]]), "'X', which is not"),
        (lambda: salt(numbers=np.full(8, 119)), "not an element"),
        (lambda: salt(lattice=np.eye(3) * 1e4), "longer than 1000"),
        (lambda: salt(lattice=np.eye(3) * 1e300), "longer than 1000"),
        (lambda: salt(lattice=np.full((3, 3), np.nan)), "not finite"),
        (lambda: Atoms("Na", cell=[np.inf, 3, 3], pbc=True), "not finite"),
        (lambda: salt(positions=np.full((8, 3), np.inf)), "not finite"),
        (lambda: Atoms("Na", positions=[[0, np.nan, 0]], cell=[3, 3, 3], pbc=True), "not finite"),
        (lambda: salt(positions=np.full((8, 3), 0.25)), "closer than 0.1"),
        (lambda: Atoms("Na2", [[0, 0, 0], [0, 0, 2.95]], cell=[3, 3, 3], pbc=True), "closer than 0.1"),
        (lambda: Molecule(["O"], [[0, 0, 0]]), "type Molecule: it is not a crystal"),
        (lambda: Composition("NaCl"), "it is not a crystal"),
        (lambda: None, "it is not a crystal"),
        (lambda: {"lattice": 1}, "not a pymatgen Structure"),
        (lambda: {"lattice": {"matrix": [[1]]}, "sites": []}, "not a pymatgen Structure"),
        (lambda: SALT.as_dict() | {"sites": []}, "no atoms"),
    ],
)
def test_what_is_not_a_physical_crystal_is_refused(make, reason):
    with pytest.raises(CrystalError, match=reason) as caught:
        from_object(make())
    assert caught.value.remedy


@pytest.mark.parametrize("n", [8, 9])  # below and above the size at which a tree finds the pairs
def test_overlap_is_found_in_any_cell(n):
    crystal = from_object(bulk("Cu", cubic=True) * (n // 2, n // 2, n))
    crowded = np.vstack([crystal.positions, crystal.positions[-1] + np.array([1 - 1e-3, 0, 1e-3])])
    with pytest.raises(CrystalError, match="closer"):
        Crystal(crystal.lattice, crowded, np.append(crystal.numbers, 29))


@given(
    st.lists(st.floats(-3, 3), min_size=9, max_size=9),
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
)
def test_overlap_is_that_of_the_nearest_images(strain, places):
    lattice = 6 * np.eye(3) + np.reshape(strain, (3, 3)) / 2
    positions = np.reshape(places, (2, 3))
    cells = np.stack(np.meshgrid(*[range(-3, 4)] * 3), axis=-1).reshape(-1, 3)
    offset = positions[0] - positions[1]
    nearest = np.linalg.norm((offset - np.rint(offset) + cells) @ lattice, axis=1).min()
    if abs(nearest - 0.1) < 1e-6:
        return
    if nearest < 0.1:
        with pytest.raises(CrystalError, match="closer"):
            Crystal(lattice, positions, np.array([11, 17]))
    else:
        assert len(Crystal(lattice, positions, np.array([11, 17]))) == 2


@pytest.mark.parametrize(
    ("make", "warning"),
    [
        (lambda: fcc111("Cu", (1, 1, 3), vacuum=8, periodic=True), "empty layer of 16 Angstrom"),
        (lambda: Atoms("N2", [[0, 0, 0], [0, 0, 1.1]], cell=[12, 12, 12], pbc=True), "empty layer"),
        (lambda: Atoms("Na", cell=[4, 4, 4], pbc=[True, True, False]), "not periodic along every axis"),
        (lambda: bulk("NaCl", "rocksalt", 2.0), "Na and Cl are 1.00 Angstrom apart, 37% of the sum"),
        (lambda: bulk("NaCl", "rocksalt", 2.0).repeat(8), "Na and Cl are 1.00 Angstrom apart"),
        (lambda: bulk("Cs", "bcc", 3.2), "Cs and Cs are 2.77 Angstrom apart"),
        (
            lambda: Structure(Lattice(np.eye(3) * 4, pbc=(True, True, False)), ["Na"], [[0, 0, 0]]),
            "not periodic",
        ),
    ],
)
def test_what_is_not_bulk_is_warned_about(make, warning):
    with pytest.warns(CloudWarning, match=warning):
        from_object(make())


@given(
    st.lists(st.floats(-2, 2), min_size=9, max_size=9),
    st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    st.lists(st.sampled_from([1, 8, 11, 55]), min_size=3, max_size=3),
    st.sampled_from([2, 4, 7]),
    st.sampled_from([(64, 512), (0, 512), (0, 0)]),
)
@settings(max_examples=60, deadline=None)
def test_the_closest_contact_is_that_of_all_images(strain, places, numbers, scale, limits):
    """For all pairs, for those of the product of matrices and for those of the tree."""
    lattice = scale * (np.eye(3) + np.reshape(strain, (3, 3)) / 12)
    positions, elements = np.reshape(places, (3, 3)), np.array(numbers)
    volume, normals = volume_and_normals(lattice.tolist())
    heights, directions = heights_and_directions(volume, normals)
    cells = np.array(list(product(range(-4, 5), repeat=3)))
    vectors = (positions[:, None] - positions + cells[:, None, None]) @ lattice
    distances = np.linalg.norm(vectors, axis=-1)
    distances[len(cells) // 2, np.arange(3), np.arange(3)] = np.inf
    radii = np.array(COVALENT_RADII)[elements - 1]
    expected = (distances / (radii[:, None] + radii)).min()
    if abs(expected - 0.6) < 1e-3 or distances.min() < 1e-3:
        return
    few, many = limits
    with patch.multiple("cloud_model.crystal.contacts", _FEW=few, _MANY=many):
        found = closest_contact(lattice, positions, elements, heights, directions, 0.6)
    assert found.share == pytest.approx(expected if expected < 0.6 else np.inf, rel=1e-6)


def test_a_large_dense_cell_is_bulk():
    from_object(bulk("Cu", cubic=True) * (2, 2, 6))  # a warning would be an error


def test_atoms_that_ase_cannot_print_are_refused():
    with pytest.raises(CrystalError, match=r"^X1: "):
        from_object(Atoms(numbers=[119], positions=[(0, 0, 0)]))


def test_an_oblique_cell_does_not_take_for_ever():
    lattice = np.array([[999.0, 0, 0], [998.9999, 0.001, 0], [0, 900, 5]])
    with pytest.raises(CrystalError, match="so oblique"):
        Crystal(lattice, np.zeros((1, 3)), np.array([11]))
