from __future__ import annotations

import numpy as np
import pytest
from scipy.constants import R, c, e, h

from cloud_model.errors import ArgumentError, PhononError
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_plugins.phonopy.spectrum import PhononSpectrum

FREQUENCIES = np.linspace(0, 10, 400)
TEMPERATURES = np.array([0.0, 20.0, 100.0, 300.0, 1000.0])


@pytest.fixture
def debye_solid() -> tuple[PhononSpectrum, Thermodynamics]:
    debye = Thermodynamics(TEMPERATURES, np.array([480.0]), np.array([1.0]))
    grid = np.linspace(0, debye.cutoff_frequencies[0], 2000)
    return PhononSpectrum.from_density_of_states(grid, debye.density_of_states(grid)), debye


def test_density_of_a_debye_solid_gives_debye_thermodynamics(debye_solid):
    phonons, debye = debye_solid
    tolerance = {"rtol": 1e-4, "atol": 1e-9}
    np.testing.assert_allclose(phonons.heat_capacity(TEMPERATURES), debye.heat_capacity_per_atom, **tolerance)
    np.testing.assert_allclose(phonons.entropy(TEMPERATURES), debye.vibrational_entropy_per_atom, **tolerance)
    np.testing.assert_allclose(
        phonons.free_energy(TEMPERATURES), debye.vibrational_free_energy_per_atom, **tolerance
    )
    thermal = debye.vibrational_internal_energy_per_atom - debye.zero_point_energy_per_atom
    np.testing.assert_allclose(phonons.thermal_energy(TEMPERATURES), thermal, **tolerance)


def test_one_frequency_is_an_einstein_solid():
    phonons = PhononSpectrum(np.array([5.0]), np.array([1.0]))
    x = h * 5e12 / (1.380649e-23 * 200)
    expected = 3 * R * x**2 * np.exp(x) / np.expm1(x) ** 2
    assert phonons.heat_capacity([200]) == pytest.approx(expected, rel=1e-12)
    assert phonons.zero_point_energy == pytest.approx(1.5 * 6.02214076e23 * h * 5e12, rel=1e-12)


def test_classical_limit_is_codata_not_phonopy():
    phonons = PhononSpectrum(np.array([1.0, 2.0]), np.array([0.5, 0.5]))
    assert phonons.heat_capacity([1e7]) == pytest.approx(3 * R, rel=1e-9)


def test_properties_vanish_at_zero_temperature():
    phonons = PhononSpectrum(np.array([0.01, 2.0]), np.array([0.5, 0.5]))
    assert phonons.heat_capacity([0.0]) == phonons.entropy([0.0]) == phonons.thermal_energy([0.0]) == 0
    assert phonons.free_energy([0.0]) == phonons.zero_point_energy


def test_normalisation_of_the_density_is_of_no_matter():
    one = PhononSpectrum.from_density_of_states(FREQUENCIES, FREQUENCIES**2)
    cell = PhononSpectrum.from_density_of_states(FREQUENCIES, 12 * FREQUENCIES**2)
    np.testing.assert_allclose(one.heat_capacity(TEMPERATURES), cell.heat_capacity(TEMPERATURES), rtol=1e-12)


@pytest.mark.parametrize(
    ("unit", "per_thz"), [("THz", 1.0), ("cm^-1", 1e10 / c), ("meV", 1e15 * h / e), ("eV", 1e12 * h / e)]
)
def test_units_of_frequency(unit, per_thz):
    reference = PhononSpectrum.from_density_of_states(FREQUENCIES, FREQUENCIES**2)
    converted = PhononSpectrum.from_density_of_states(FREQUENCIES * per_thz, FREQUENCIES**2, unit)
    np.testing.assert_allclose(converted.frequencies, reference.frequencies, rtol=1e-12)


def test_imaginary_modes_are_counted_and_left_out():
    phonons = PhononSpectrum(np.array([-2.0, 3.0, 4.0, 5.0]), np.full(4, 0.25))
    assert phonons.imaginary_share == 0.25
    assert not phonons.stable
    assert phonons.lowest_frequencies(2).tolist() == [-2.0, 3.0]
    assert phonons.heat_capacity([1e7]) == pytest.approx(3 * R, rel=1e-6)


def test_noise_below_zero_is_no_instability():
    phonons = PhononSpectrum(np.array([-0.05, 3.0]), np.array([0.01, 0.99]))
    assert phonons.stable
    assert phonons.imaginary_share == 0


def test_histogram_counts_three_modes_an_atom():
    phonons = PhononSpectrum.from_density_of_states(FREQUENCIES, FREQUENCIES**2)
    frequencies, density = phonons.density_of_states()
    assert density.sum() * (frequencies[1] - frequencies[0]) == pytest.approx(3)


@pytest.mark.parametrize(
    ("frequencies", "density"),
    [
        ([1, 2, 3], [1, 2]),
        ([1], [1]),
        ([1, 3, 2], [1, 1, 1]),
        ([1, 2, 3], [1, -1, 1]),
        ([1, 2, np.nan], [1, 1, 1]),
        ([1, 2, 3], [1, np.inf, 1]),
        ([1, 2, 3], [0, 0, 0]),
        ([-3, -2, -1], [1, 1, 1]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ],
)
def test_what_is_no_density_of_states_is_refused(frequencies, density):
    with pytest.raises(PhononError, match="density of states"):
        PhononSpectrum.from_density_of_states(frequencies, density)


def test_unknown_unit_is_refused():
    with pytest.raises(ArgumentError, match=r"cm\^-1"):
        PhononSpectrum.from_density_of_states([1, 2], [1, 1], "rad/ps")
