"""CIFs: the same crystals as pymatgen reads, and errors for files that are incomplete or contradict themselves."""

from __future__ import annotations

import io

import numpy as np
import pytest
from ase.build import bulk
from ase.spacegroup import crystal as from_sites
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from cloud_model import Scope
from cloud_model.crystal.cif import read_cif
from cloud_model.crystal.conversions import from_object
from cloud_model.errors import CloudError, CrystalError, DisorderedCrystalError

SALT = """\
data_NaCl
_cell_length_a 5.64(2)
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90.
_symmetry_space_group_name_H-M 'P 1'
_symmetry_Int_Tables_number 1
_chemical_formula_sum 'Na4 Cl4'
loop_
 _symmetry_equiv_pos_as_xyz
 'x, y, z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
Na+ Na1 0 0 0 1
Na+ Na2 0.5 0.5 0 1.0
Na+ Na3 0.5 0 0.5 1
Na+ Na4 0 .5 .5 1
Cl- Cl1 0.5 0.5 0.5 1
Cl- Cl2 0 0 0.5(1) .
Cl- Cl3 0 0.5 0 ?
Cl- Cl4 0.5 0 0 1
"""

CALCITE = """\
data_calcite
_cell_length_a 4.99
_cell_length_b 4.99
_cell_length_c 17.06
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_space_group_IT_number 167
_space_group_name_H-M_alt 'R -3 c'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ca1 0 0 0
C1 0 0 0.25
O1 0.257 0 0.25
"""

# pymatgen warns about every liberty that it takes, and calls spglib the old way
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING"),
]

# structures whose CIFs need symmetry on special positions, in every crystal system
STRUCTURES = {
    "rock salt": bulk("NaCl", "rocksalt", 5.64),
    "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "fluorite": bulk("CaF2", "fluorite", 5.46, cubic=True),
    "rutile": from_sites(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.59, 4.59, 2.96, 90, 90, 90]
    ),
    "corundum": from_sites(
        ["Al", "O"],
        [(0, 0, 0.352), (0.306, 0, 0.25)],
        spacegroup=167,
        cellpar=[4.76, 4.76, 12.99, 90, 90, 120],
    ),
    "monoclinic": from_sites(
        ["Fe", "S", "O"],
        [(0.5, 0, 0), (0, 0, 0.5), (0.2, 0.3, 0.4)],
        spacegroup=14,
        cellpar=[5.1, 6.2, 7.3, 90, 101, 90],
    ),
}


def written_by_ase(atoms):
    file = io.BytesIO()
    atoms.write(file, format="cif")
    return file.getvalue().decode()


def written_by_pymatgen(atoms):
    return str(CifWriter(AseAtomsAdaptor.get_structure(atoms)))


def written_with_symmetry(atoms):
    return str(CifWriter(AseAtomsAdaptor.get_structure(atoms), symprec=0.01))


@pytest.mark.parametrize("write", [written_by_ase, written_by_pymatgen, written_with_symmetry])
@pytest.mark.parametrize("atoms", STRUCTURES.values(), ids=STRUCTURES)
def test_crystals_come_back(atoms, write, monkeypatch):
    monkeypatch.delattr("pymatgen.io.cif.CifParser")  # not needed
    crystal = read_cif(write(atoms))
    assert str(Scope.from_crystal(crystal, "sites")) == str(Scope.from_crystal(atoms, "sites"))


@pytest.mark.parametrize("atoms", STRUCTURES.values(), ids=STRUCTURES)
def test_symmetry_is_expanded_as_pymatgen_does(atoms):
    text = written_with_symmetry(atoms)
    ours, theirs = read_cif(text), from_object(Structure.from_str(text, fmt="cif"))
    assert np.allclose(
        ours.lattice @ ours.lattice.T, theirs.lattice @ theirs.lattice.T
    )  # oriented differently
    offsets = ours.positions[:, None] - theirs.positions
    distances = np.abs(offsets - np.rint(offsets)).max(axis=-1)
    nearest = distances.argmin(axis=1)
    assert sorted(nearest) == list(range(len(theirs)))
    assert distances.min(axis=1).max() < 1e-5
    assert (ours.numbers == theirs.numbers[nearest]).all()


def test_uncertainties_charges_and_missing_occupancies():
    crystal = read_cif(SALT)
    assert crystal.formula == "Na4Cl4"
    assert np.allclose(crystal.lattice, np.eye(3) * 5.64)


def test_rounded_thirds_are_on_the_axis():
    text = written_with_symmetry(bulk("Mg"))
    rounded = text.replace("0.33333333", "0.333").replace("0.66666667", "0.667")
    assert rounded != text
    assert np.allclose(read_cif(rounded).positions, read_cif(text).positions)


def test_a_space_group_that_is_only_named_is_applied():
    crystal = read_cif(CALCITE)
    assert crystal.formula == "C6O18Ca6"
    assert Scope.from_crystal(crystal).space_group == 167


def test_quotes_comments_and_text_fields():
    title = "_publ_section_title\n;\nloop_ of 'salt'\n_cell_length_a 7\n;\n"
    author = "_publ_author 'O'Neill' # it's a comment\n_note \"data_ in quotes\"\n"
    text = SALT.replace("_chemical_formula_sum", title + author + "_chemical_formula_sum")
    assert np.allclose(read_cif(text).lattice, read_cif(SALT).lattice)
    assert len(read_cif(text.replace("\n", "\r\n"))) == 8


def labelled(label, formula=""):
    """One atom with a label but no element."""
    head = SALT[: SALT.index("_chemical_formula_sum")]
    columns = "".join(f"_atom_site_{column}\n" for column in ("label", "fract_x", "fract_y", "fract_z"))
    return f"{head}{formula}\nloop_\n{columns}{label} 0 0 0\n"


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [("Na1", "", "Na"), ("O1W", "", "O"), ("OW", "", "O"), ("SiT1", "", "Si"), ("Ho1", "", "Ho"), ("HO1", "H", "H"),
     ("CD1", "Cd", "Cd"), ("NH4", "N", "N"), ("OS1", "O", "O")],
)  # fmt: skip
def test_elements_by_labels(label, formula, element):
    stated = f"_chemical_formula_sum {formula}" if formula else ""
    assert read_cif(labelled(label, stated)).formula == f"{element}1"


@pytest.mark.parametrize(
    ("label", "choice"), [("HO1", "H or Ho"), ("CD1", "C or Cd"), ("NH4", "N or Nh"), ("OS1", "O or Os")]
)
def test_labels_of_two_readings_are_refused(label, choice):
    with pytest.raises(CrystalError, match=f"may mean {choice}.*_atom_site_type_symbol"):
        read_cif(labelled(label))


@pytest.mark.parametrize(
    "text",
    [
        SALT.replace("Na1 0 0 0 1", "Na1 0 0 0 0.5"),
        SALT.replace("Na1 0 0 0 1", "Na1 0 0 0 0.96(1)"),
        CALCITE.replace("0 0 0\n", "0 0 0 0.5\n")
        .replace("0.25\n", "0.25 1\n")
        .replace("_fract_z", "_fract_z\n_atom_site_occupancy"),
    ],
    ids=["half", "refined", "by pymatgen"],
)
def test_partial_occupancies_are_disorder(text):
    with pytest.raises(DisorderedCrystalError):
        read_cif(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no atom sites"),
        ("hello", "no atom sites"),
        ("data_\n_cell_length_a 5\n", "no atom sites"),
        (SALT[: SALT.index("Na+ Na2")], "its atoms are Na1 but its formula is Na4 Cl4"),
        (SALT[: SALT.index("Cl2")], "a table in it is cut off"),
        (SALT[: SALT.index("_atom_site_fract_y")], "no atom sites"),
        (SALT + SALT, "it holds 2 crystals"),
        (SALT.replace("tables_number 1", "tables_number 225").replace("Tables_number 1", "Tables_number 225"),
         "it states several space groups: 1, 225"),
        (SALT.replace("'P 1'", "'F m -3 m'").replace("Tables_number 1", "Tables_number 225"),
         "its 1 symmetry operations are not those of space group 225"),
        (SALT.replace("'Na4 Cl4'", "'Na4 Cl4 O1'"), "its formula is Na4 Cl4 O"),
        (SALT.replace("_cell_length_a 5.64(2)", "_cell_length_a 0"), "no cell"),
        (SALT.replace("Na4 0 .5 .5", "Na4 0 0 0"), "closer than 0.1"),
        (SALT.replace("Na+ Na1 0 0 0", "Xx Xx1 0 0 0"), "Xx|not an element"),
        (SALT.replace("Na+ Na1 0 0 0", "Na+ Na1 0 ? 0"), "not all its values of _atom_site_fract_y are numbers"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings(
    "ignore:.*", "default::cloud_model.errors.CloudWarning"
)  # pymatgen's on such files
def test_faults(text, reason):
    with pytest.raises(CrystalError, match=reason) as caught:
        read_cif(text, "salt.cif")
    assert caught.value.subject == "salt.cif"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_ends_in_a_crystal_or_an_error(data):
    """Delete, double or replace a part of a file."""
    source = data.draw(st.sampled_from([SALT, CALCITE]))
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, min(len(source), start + 60)))
    patch = data.draw(
        st.sampled_from(
            [
                "",
                "loop_",
                "'",
                '"',
                ";",
                "\n;\n",
                "nan",
                "inf",
                "-1",
                "1/0",
                "\0",
                "é",
                "_x",
                source[start:end] * 2,
            ]
        )
    )
    try:
        crystal = read_cif(source[:start] + patch + source[end:])
    except CloudError:
        return
    assert np.isfinite(crystal.positions).all()
