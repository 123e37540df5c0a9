from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.spacegroup import crystal
from pymatgen.core import Structure

from cloud_model.crystal.files import to_crystal
from cloud_model.errors import ArgumentError, PhononError
from cloud_plugins.phonopy import validate_heat_capacity
from cloud_plugins.phonopy.calculators import named_calculator
from cloud_plugins.phonopy.displacements import calculate_phonons

T = np.array([50.0, 100.0, 300.0])


class CountingEMT(EMT):
    """EMT that counts its calculations, and gives up after some."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.calculations = 0
        self.limit = limit

    def calculate(self, *args, **kwargs) -> None:
        if self.calculations == self.limit:
            raise RuntimeError("cut off")
        self.calculations += 1
        super().calculate(*args, **kwargs)


class StiffEMT(EMT):
    """Another model of a class of the same name."""

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        for name in ("energy", "forces"):
            self.results[name] = 2 * self.results[name]


StiffEMT.__name__ = "EMT"


@pytest.fixture
def alloy() -> Atoms:
    """Ordered Cu3Au: two displacements or more."""
    return crystal(
        ["Au", "Cu"], [(0, 0, 0), (0, 0.5, 0.5)], spacegroup=221, cellpar=[3.75, 3.75, 3.75, 90, 90, 90]
    )


@pytest.mark.parametrize("length", [5.0, 7.4, 10.0])
def test_supercell_is_as_long_as_asked(length):
    phonon, _ = calculate_phonons(to_crystal(bulk("Cu")), EMT(), supercell_length=length)
    axes = np.linalg.norm(phonon.supercell.cell, axis=1)
    assert (axes >= length).all()
    assert (axes < length + 3.7).all()


def test_forces_are_kept_and_taken_up_again(alloy, tmp_path):
    alloy_crystal = to_crystal(alloy)
    options = {"supercell_length": 6.0, "cache": tmp_path / "forces"}
    whole = CountingEMT()
    phonon, _ = calculate_phonons(alloy_crystal, whole, supercell_length=6.0)
    interrupted = CountingEMT(limit=2)
    with pytest.raises(PhononError, match="cut off"):
        calculate_phonons(alloy_crystal, interrupted, **options)
    resumed = CountingEMT()
    again, _ = calculate_phonons(alloy_crystal, resumed, **options)
    assert resumed.calculations == whole.calculations - 1
    np.testing.assert_allclose(again.force_constants, phonon.force_constants, atol=1e-12)
    unneeded = CountingEMT()
    calculate_phonons(alloy_crystal, unneeded, **options)
    assert unneeded.calculations == 1  # the unit cell, by which a calculator is known


def test_forces_of_another_calculator_are_not_taken(alloy, tmp_path):
    options = {"supercell_length": 6.0, "cache": tmp_path}
    soft, _ = calculate_phonons(to_crystal(alloy), EMT(), **options)
    stiff, _ = calculate_phonons(to_crystal(alloy), StiffEMT(), **options)
    np.testing.assert_allclose(stiff.force_constants, 2 * soft.force_constants, atol=1e-9)


def test_relaxation_keeps_the_symmetry_and_removes_forces(model):
    distorted = bulk("Cu", "fcc", a=3.8)
    phonon, residual = calculate_phonons(to_crystal(distorted), EMT(), supercell_length=6.0, relax=True)
    assert phonon.symmetry.dataset.number == 225
    assert residual < 1e-3
    assert phonon.unitcell.cell[0, 0] == pytest.approx(3.59, abs=0.01)  # EMT: Jacobsen et al. 1996
    assert distorted.cell.cellpar()[0] == pytest.approx(3.8 / np.sqrt(2))


def test_forces_on_undisplaced_atoms_are_reported(model):
    buckled = crystal(
        ["Cu", "Cu"], [(0, 0, 0), (0, 0, 0.52)], spacegroup=99, cellpar=[2.55, 2.55, 7.5, 90, 90, 90]
    )
    result = validate_heat_capacity(
        buckled, model=model, calculator=EMT(), allow_unstable=True, temperatures=T
    )
    assert any("relax" in warning for warning in result.warnings)


def test_crystals_of_every_kind(model, tmp_path):
    atoms = bulk("Ni", cubic=True)
    structure = Structure(atoms.cell.array, ["Ni"] * 4, atoms.get_scaled_positions())
    file = tmp_path / "Ni.cif"
    atoms.write(file)
    attached = atoms.copy()
    attached.calc = EMT()
    options = {"model": model, "temperatures": T, "supercell_length": 6.0}
    results = [
        validate_heat_capacity(attached, **options),
        *(validate_heat_capacity(given, calculator="emt", **options) for given in (atoms, structure, file)),
    ]
    for result in results:
        assert result.n_atoms_cell == 4
        np.testing.assert_allclose(
            result.harmonic_heat_capacity, results[0].harmonic_heat_capacity, rtol=1e-5
        )


def test_calculator_that_fails_is_named(model):
    with pytest.raises(PhononError, match=r"EMT failed.*Na"):
        validate_heat_capacity(bulk("NaCl", "rocksalt", a=5.64), model=model, calculator="emt")


def test_unstable_alloy_is_refused_with_its_frequencies(model):
    with pytest.raises(PhononError, match=r"unstable.*imaginary.*-\d\.\d.* THz.*allow_unstable"):
        validate_heat_capacity(bulk("NiAl", "cesiumchloride", a=2.88), model=model, calculator="emt")


def test_unknown_calculator_is_refused():
    with pytest.raises(ArgumentError, match="emt, 7net-0, 7net-l3i5, chgnet"):
        named_calculator("vasp")


@pytest.mark.parametrize("name", ["7net-0", "chgnet"])
def test_missing_potential_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, {"7net-0": "sevenn", "chgnet": "chgnet"}[name], None)
    with pytest.raises(ArgumentError, match=r"cloud-plugins\[potentials\]"):
        named_calculator(name)


def test_born_charges_follow_the_axes_and_order_of_the_crystal():
    from ase.calculators.lj import LennardJones

    potential = LennardJones(sigma=1.75, epsilon=1.0, rc=5.0)
    zinc = np.diag([2.1, 2.1, 2.3])
    charges = np.array([zinc, -zinc, zinc, -zinc])
    dielectric = np.diag([3.7, 3.7, 4.2])
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    options = {"supercell_length": 6.0}
    plain, _ = calculate_phonons(to_crystal(atoms), potential, **options)
    polar, _ = calculate_phonons(to_crystal(atoms), potential, born=(charges, dielectric), **options)

    order = [2, 0, 3, 1]
    turned = atoms[order]
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    rotation = np.linalg.solve(atoms.cell.array, turned.cell.array).T
    born = (rotation @ charges[order] @ rotation.T, rotation @ dielectric @ rotation.T)
    same, _ = calculate_phonons(to_crystal(turned), potential, born=born, **options)

    for phonon in (plain, polar, same):
        phonon.run_qpoints([[0.01, 0.02, 0.03]])
    np.testing.assert_allclose(same.qpoints.frequencies, polar.qpoints.frequencies, atol=1e-3)
    assert np.abs(polar.qpoints.frequencies - plain.qpoints.frequencies).max() > 0.1


def test_born_charges_of_wrong_shape_are_refused(alloy):
    with pytest.raises(ArgumentError, match=r"\(4, 3, 3\)"):
        calculate_phonons(to_crystal(alloy), EMT(), supercell_length=4.0, born=(np.eye(3), np.eye(3)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the potentials' own
@pytest.mark.parametrize(("name", "package"), [("7net-0", "sevenn"), ("chgnet", "chgnet")])
@pytest.mark.parametrize(
    ("atoms", "heat_capacity"),
    [(bulk("Si"), 19.9), (bulk("MgO", "rocksalt", a=4.21), 18.9)],
    ids=["Si", "MgO"],
)
def test_universal_potentials(name, package, atoms, heat_capacity, model):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    result = validate_heat_capacity(atoms, model=model, calculator=name, relax=True, temperatures=[300.0])
    assert result.harmonic_heat_capacity == pytest.approx(heat_capacity, rel=0.08)
