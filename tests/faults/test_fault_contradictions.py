"""What a file states twice, and states alike, is read; `hostile_files` holds files that contradict themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.io.jsonio import encode
from hostile_files import (
    ALAT,
    HEAD,
    ase_json,
    caesium_chloride,
    cif,
    cssr,
    labelled,
    matrix,
    pdb,
    pw,
    res,
    xsf,
)
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from cloud_model.crystal.files import read_crystal, read_crystals, to_crystal
from cloud_model.errors import DisorderedCrystalError

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
        "chemical_formula_reduced": "ClCs", "chemical_formula_hill": "ClCs", "chemical_formula_anonymous": "AB",
        "site_coordinate_span": "unit_cell",
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
    for composition in (
        {"Cs": 4, "Cl": 4},
        {"Cs+": 1.0, "Cl-": 1.0},
        {"@class": "Composition", "Cs": 1, "Cl": 1},
        {},
    ):
        document = {"structure": SALT.as_dict(), "formula_pretty": "CsCl", "composition": composition}
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


@pytest.mark.parametrize("words", [
    "_exptl_crystal_density_diffrn 0.541", "_chemical_formula_weight 58.44", "_chemical_formula_weight 29.22",
    "_chemical_formula_weight 1e-9",
    "_chemical_formula_weight 58.44\n_cell_formula_units_Z 1", "_cell_volume 179.4(2)",
    "_exptl_crystal_density_diffrn ?",
    "_symmetry_cell_setting triclinic",
    "_symmetry_cell_setting cubic\n_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 1",
    "loop_\n_atom_type_symbol\n_atom_type_number_in_cell\nNa 1\nCl 1",
    "_atom_type_symbol Na\n_atom_type_number_in_cell ?",
    "loop_\n_atom_site_aniso_label\n_atom_site_aniso_U_11\nNa1 1",
])  # fmt: skip
def test_cif(words):
    assert read_crystal(cif(head=f"{HEAD}{words}\n")).formula == "Na1Cl1"


def test_a_density_decides_between_settings():
    group = "_space_group_name_H-M_alt 'F d -3 m'"
    sites = "Si1 Si 0.125 0.125 0.125 1\n"
    for density, atoms in (("2.08", 8), ("4.16", 16)):
        text = cif(sites, f"{HEAD}_exptl_crystal_density_diffrn {density}\n", group, ())
        assert len(read_crystal(text)) == atoms


def test_heavy_water_is_heavy():
    sites = "O1 O 0 0 0 1\nD1 D .2 0 0 1\nD2 D 0 .2 0 1\n"
    assert len(read_crystal(cif(sites, f"{HEAD}_exptl_crystal_density_diffrn 0.1854\n"))) == 3


@pytest.mark.parametrize("label", ["T1", "M", "W2", "K", "Kat1", "kation", "X1"])
def test_labels_of_cifs_that_name_no_other_element(label):
    assert read_crystal(cif(f"{label} K 0 0 0 1\nCl1 Cl .5 .5 .5 1\n")).formula == "Cl1K1"


def test_a_formula_decides_between_label_and_type():
    head = f"{HEAD}_chemical_formula_sum 'K Cl'\n"
    assert read_crystal(cif("Na1 K 0 0 0 1\nCl1 Cl .5 .5 .5 1\n", head)).formula == "Cl1K1"


@pytest.mark.parametrize("elements", [
    "SFAC Na Cl\nUNIT 1 1", "SFAC Na Cl Na\nUNIT 1 1 0", "ZERR 1 0 0 0 0 0 0\nSFAC Na Cl", "SFAC K Br\nUNIT 1 1",
])  # fmt: skip
def test_res(elements):
    crystal = read_crystal(res("Na1 1 0 0 0 11\nCl1 2 .5 .5 .5 11\n", elements))
    assert crystal.formula == ("K1Br1" if "K" in elements else "Na1Cl1")


def test_several_crystals_of_airss():
    titled = res("Na1 1 0 0 0 11\n").replace(b"TITL x", b"TITL x-1 0.0 125.0 -3.5 0.00 0.00 1 (Pm-3m) n - 1")
    found = list(read_crystals(titled + titled))
    assert [name for name, _ in found] == ["SHELX text@0", "SHELX text@1"]
    assert [len(crystal) for _, crystal in found] == [1, 1]


@pytest.mark.parametrize("content", [
    pdb(), pdb(units="1"), pdb("Na1", ""), pdb(place="A"),
    pdb(before=matrix("SCALE", 0.177305)),
    pdb(before=matrix("ORIGX", 1.0) + matrix("MTRIX", 1.0)),
])  # fmt: skip
def test_pdb(content):
    assert read_crystal(content).formula == "Na1"


def test_names_of_pdb_files():
    assert read_crystal(pdb(" CA ", "C")).formula == "C1"
    assert read_crystal(pdb("1HB ", "H")).formula == "H1"
    assert read_crystal(pdb("D1  ", "D")).formula == "H1"


def test_xsf():
    assert read_crystal(xsf()).formula == "Na1Cl1"
    assert len(list(read_crystals(xsf(steps="ANIMSTEPS 2\n", frames=2)))) == 2


@pytest.mark.parametrize(("system", "cell", "unit"), [
    ("ibrav=0", "CELL_PARAMETERS angstrom\n5 0 0\n0 5 0\n0 0 5\n", "crystal"), ("ibrav=0, A=5", ALAT, "crystal"),
    ("ibrav=0, celldm(1)=9.44863", ALAT, "alat"), ("ibrav=0, A = 5.0", ALAT, "alat"),
])  # fmt: skip
def test_units_of_pw(system, cell, unit):
    crystal = read_crystal(pw(system, cell, unit, "Na .5 .5 .5"))
    assert crystal.lattice.diagonal() == pytest.approx([5, 5, 5], abs=1e-4)
    assert crystal.positions[0] == pytest.approx([0.5] * 3)


@pytest.mark.parametrize(
    "species", ["Na 22.99 na_pbe_v1.UPF", "Na 1.0 Na.upf", "Na 22 pseudo/Na.pz.UPF", "Na 0 a"]
)
def test_species_of_pw(species):
    assert read_crystal(pw().decode().replace("Na 23 a", species)).formula == "Na1"


def test_exponents_of_fortran():
    poscar = (
        labelled("Na", "Cl").decode().replace("4 0 0", "4.0d0 0 0").replace(".5 .5 .5", "0.5D0 5d-1 .5d+0")
    )
    assert read_crystal(poscar).positions[1] == pytest.approx([0.5] * 3)
    vectors = "lattice_vector 4d0 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\n"
    assert read_crystal(f"{vectors}atom_frac 0.5d0 0 0 Na\n").positions[0, 0] == pytest.approx(0.5)
    frame = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nCd 1.5d0 0 0\n'
    assert read_crystal(frame).positions[0, 0] == pytest.approx(0.5)
    assert read_crystal("1 F\nCd\n1 1 .5d0 0 0\n0 0 0\n4d0 0 0\n0 4 0\n0 0 4\n").positions[
        0, 0
    ] == pytest.approx(0.5)


@pytest.mark.parametrize("group", ["SPGR = 1 P 1", "SPGR =  1", "SPGR = P1", "SPGR = P 1"])
def test_cssr_in_p_1(group):
    assert read_crystal(cssr(group)).formula == "Na1"


def test_velocities_are_no_second_poscar():
    assert read_crystal(labelled("Na", "Cl") + b"\n" + b"0 0 0\n" * 8).formula == "Na1Cl1"


def test_json_lines():
    found = list(read_crystals(ase_json() + b"\n" + ase_json() + b"\n"))
    assert [crystal.formula for _, crystal in found] == ["Cl1Cs1", "Cl1Cs1"]
    assert read_crystal("\ufeff" + ase_json().decode()).formula == "Cl1Cs1"


def test_disorder_noted_by_ase_outlives_a_dictionary():
    atoms = Atoms("CsCl", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[4.1] * 3, pbc=True)
    atoms.info["occupancy"] = {"0": {"Cs": 0.5, "Rb": 0.5}, "1": {"Cl": 1.0}}
    atoms.set_array("spacegroup_kinds", np.arange(2))
    for content in (atoms.todict(), json.loads(encode(atoms.todict()))):
        with pytest.raises(DisorderedCrystalError) as caught:
            to_crystal(content)
        assert [len(site) for site in caught.value.sites.shares] == [2, 1]
