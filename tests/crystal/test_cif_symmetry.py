"""Symmetry of CIFs in all settings: the one that is meant is applied, or the file is refused."""

from __future__ import annotations

import time
import warnings
from collections import Counter

import numpy as np
import pytest
import spglib

from cloud_model.crystal.cif import read_cif
from cloud_model.crystal.settings import setting_name, settings, settings_named
from cloud_model.errors import CloudWarning, CrystalError

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING", "ignore:Use get_magnetic_spacegroup")

GENERAL = [("Si", "Si", (0.0, 0.0, 0.0)), ("O", "O", (0.13, 0.22, 0.37))]
SPINEL = [("Mg1", "Mg", (0.125,) * 3), ("Al1", "Al", (0.5,) * 3), ("O1", "O", (0.2624,) * 3)]
CORUNDUM = [("Al1", "Al", (0, 0, 0.3522)), ("O1", "O", (0.3062, 0, 0.25))]
RHOMBOHEDRAL = [("Al1", "Al", (0.3522,) * 3), ("O1", "O", (0.5562, 0.9438, 0.25))]
SALT = [("Na1", "Na", (0, 0, 0)), ("Cl1", "Cl", (0.5, 0.5, 0.5))]
CUBE = (8.083, 8.083, 8.083, 90, 90, 90)


def cif(cell, sites, *tags, operations=(), columns=()):
    """Text of a CIF; a column is a tag and its values."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_x", *(f"_cell_{name} {value}" for name, value in zip(names, cell, strict=True)), *tags]
    if operations:
        lines += [
            "loop_",
            "_space_group_symop_operation_xyz",
            *(f"'{operation}'" for operation in operations),
        ]
    tags = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", *(tag for tag, _ in columns))
    lines += ["loop_", *(f"_atom_site_{tag}" for tag in tags)]
    for i, (label, element, position) in enumerate(sites):
        lines.append(" ".join(map(str, (label, element, *position, *(values[i] for _, values in columns)))))
    return "\n".join(lines) + "\n"


def named(symbol):
    return f"_symmetry_space_group_name_H-M '{symbol}'"


def cell_of(setting):
    """A cell without more symmetry than the setting has."""
    number, choice = setting.number, setting.choice.strip("-")
    if number <= 2:
        return (7.1, 8.3, 9.7, 81, 96, 103)
    if number <= 15:
        return (7.1, 8.3, 9.7, *(101 if axis == choice[0] else 90 for axis in "abc"))
    if number <= 74:
        return (7.1, 8.3, 9.7, 90, 90, 90)
    if number <= 142:
        return (7.1, 7.1, 9.7, 90, 90, 90)
    if number <= 194:
        return (7.1, 7.1, 7.1, 75, 75, 75) if choice == "r" else (7.1, 7.1, 9.7, 90, 90, 120)
    return (9.1, 9.1, 9.1, 90, 90, 90)


def atoms(elements, positions):
    return {
        (e, *(np.rint(p * 10_000).astype(int) % 10_000).tolist())
        for e, p in zip(elements, positions, strict=True)
    }


def truth(hall_number):
    """Images of the sites under the operations of a setting."""
    operations = spglib.get_symmetry_from_database(hall_number)
    rotations, translations = operations["rotations"], operations["translations"]
    images = [
        atoms([z] * len(rotations), rotations @ p + translations)
        for z, (_, _, p) in zip((14, 8), GENERAL, strict=True)
    ]
    return set.union(*images)


def outcome(hall_number, *tags):
    """Whether the setting that these tags name is read right or wrong, or refused."""
    try:
        crystal = read_cif(cif(cell_of(settings()[hall_number - 1]), GENERAL, *tags))
    except CrystalError:
        return "refused"
    return "right" if atoms(crystal.numbers.tolist(), crystal.positions) == truth(hall_number) else "wrong"


def test_all_settings_by_symbol():
    """By the full symbol, with and without the number: of 1,058, 914 are read, all right; two origins are refused."""
    outcomes = Counter(
        outcome(i, named(setting.full), *tags)
        for i, setting in enumerate(settings(), 1)
        if i > 1
        for tags in ([], [f"_symmetry_Int_Tables_number {setting.number}"])
    )
    assert outcomes == {"right": 914, "refused": 144}


@pytest.mark.parametrize("tag", ["_space_group_name_H-M_alt", "_space_group_name_Hall"])
def test_settings_by_their_own_symbol(tag):
    """With the suffix of origin or axes, and by Hall symbol, every setting is read."""
    for i, setting in list(enumerate(settings(), 1))[1::3]:
        symbol = setting.hall if tag.endswith("Hall") else setting_name(i)
        assert outcome(i, f"{tag}\n;{symbol}\n;") == "right", symbol


@pytest.mark.parametrize(
    ("symbol", "cell", "sites", "formula"),
    [
        ("F d -3 m :2", CUBE, SPINEL, "O32Mg8Al16"),
        ("F d -3 m Z", CUBE, SPINEL, "O32Mg8Al16"),
        ("Fd-3m:2", CUBE, SPINEL, "O32Mg8Al16"),
        ("F d 3 m O2", CUBE, SPINEL, "O32Mg8Al16"),
        ("F_D_3_M_Z", CUBE, SPINEL, "O32Mg8Al16"),
        ("F 41/d -3 2/m (origin choice 2)", CUBE, SPINEL, "O32Mg8Al16"),
        ("F d -3 m :1", CUBE, [("C", "C", (0, 0, 0))], "C8"),
        ("F d -3 m S", CUBE, [("C", "C", (0, 0, 0))], "C8"),
        ("R -3 c H", (4.76, 4.76, 12.99, 90, 90, 120), CORUNDUM, "O18Al12"),
        ("R -3 c", (4.76, 4.76, 12.99, 90, 90, 120), CORUNDUM, "O18Al12"),
        ("R -3 c HR", (4.76, 4.76, 12.99, 90, 90, 120), CORUNDUM, "O18Al12"),
        ("R -3 c", (5.13, 5.13, 5.13, 55.29, 55.29, 55.29), RHOMBOHEDRAL, "O6Al4"),
        ("R -3 c :R", (5.13, 5.13, 5.13, 55.29, 55.29, 55.29), RHOMBOHEDRAL, "O6Al4"),
        ("C 2/c", (9, 8, 5, 90, 106, 90), GENERAL, "O8Si4"),
        ("C2/c", (9, 8, 5, 90, 106, 90), GENERAL, "O8Si4"),
        ("P2(1)/c", (9, 8, 5, 90, 106, 90), GENERAL, "O4Si2"),
        ("P 21/m", (9, 8, 5, 90, 90, 106), GENERAL, "O4Si2"),
        ("C m c a", (7.1, 8.3, 9.7, 90, 90, 90), GENERAL, "O16Si4"),
    ],
)  # fmt: skip
def test_spellings(symbol, cell, sites, formula):
    assert read_cif(cif(cell, sites, named(symbol))).formula == formula


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (cif(CUBE, SPINEL, named("F d -3 m"), "_chemical_formula_sum 'Al2 Mg O4'"), "O32Mg8Al16"),
        (cif(CUBE, SPINEL, named("F d -3 m"), columns=[("Wyckoff_symbol", ["8a", "16d", "32e"])]), "O32Mg8Al16"),
        (cif(CUBE, SPINEL, named("F d -3 m"), columns=[("symmetry_multiplicity", [8, 16, 32])]), "O32Mg8Al16"),
        (cif(CUBE, SPINEL, named("F d -3 m"), "_space_group_name_Hall '-F 4vw 2vw 3'"), "O32Mg8Al16"),
        (cif(CUBE, SPINEL, named("F d -3 m"), "_space_group_IT_coordinate_system_code 2"), "O32Mg8Al16"),
        (cif(CUBE, [("C", "C", (0, 0, 0))], named("F d -3 m"), "_cell_formula_units_Z 8",
             "_chemical_formula_sum C"), "C8"),
    ],
    ids=["formula", "letters", "multiplicities", "hall", "code", "Z"],
)  # fmt: skip
def test_what_else_is_stated_decides(text, formula):
    assert read_cif(text).formula == formula


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (cif(CUBE, SPINEL, named("F d -3 m")), "may be 'F d -3 m :1' or 'F d -3 m :2'"),
        (cif(CUBE, SPINEL, named("F d -3 m"), "_cell_formula_units_Z 8"), "may be 'F d -3 m :1' or 'F d -3 m :2'"),
        (cif(CUBE, SPINEL, "_symmetry_Int_Tables_number 227"), "may be 'F d -3 m :1' or 'F d -3 m :2'"),
        (cif(CUBE, SPINEL, named("F d -3 m :1"), "_chemical_formula_sum 'Mg Al2 O4'"), "its formula is"),
        (cif(CUBE, SPINEL, named("F d -3 m :1"), columns=[("symmetry_multiplicity", [8, 16, 32])]), "states '8'"),
        (cif(CUBE, SPINEL, named("F d -3 m :1"), "_space_group_name_Hall '-F 4vw 2vw 3'"), "contradict each other"),
        (cif((3.21, 3.4, 5.21, 90, 90, 90), SALT, named("F m -3 m")), "cell does not have the symmetry"),
        (cif((5.13, 5.13, 5.13, 55.29, 55.29, 55.29), RHOMBOHEDRAL, named("R -3 c :H")), "cell does not have"),
        (cif((4.6, 4.6, 2.96, 90, 90, 95), SALT, named("P 42/m n m")), "cell does not have the symmetry"),
        (cif((9, 8, 5, 90, 90, 106), GENERAL, named("P 21/c")), "'P 1 1 21/a' or 'P 1 1 21/n', and 3 settings"),
        (cif((9, 8, 5, 90, 90, 106), GENERAL, named("P 1 21/c 1")), "cell does not have the symmetry"),
        (cif(CUBE, SALT, named("salt")), "'salt' does not exist"),
        (cif(CUBE, SALT, named("F m -3 m :2")), "'F m -3 m :2' does not exist"),
        (cif(CUBE, SALT, "_symmetry_Int_Tables_number 231"), "'231' does not exist"),
        (cif(CUBE, SALT, named("F m -3 m"), "_symmetry_Int_Tables_number 221"), "several space groups: 221, 225"),
        (cif(CUBE, SALT, "_chemical_formula_sum 'Na Cl'", "_cell_formula_units_Z 4"), "states no symmetry"),
        (cif(CUBE, SALT, "_symmetry_cell_setting cubic"), "states no symmetry, but that its cell is cubic"),
        (cif(CUBE, SALT, "_cell_formula_units_Z 4"), "not a multiple of 4 formula units"),
        (cif(CUBE, SALT, columns=[("symmetry_multiplicity", [4, 4])]), "states no symmetry, and its site 1"),
        (cif(CUBE, SALT, named("P 1"), "_cell_volume 100"), "volume of 528.1 cubic Angstrom, but it states 100"),
        (cif(CUBE, SALT, "_space_group_magn.name_BNS 'F m -3 m'"), "magnetic group without its operations"),
        (cif(CUBE, SALT, named("P 1"), "_cell_modulation_dimension 1"), "modulated structure"),
        (cif((5.3, 5.5, 7.6, 90, 90, 90), [("Si", "Si", (0.2, 0.3, 0.25))], "_symmetry_Int_Tables_number 62",
             "_chemical_formula_sum Si", "_cell_formula_units_Z 4"), "may be 'P b n m' or 'P n a m'"),
        (cif((9, 8, 5, 90, 106, 90), GENERAL, named("P 1 21/n 1"),
             operations=["x,y,z", "-x,-y,-z", "-x,y+1/2,-z+1/2", "x,-y+1/2,z+1/2"]),
         "are those of 'P 1 21/c 1', but it states 'P 1 21/n 1'"),
        (cif(CUBE, [("Na", "Na", (0.006, 0.006, 0))], named("P m m m")), "neither on a symmetry element nor off it"),
    ],
)  # fmt: skip
def test_what_is_left_open_or_contradicts_is_refused(text, reason):
    with pytest.raises(CrystalError, match=reason) as caught:
        read_cif(text, "x.cif")
    assert caught.value.subject == "x.cif"
    assert len(caught.value.remedy) > 10


def test_a_warning_tells_that_symmetry_was_not_stated():
    with pytest.warns(CloudWarning, match="its 2 sites are taken for all atoms"):
        assert read_cif(cif((4, 4, 4, 90, 90, 90), SALT)).formula == "Na1Cl1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_cif(cif((4, 4, 4, 90, 90, 90), SALT, named("P 1")))


def test_settings_that_give_the_same_crystal_need_no_decision():
    crystal = read_cif(
        cif((9, 8, 5, 90, 90, 90), [("Si", "Si", (0, 0, 0))], "_symmetry_Int_Tables_number 10")
    )
    assert crystal.formula == "Si1"


def test_operations_that_are_there_twice_count_once():
    operations = ["x,y,z", "-x,-y,-z"] * 300 + ["x+1,y,z", "-x,-y,1-z", "x, y, z-2"]
    assert len(read_cif(cif(CUBE, GENERAL, operations=operations))) == 3


def test_moments_do_not_matter():
    operations = ["x,y,z", "-x,-y,-z"]
    text = cif(CUBE, GENERAL, operations=operations)
    moments = "loop_\n_atom_site_moment_label\n_atom_site_moment_crystalaxis_x\nSi 2\n"
    assert np.allclose(read_cif(text + moments).positions, read_cif(text).positions)


def test_magnetic_operations_and_centrings_are_those_of_the_atoms():
    loops = (
        "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,-1\n"
        "loop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\nx+1/2,y+1/2,z+1/2,-1\n"
    )
    listed = ["x,y,z", "-x,-y,-z", "x+1/2,y+1/2,z+1/2", "-x+1/2,-y+1/2,-z+1/2"]
    crystal = read_cif(cif(CUBE, GENERAL, *loops.splitlines()))
    assert atoms(crystal.numbers, crystal.positions) == atoms(
        *(lambda c: (c.numbers, c.positions))(read_cif(cif(CUBE, GENERAL, operations=listed)))
    )


def test_a_hundred_sites_of_a_named_group_take_no_time():
    sites = [("C", "C", (0.011 + 0.0011 * i, 0.13 + 0.0013 * i, 0.27 + 0.0017 * i)) for i in range(70)]
    started = time.process_time()
    assert len(read_cif(cif((90, 90, 90, 90, 90, 90), sites, named("F m -3 m")))) == 70 * 192
    assert time.process_time() - started < 5


@pytest.mark.parametrize(("spelling", "number", "choice"), [
    ("P 2~1~/c", 14, "b1"), ("P2<sub>1</sub>/c", 14, "b1"), ("$P2_1/c$", 14, "b1"), ("P2_{1}/c", 14, "b1"),
    ("P2(1)/c", 14, "b1"), ("P bar 1", 2, ""), ("P\\bar{1}", 2, ""), ("F m 3bar m", 225, ""),
    ("R\\overline{3}c:H", 167, "h"),
    ("P -1 (No. 2)", 2, ""), ("P 21/c #14", 14, "b1"), ("P 21/c, No. 14", 14, "b1"),
    ("R -3 m {hexagonal axes}", 166, "h"),
    ("F d d d, origin choice 2", 70, "2"), ("P 21/c unique axis b", 14, "b1"),
    ("P 21/c unique axis c, cell choice 2", 14, "c2"),
    ("C 1 2/c 1 cell choice 1", 15, "b1"), ("C2/c, unique axis b, cell choice 3", 15, "b3"),
])  # fmt: skip
def test_rare_spellings(spelling, number, choice):
    (meant,) = settings_named(spelling)[0]
    assert (settings()[meant - 1].number, settings()[meant - 1].choice) == (number, choice)


@pytest.mark.parametrize("symbol", [
    "P 21/c (No. 15)", "P -3 m", "P 6/m 3/m", "F m -3 m 1", "P -4 bar", "P 1 21/c 1 unique axis c", "P -1 (No. 999)",
])  # fmt: skip
def test_symbols_of_no_group_or_of_two(symbol):
    assert not settings_named(symbol)


def test_atoms_that_collide_in_one_setting_decide_for_the_other():
    """An oxygen 0.1 Angstrom off a mirror plane of one origin is at an ordinary place of the other."""
    cell, sites = (5, 6, 7, 90, 90, 90), [("O1", "O", (0.02, 0.145, 0))]
    crystal = read_cif(cif(cell, sites, named("P m m n")))
    meant = read_cif(cif(cell, sites, named("P m m n :2")))
    assert np.array_equal(crystal.positions, meant.positions)
    with pytest.warns(CloudWarning, match=r"0\.20 Angstrom apart"):
        read_cif(cif(cell, sites, named("P m m n :1")))


def test_collisions_in_an_oblique_cell_are_not_searched(monkeypatch):
    """Whose images near an atom are too many."""
    monkeypatch.setattr("cloud_model.crystal.cif.closest_contact", lambda *_: pytest.fail("searched"))
    with pytest.raises(CrystalError):
        read_cif(cif((900, 900, 0.001, 90, 90, 90), [("O1", "O", (0.02, 0.145, 0.1))], named("P m m n")))
