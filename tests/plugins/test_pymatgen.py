"""pymatgen: every kind of structure is read, and carries its predictions."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from monty.json import MontyDecoder, MontyEncoder
from pymatgen.core import Structure
from pymatgen.core.structure import IStructure
from pymatgen.entries.computed_entries import ComputedStructureEntry
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from cloud_model import Scope
from cloud_model.errors import ArgumentError, BatchError, DisorderedCrystalError, PropertyError
from cloud_plugins.pymatgen import with_predictions


@pytest.fixture(scope="module")
def structure(rock_salts):
    kept = rock_salts[0].copy()
    kept.properties = {"source": "a test"}
    return kept


@pytest.fixture(scope="module")
def carriers(structure):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pymatgen calls spglib the old way
        symmetrized = SpacegroupAnalyzer(structure).get_symmetrized_structure()
    return {
        "structure": structure,
        "frozen": IStructure.from_sites(structure.sites, properties=structure.properties),
        "symmetrized": symmetrized,
        "entry": ComputedStructureEntry(structure, -12.0),
    }


KINDS = pytest.mark.parametrize("kind", ["structure", "frozen", "symmetrized", "entry"])


def properties_of(crystal):
    return getattr(crystal, "structure", crystal).properties


@KINDS
def test_scope_is_that_of_the_structure(carriers, structure, kind):
    assert Scope.from_crystal(carriers[kind]) == Scope.from_crystal(structure)


@KINDS
def test_predictions_are_carried(carriers, tiny_model, kind):
    crystal = carriers[kind]
    carrier = with_predictions(crystal, ["band_gap", "heat_capacity"], 77, model=tiny_model)
    assert type(carrier) is type(crystal)
    expected = tiny_model.predict(crystal, ["band_gap", "heat_capacity"], 77).drop(columns="error").iloc[0]
    assert properties_of(carrier) == {
        "source": "a test",
        "cloud_model": "tiny",
        "cloud_temperature": 77.0,
    } | {f"cloud_{name}": pytest.approx(value, rel=1e-5) for name, value in expected.items()}


@KINDS
def test_the_given_crystal_is_left_alone(carriers, tiny_model, kind):
    with_predictions(carriers[kind], "band_gap", model=tiny_model)
    assert properties_of(carriers[kind]) == {"source": "a test"}


@pytest.mark.parametrize(
    "kind", ["structure", "frozen", "entry"]
)  # SymmetrizedStructure drops its properties
def test_predictions_survive_json(carriers, tiny_model, kind):
    carrier = with_predictions(carriers[kind], "band_gap", model=tiny_model)
    restored = json.loads(json.dumps(carrier, cls=MontyEncoder), cls=MontyDecoder)
    assert properties_of(restored) == properties_of(carrier)


def test_predictions_survive_the_way_to_ase_and_back(structure, tiny_model):
    carrier = with_predictions(structure, "band_gap", model=tiny_model)
    atoms = AseAtomsAdaptor.get_atoms(carrier, msonable=False)
    assert atoms.info["cloud_band_gap"] == carrier.properties["cloud_band_gap"]
    back = AseAtomsAdaptor.get_structure(atoms)
    assert back.properties["cloud_band_gap"] == carrier.properties["cloud_band_gap"]


def test_a_collection_gives_a_list(carriers, rock_salts, tiny_model):
    crystals = [*carriers.values(), *rock_salts]
    copies = with_predictions(crystals, model=tiny_model)
    assert [type(copy) for copy in copies] == [type(crystal) for crystal in crystals]
    gaps = [properties_of(copy)["cloud_band_gap"] for copy in copies]
    np.testing.assert_allclose(gaps, tiny_model.predict(crystals, "band_gap")["band_gap"], rtol=1e-5)


def test_values_of_a_cell_are_those_of_the_given_cell(structure, tiny_model):
    primitive = structure.get_primitive_structure()
    ratio = [
        with_predictions(cell, "heat_capacity", model=tiny_model).properties["cloud_heat_capacity"]
        for cell in (structure, primitive)
    ]
    assert ratio[0] == pytest.approx(4 * ratio[1], rel=1e-5)


def test_disordered_structures_must_be_ordered_first(structure, tiny_model):
    disordered = Structure(structure.lattice, [{"Mg": 0.5, "Ca": 0.5}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(DisorderedCrystalError, match="OrderDisorderedStructureTransformation"):
        with_predictions(disordered, model=tiny_model)
    with pytest.raises(BatchError) as caught:
        with_predictions([structure, disordered], model=tiny_model)
    assert list(caught.value.failures) == [1]


def test_unknown_properties_are_refused(structure, tiny_model):
    with pytest.raises(PropertyError, match="colour"):
        with_predictions(structure, "colour", model=tiny_model)


@pytest.mark.parametrize("wrong", ["NaCl.cif", None, 3, "F | Na | Cl"])
def test_only_what_carries_predictions_gets_them(tiny_model, rock_salts, wrong):
    for crystals in (wrong, [rock_salts[0], wrong]):
        with pytest.raises(ArgumentError, match="neither a Structure"):
            with_predictions(crystals, model=tiny_model)
    assert with_predictions([], model=tiny_model) == []
