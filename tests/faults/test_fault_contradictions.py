"""What a file states twice, and states alike, is read; `hostile_files` holds files that contradict themselves."""

from __future__ import annotations

import json

import pytest
from hostile_files import ase_json, caesium_chloride, labelled
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from cloud_model.crystal.files import read_crystal, to_crystal

SALT = Structure(Lattice.cubic(4.1), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize("labels", [
    ("Na", "Cl"), ("Na1", "Cl1"), ("Na+", "Cl-"), ("! Na", "! Cl"), ("Na 1", "Cl 2"), ("Na_pv", "CL"), ("", "Cl"),
    ("bulk", "TOP"), ("In the bulk", "At the top"), ("F F F", "T T T"), ("1", "2"),
])  # fmt: skip
@pytest.mark.parametrize("flags", ["", "T T F"])
def test_labels_after_positions(labels, flags):
    assert read_crystal(labelled(*labels, flags=flags)).numbers.tolist() == [11, 17]


def test_labels_name_the_elements_of_vasp_4():
    assert read_crystal(labelled("F", "K", elements="")).numbers.tolist() == [9, 19]
    assert read_crystal(labelled("F", "K", elements="", comment="F K")).numbers.tolist() == [9, 19]


def test_columns_of_elements():
    comment = 'Lattice="3 0 0 0 3 0 0 0 3" old_Lattice="4 0 0 0 4 0 0 0 4"'
    frame = f"1\n{comment} Properties=species:S:1:Z:I:1:pos:R:3\n{{}} 0 0 0\n"
    assert read_crystal(frame.format("Cu 29")).numbers.tolist() == [29]
    assert read_crystal(frame.replace("species:S:1:", "").format("29")).numbers.tolist() == [29]


def test_optimade():
    stated = {
        "nsites": 2, "nelements": 2, "elements": ["Cl", "Cs"], "elements_ratios": [0.5, 0.5],
        "chemical_formula_reduced": "ClCs", "chemical_formula_hill": "ClCs", "site_coordinate_span": "unit_cell",
        "chemical_formula_descriptive": "caesium chloride", "fractional_site_positions": [[0, 0, 1], [0.5, 0.5, 0.5]],
    }  # fmt: skip
    assert read_crystal(caesium_chloride(**stated)).formula == "Cl1Cs1"


def test_json_of_ase():
    stated = {"symbols": ["Cs", "Cl"], "natoms": 2, "formula": "CsCl", "volume": 68.9}
    assert (
        read_crystal(ase_json(**stated, scaled_positions=[[1, 0, 0], [0.5, 0.5, -0.5]])).formula == "Cl1Cs1"
    )


def test_entries_of_pymatgen():
    entry = ComputedStructureEntry(SALT, -1.0).as_dict()
    assert read_crystal(json.dumps(entry)).formula == "Cl1Cs1"
    document = {"structure": SALT.as_dict(), "formula_pretty": "CsCl", "composition": {"Cs": 4, "Cl": 4}}
    assert read_crystal(json.dumps(document)).formula == "Cl1Cs1"


def test_labels_of_pymatgen_outlive_their_elements():
    structure = SALT.copy()
    structure[0] = "Rb"
    assert structure.as_dict()["sites"][0]["label"] == "Cs"
    assert to_crystal(structure).formula == to_crystal(structure.as_dict()).formula == "Cl1Rb1"


def test_positions_in_another_cell_are_the_same():
    content = SALT.as_dict()
    content["sites"][1]["xyz"] = [2.05, 2.05, -2.05]
    assert to_crystal(content).formula == "Cl1Cs1"
