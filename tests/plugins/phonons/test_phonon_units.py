"""Traps of units and basis: one test each."""

from __future__ import annotations

import warnings

import numpy as np
import phonopy
import pytest
from ase.build import bulk
from phonopy.physical_units import get_calculator_physical_units, get_physical_units
from phonopy.structure.atoms import PhonopyAtoms
from scipy.constants import R

from cloud_plugins.phonopy import validate_heat_capacity
from cloud_plugins.phonopy.brillouin import sample

TEMPERATURES = np.array([30.0, 100.0, 300.0, 1000.0])


def with_primitive(phonon, matrix):
    """The same phonons in another choice of primitive cell."""
    other = phonopy.Phonopy(phonon.unitcell, phonon.supercell_matrix, matrix)
    other.dataset = phonon.dataset
    other.produce_force_constants()
    other.symmetrize_force_constants(show_drift=False)
    return other


def phonopy_heat_capacity(phonon, mesh, **options):
    """Heat capacity of phonopy itself, J/(mol-atom K)."""
    phonon.run_mesh(mesh, is_gamma_center=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about acoustic modes at Gamma, which this is about
        phonon.run_thermal_properties(temperatures=TEMPERATURES, **options)
    return phonon.thermal_properties.heat_capacity / len(phonon.primitive)


def test_primitive_cell_of_phonopy_is_of_no_matter(copper):
    primitive = sample(copper, TEMPERATURES).spectrum
    conventional = sample(with_primitive(copper, "P"), TEMPERATURES).spectrum
    np.testing.assert_allclose(
        conventional.heat_capacity(TEMPERATURES), primitive.heat_capacity(TEMPERATURES), rtol=1e-3
    )


@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 1, 3)])
@pytest.mark.parametrize("cubic", [False, True])
def test_cell_of_the_crystal_is_of_no_matter(cubic, repeat, model):
    atoms = bulk("Ag", cubic=cubic).repeat(repeat)
    atoms.rotate(20, "x", rotate_cell=True)
    options = {"model": model, "calculator": "emt", "supercell_length": 6.0, "temperatures": TEMPERATURES}
    result = validate_heat_capacity(atoms, **options)
    standard = validate_heat_capacity(bulk("Ag"), **options)
    np.testing.assert_allclose(result.harmonic_heat_capacity, standard.harmonic_heat_capacity, rtol=1e-6)
    assert (result.n_atoms_primitive, result.n_atoms_cell) == (1, len(atoms))


def test_cell_basis_counts_the_atoms_that_were_passed_in(copper, model):
    crystal = bulk("Cu", cubic=True).repeat((2, 1, 1))
    result = validate_heat_capacity(copper, crystal, model=model, temperatures=TEMPERATURES)
    atom, primitive, cell = (
        result.to_frame(basis).drop(columns="temperature") for basis in ("atom", "primitive", "cell")
    )
    np.testing.assert_allclose(primitive, atom)
    np.testing.assert_allclose(cell, 8 * atom)


def test_boltzmann_constant_is_codata(copper):
    ours = sample(copper, TEMPERATURES).spectrum.heat_capacity([1e6]).item()
    units = get_physical_units()
    phonopy_constant = 1000 * units.KB * units.EvTokJmol
    assert ours == pytest.approx(3 * R, rel=1e-8)
    assert phonopy_constant != pytest.approx(R, rel=1e-7)
    assert phonopy_constant == pytest.approx(R, rel=1e-5)


def test_acoustic_modes_at_gamma_are_neither_lost_nor_counted_at_zero(copper):
    ours = sample(copper, TEMPERATURES).spectrum.heat_capacity(TEMPERATURES)
    mesh = [8, 8, 8]
    without = phonopy_heat_capacity(copper, mesh, exclude_gamma_acoustic=True)
    fine = phonopy_heat_capacity(copper, [40, 40, 40], exclude_gamma_acoustic=True)
    np.testing.assert_allclose(fine, ours, rtol=1e-3)
    assert without[-1] < (1 - 1e-3) * ours[-1]  # three modes in 8^3 points are missing


def test_imaginary_modes_are_not_dropped_in_silence(model):
    nickel_aluminide = bulk("NiAl", "cesiumchloride", a=2.88)
    result = validate_heat_capacity(
        nickel_aluminide, model=model, calculator="emt", temperatures=[3000.0], allow_unstable=True
    )
    assert result.spectrum.imaginary_share > 0.01
    assert not result.stable
    assert "imaginary" in result.warnings[0]
    assert result.harmonic_heat_capacity == pytest.approx(3 * R, rel=2e-3)


def test_cutoff_of_phonopy_would_lose_modes(copper):
    cut = phonopy_heat_capacity(copper, [20, 20, 20], cutoff_frequency=4.0, exclude_gamma_acoustic=True)
    ours = sample(copper, TEMPERATURES).spectrum.heat_capacity(TEMPERATURES)
    assert (cut < 0.9 * ours).all()


def test_lengths_and_forces_of_other_codes(copper, model):
    """Copper in Rydberg units: the same curve, and a cell in Angstrom."""
    units = get_calculator_physical_units("qe")
    cell = copper.unitcell
    bohr = PhonopyAtoms(
        symbols=cell.symbols, cell=cell.cell / units.distance_to_A, scaled_positions=cell.scaled_positions
    )
    rydberg = phonopy.Phonopy(bohr, copper.supercell_matrix, copper.primitive_matrix, calculator="qe")
    rydberg.force_constants = copper.force_constants * units.distance_to_A / units.force_to_eVperA
    seen = []

    class Recorder:
        def thermodynamics(self, crystal, temperatures):
            seen.append(crystal)
            return model.thermodynamics(crystal, temperatures)

    result = validate_heat_capacity(rydberg, model=Recorder(), temperatures=TEMPERATURES)
    expected = validate_heat_capacity(copper, model=model, temperatures=TEMPERATURES)
    np.testing.assert_allclose(result.harmonic_heat_capacity, expected.harmonic_heat_capacity, rtol=1e-3)
    np.testing.assert_allclose(seen[0].lattice, cell.cell)


def test_phonons_of_the_caller_are_not_changed(copper):
    copper.run_mesh([3, 3, 3])
    before = copper.mesh.frequencies.copy()
    sample(copper, TEMPERATURES)
    np.testing.assert_array_equal(copper.mesh.frequencies, before)
