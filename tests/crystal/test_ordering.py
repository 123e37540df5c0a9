"""Disordered crystals become ordered cells of the same composition, the same ones every time."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from click.testing import CliRunner
from pymatgen.core import Lattice, Structure

from cloud_model import CloudModel
from cloud_model.cli import cloud
from cloud_model.crystal import ordering
from cloud_model.crystal.cif import read_cif
from cloud_model.crystal.conversions import from_object
from cloud_model.crystal.files import to_crystal
from cloud_model.crystal.ordering import COMPOSITION, ordered_cells
from cloud_model.errors import CrystalError, DisorderedCrystalError


def rock_salt(*cations):
    """Rock salt with shared cation sites."""
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.2), [dict(cations), "O"], [[0, 0, 0], [0.5] * 3]
    )


def cells_of(structure, most=8):
    with pytest.raises(DisorderedCrystalError, match=r"order=10.*--order 10") as caught:
        from_object(structure)
    return ordered_cells(caught.value.sites, most, "x")


@pytest.mark.parametrize(
    "cations", [[("Mg", 0.5), ("Fe", 0.5)], [("Fe", 0.95)], [("Na", 0.333), ("Mg", 0.333), ("Al", 0.334)]]
)
def test_the_composition_is_kept(cations):
    structure = rock_salt(*cations)
    cells = cells_of(structure)
    assert 1 <= len(cells) <= 8
    for cell in cells:
        for element, share in structure.composition.fractional_composition.items():
            found = (cell.numbers == element.Z).mean()
            assert found == pytest.approx(share, abs=COMPOSITION)


def test_the_same_cells_every_time():
    first, second = (cells_of(rock_salt(("Mg", 0.75), ("Fe", 0.25))) for _ in range(2))
    assert [cell.numbers.tolist() for cell in first] == [cell.numbers.tolist() for cell in second]


def test_a_composition_of_many_digits_needs_too_large_a_cell():
    many = [("Li", 0.07), ("Na", 0.11), ("K", 0.13), ("Rb", 0.17), ("Cs", 0.23), ("Ag", 0.29)]
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(30), [dict(many)] * 3, [[0.1, 0.2, 0.3], [0.2, 0.3, 0.1], [0.05, 0.15, 0.4]]
    )
    with pytest.raises(CrystalError, match="no ordered cell of at most 120 sites"):
        cells_of(structure)


def test_sites_of_a_cif_are_expanded_first():
    text = (
        "data_x\n_cell_length_a 4.2\n_cell_length_b 4.2\n_cell_length_c 4.2\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_space_group_name_H-M_alt 'F m -3 m'\nloop_\n_atom_site_label\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
        "Mg1 0 0 0 0.5\nFe1 0 0 0 0.5\nO1 .5 .5 .5 1\n"
    )
    with pytest.raises(DisorderedCrystalError) as caught:
        read_cif(text)
    assert {cell.formula for cell in ordered_cells(caught.value.sites, 3, "x")} == {"O4Mg2Fe2"}


def atoms_with_occupancies():
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    atoms.set_array("occupancy", np.where(atoms.numbers == 11, 0.75, 1.0))
    return atoms


def atoms_of_a_cif(folder):
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), [{"Na": 0.75}, "Cl"], [[0, 0, 0], [0.5] * 3]
    )
    structure.to(filename=str(folder / "a.cif"))
    return read(folder / "a.cif")


def shelx(occupancies):
    places = ["0 0 0", ".5 .5 0", ".5 0 .5", "0 .5 .5"]
    atoms = [f"NA{i} 1 {place} {occupancies} 0.05" for i, place in enumerate(places)]
    atoms += [f"CL{i} 2 {x} 11 0.05" for i, x in enumerate([".5 0 0", "0 .5 0", "0 0 .5", ".5 .5 .5"])]
    head = [
        "TITL x",
        "CELL 0.7 5.64 5.64 5.64 90 90 90",
        "LATT -1",
        "SFAC NA CL",
        "UNIT 3 4",
        "FVAR 1 0.75 0.25",
    ]
    return "\n".join([*head, *atoms, "HKLF 4", "END"])


def optimade():
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    return json.dumps(
        {
            "lattice_vectors": atoms.cell.tolist(),
            "cartesian_site_positions": atoms.positions.tolist(),
            "species": [
                {"name": "Na", "chemical_symbols": ["Na", "vacancy"], "concentration": [0.75, 0.25]},
                {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [1.0]},
            ],
            "species_at_sites": atoms.get_chemical_symbols(),
        }
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda _: atoms_with_occupancies(),
        atoms_of_a_cif,
        lambda _: shelx("10.75"),
        lambda _: shelx("0.75"),
        lambda _: shelx("21"),
        lambda _: shelx("-31"),
        lambda _: optimade(),
    ],
    ids=["array", "ase", "fixed", "refined", "variable", "rest", "optimade"],
)
def test_occupancies_of_every_source(make, tmp_path):
    with pytest.raises(DisorderedCrystalError, match="order=10") as caught:
        to_crystal(make(tmp_path))
    assert {cell.formula for cell in ordered_cells(caught.value.sites, 3, "x")} == {"Na3Cl4"}


def test_occupancies_that_ase_keeps_apart_from_the_atoms_are_refused(tmp_path):
    atoms = atoms_of_a_cif(tmp_path)
    del atoms.arrays["spacegroup_kinds"]
    with pytest.raises(DisorderedCrystalError) as caught:
        to_crystal(atoms)
    assert caught.value.sites is None


def test_of_split_sites_one_is_filled():
    split = Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(6), [{"Na": 0.16}, "Cl"], [[0.05, 0, 0], [0.5, 0.5, 0.5]]
    )
    for cell in cells_of(split):
        assert cell.formula == "Na13Cl14"  # six sites of 0.16; the shares change by less than 0.01
        sodium = cell.positions[cell.numbers == 11]
        offsets = np.array([one - other for one, other in combinations(sodium, 2)])
        assert np.linalg.norm((offsets - np.rint(offsets)) @ cell.lattice, axis=1).min() > 3
    with pytest.raises(CrystalError, match="too close to each other"):
        cells_of(Structure.from_spacegroup("Pm-3m", Lattice.cubic(6), [{"Na": 0.3}], [[0.05, 0, 0]]))


def test_a_large_formula_is_ordered_without_oxidation_states():
    elements = ["Li", "Na", "K", "Mg", "Ca", "Al"]
    positions = np.random.default_rng(0).permutation(27)[:, None] // [9, 3, 1] % 3 / 3
    species = [{"Fe": 0.5, "Mn": 0.5}, *elements * 4, "O", "O"]
    structure = Structure(Lattice.cubic(9), species, positions)
    (cell,) = cells_of(structure, 3)  # of two, which a translation makes equal
    assert len(cell) == 54


def test_ordering_is_ended_in_time(monkeypatch):
    def slow(*_):
        raise TimeoutError("it takes more than 30 s")

    monkeypatch.setattr(ordering, "confined", slow)
    with pytest.raises(CrystalError, match="cannot be ordered: it takes more than 30 s"):
        cells_of(rock_salt(("Mg", 0.75), ("Fe", 0.25)))


def molecular_cif(sites, tags="occupancy disorder_assembly disorder_group"):
    columns = "".join(
        f"_atom_site_{tag}\n" for tag in ("label", "fract_x", "fract_y", "fract_z", *tags.split())
    )
    return (
        "data_x\n_cell_length_a 7\n_cell_length_b 8\n_cell_length_c 9\n_cell_angle_alpha 80\n_cell_angle_beta 85\n"
        "_cell_angle_gamma 95\n_space_group_name_H-M_alt 'P -1'\nloop_\n" + columns + sites
    )


FRAME = "Na1 .1 .1 .1 1 . .\n"
FIRST, SECOND = (
    "C1A .3 .3 .3 {0} A 1\nO1A .4 .4 .4 {0} A 1\n",
    "C1B .3 .3 .3 {0} A 2\nO1B .35 .25 .42 {0} A 2\n",
)


def test_alternatives_of_a_molecule_are_taken_whole():
    """Each as often as it is there, in the symmetry of the crystal; atoms of both groups at one place count once."""
    with pytest.raises(DisorderedCrystalError, match=r"order=10.*Keep one group") as caught:
        read_cif(molecular_cif(FRAME + FIRST.format(0.75) + SECOND.format(0.25)))
    cells = ordered_cells(caught.value.sites, 4, "x")
    alone = [read_cif(molecular_cif(FRAME + group.format(1))) for group in (FIRST, SECOND)]
    assert [len(cell) for cell in cells] == [6] * 4
    for cell, right in zip(cells, [alone[0]] * 3 + [alone[1]], strict=True):
        assert np.array_equal(cell.numbers, right.numbers)
        assert np.allclose(cell.positions, right.positions)


def test_assemblies_are_combined():
    other = "N2A .7 .2 .6 .5 B 1\nN2B .75 .2 .65 .5 B 2\n"
    with pytest.raises(DisorderedCrystalError) as caught:
        read_cif(molecular_cif(FRAME + FIRST.format(0.75) + SECOND.format(0.25) + other))
    cells = ordered_cells(caught.value.sites, 8, "x")
    assert len({cell.positions.round(4).tobytes() for cell in cells}) == 4
    assert {len(cell) for cell in cells} == {8}
    nitrogen = [cell.positions[cell.numbers == 7].round(4).tobytes() for cell in cells]
    assert nitrogen.count(nitrogen[0]) == 4


def test_groups_without_occupancies_are_there_alike():
    groups = "Na1 .1 .1 .1 .\nO1A .5 .4 .5 1\nO1B .5 .4 .6 2\n"
    with pytest.raises(DisorderedCrystalError) as caught:
        read_cif(molecular_cif(groups, "disorder_group"))
    first, second = ordered_cells(caught.value.sites, 2, "x")
    assert len(first) == len(second) == 4
    assert not np.allclose(first.positions, second.positions)


def test_alternatives_of_other_compositions_need_enough_cells():
    with pytest.raises(DisorderedCrystalError) as caught:
        read_cif(molecular_cif(FRAME + FIRST.format(0.75) + SECOND.replace("O1B", "S1B").format(0.25)))
    assert len(ordered_cells(caught.value.sites, 4, "x")) == 4
    with pytest.raises(CrystalError, match="Allow more"):
        ordered_cells(caught.value.sites, 2, "x")


@pytest.mark.parametrize(
    "sites",
    [
        FIRST.format(0.5).replace("A 1", "A -1"),
        FIRST.format(0.75) + SECOND.format(0.5),
        FIRST.format(0.75) + SECOND.format(0.25).replace(".42 0.25", ".42 0.5"),
        FIRST.format(0.75) + SECOND.format(0.25) + "K1 .8 .8 .5 .5 . .\n",
    ],
    ids=["negative", "sum", "uneven", "another partial site"],
)
def test_alternatives_that_are_left_open(sites):
    with pytest.raises(DisorderedCrystalError, match=r"Keep one group.*write the cell in P 1") as caught:
        read_cif(molecular_cif(FRAME + sites))
    assert caught.value.sites is None


def test_predictions_are_averaged_over_the_cells(tiny_model):
    disordered = rock_salt(("Mg", 0.75), ("Fe", 0.25))
    cells = cells_of(disordered, 4)
    single = tiny_model.predict(cells, "band_gap")
    row = tiny_model.predict([disordered, cells[0]], ["band_gap", "heat_capacity"], order=4)
    assert row["error"].isna().all()
    assert row["band_gap"][0] == pytest.approx(single["band_gap"].mean())
    error = (single["band_gap_std"] ** 2).mean() + single["band_gap"].var(ddof=0)
    assert row["band_gap_std"][0] == pytest.approx(error**0.5)
    assert row["band_gap"][1] == pytest.approx(single["band_gap"][0])
    assert len(row["ordered_cells"][0]) == len(cells)
    assert row["ordered_cells"][1] is None
    with pytest.raises(DisorderedCrystalError):
        tiny_model.predict(disordered)


def test_cells_that_differ_widen_error_bars_and_intervals(tiny_model):
    """Of a network that is sure of each cell, so that nothing but their difference is left."""
    config = tiny_model.checkpoint.config
    targets = {name: replace(target, calibration=0.0) for name, target in config.targets.items()}
    config = replace(config, targets=targets, intervals={"band_gap": {"0.95": 2.0}})
    model = CloudModel(replace(tiny_model.checkpoint, config=config))
    disordered = rock_salt(("Na", 0.333), ("Mg", 0.333), ("Al", 0.334))
    gaps = model.predict(cells_of(disordered, 4), "band_gap")["band_gap"]
    deviation = gaps.std(ddof=0)
    row = model.predict([disordered], "band_gap", order=4)
    bounds = model.predict([disordered], "band_gap", order=4, interval=0.95)
    assert deviation > 0
    assert row["band_gap_std"][0] == pytest.approx(deviation)
    assert bounds["band_gap_high"][0] - bounds["band_gap"][0] == pytest.approx(deviation)
    assert bounds["band_gap"][0] - bounds["band_gap_low"][0] == pytest.approx(deviation)


@pytest.mark.parametrize("arguments", [[], ["--format", "json"], ["--format", "csv"], ["good.cif"]])
def test_command_line(arguments, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rock_salt(("Mg", 0.75), ("Fe", 0.25)).to(filename="solid_solution.cif")
    rock_salt(("Mg", 1)).to(filename="good.cif")
    command = ["predict", "solid_solution.cif", *arguments, "-p", "band_gap", "--model", str(tiny_checkpoint)]
    ordered = CliRunner().invoke(cloud, [*command, "--order", "3"], catch_exceptions=False)
    assert ordered.exit_code == 0, ordered.output
    assert "solid_solution.cif" in ordered.output
    refused = CliRunner().invoke(cloud, command, catch_exceptions=False)
    assert "--order 10" in refused.output + refused.stderr
