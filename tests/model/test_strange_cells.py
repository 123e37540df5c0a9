"""Cells of a strange volume or without symmetry are warned about, wherever they come in."""

from __future__ import annotations

import warnings

import pytest
from ase.build import bulk
from click.testing import CliRunner

from cloud_model import CloudModel, Scope
from cloud_model.cli import cloud
from cloud_model.errors import CloudWarning
from cloud_plugins import CloudCalculator
from cloud_plugins.pymatgen import stability

LARGE, SMALL, ORDINARY = (bulk("NaCl", "rocksalt", a=a) for a in (8.5, 3.9, 5.64))
TOLD = "A.3 per atom, and"


def energy(atoms):
    atoms = atoms.copy()
    atoms.calc = CloudCalculator()
    return atoms.get_potential_energy()


@pytest.mark.parametrize("atoms", [LARGE, SMALL])
@pytest.mark.parametrize(
    "ask",
    [
        lambda atoms: CloudModel.from_pretrained().predict(atoms, "band_gap"),
        lambda atoms: CloudModel.from_pretrained().predict([ORDINARY, atoms], "band_gap"),
        lambda atoms: CloudModel.from_pretrained().thermodynamics(atoms, [300]),
        energy,
        stability,
    ],
)
def test_a_strange_volume_is_told(atoms, ask):
    with pytest.warns(CloudWarning, match=rf"^NaCl: .*{TOLD}"):
        ask(atoms)


def test_ordinary_volumes_and_strings_are_not(recwarn):
    warnings.simplefilter("always")
    model = CloudModel.from_pretrained()
    model.predict(
        [
            ORDINARY,
            bulk("NaCl", "rocksalt", a=5.2),
            bulk("SiC", "zincblende", a=4.36).repeat(2),
            str(Scope.from_orbits(225, "Na:4a;Cl:4b")),
        ],
        "band_gap",
    )
    assert not [warning for warning in recwarn if issubclass(warning.category, CloudWarning)]


@pytest.mark.parametrize(
    "cell", [bulk("SiC", "zincblende", a=4.36).repeat(2), bulk("SiC", "zincblende", a=4.36, cubic=True)]
)
def test_a_cell_that_lost_its_symmetry_is_told(cell):
    cell.rattle(0.05, seed=0)
    told = f"^SiC: its {len(cell)} atoms have no symmetry within 0.01 Angstrom"
    with pytest.warns(CloudWarning, match=told):
        CloudModel.from_pretrained().predict(cell, "band_gap")


def test_the_command_names_the_file_once(tmp_path):
    path = tmp_path / "salt.cif"
    LARGE.write(path)
    arguments = ["predict", str(path), "-p", "heat_capacity_per_atom", "-T", "100", "-T", "300"]
    result = CliRunner().invoke(cloud, arguments)
    assert result.exit_code == 0
    assert result.stderr.count("Warning: ") == 1
    assert "salt.cif: its cell has 76.8 A^3 per atom" in result.stderr


def test_a_scope_knows_the_cell_it_was_made_from(tmp_path):
    path = tmp_path / "salt.cif"
    ORDINARY.write(path)
    scope = Scope.from_crystal(path, dialect="sites")
    assert scope.volume_per_atom == pytest.approx(5.64**3 / 8)
    assert scope.label == str(path)
    assert scope.to("sites").volume_per_atom == scope.volume_per_atom
    assert Scope.parse(str(scope)).volume_per_atom is None
