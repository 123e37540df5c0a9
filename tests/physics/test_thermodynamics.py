from __future__ import annotations

import numpy as np
import pytest
from scipy.constants import R
from scipy.integrate import trapezoid

from cloud_model.physics.thermodynamics import Thermodynamics


@pytest.fixture
def mixture() -> Thermodynamics:
    return Thermodynamics(
        temperatures=np.array([0.0, 50.0, 300.0, 1e5]),
        debye_temperatures=np.array([200.0, 700.0]),
        weights=np.array([0.25, 0.75]),
        n_atoms=8,
    )


def test_limits(mixture):
    assert mixture.heat_capacity[0] == mixture.entropy[0] == 0
    assert mixture.heat_capacity[-1] == pytest.approx(3 * R, rel=1e-5)
    assert mixture.internal_energy[0] == mixture.free_energy[0] == pytest.approx(mixture.zero_point_energy)


def test_free_energy_is_energy_less_temperature_times_entropy(mixture):
    np.testing.assert_allclose(
        mixture.free_energy, mixture.internal_energy - mixture.temperatures * mixture.entropy, rtol=1e-12
    )


def test_density_of_states_counts_three_modes_an_atom(mixture):
    frequencies = np.linspace(-1, 20, 200_001)
    density = mixture.density_of_states(frequencies)
    assert (density[frequencies < 0] == 0).all()
    assert trapezoid(density, frequencies) == pytest.approx(3, rel=1e-4)


def test_cell_columns_are_the_atom_columns_times_the_atoms(mixture):
    frame = mixture.to_frame()
    assert list(frame.columns) == [
        "temperature",
        "heat_capacity_per_atom",
        "vibrational_internal_energy_per_atom",
        "vibrational_entropy_per_atom",
        "vibrational_free_energy_per_atom",
        "heat_capacity",
        "vibrational_internal_energy",
        "vibrational_entropy",
        "vibrational_free_energy",
    ]
    np.testing.assert_allclose(frame["heat_capacity"], 8 * frame["heat_capacity_per_atom"])


def test_without_a_cell_there_are_only_atom_columns():
    bare = Thermodynamics(
        np.array([300.0]), np.array([400.0]), np.array([1.0]), heat_capacity_std=np.array([0.3])
    )
    assert list(bare.to_frame().columns)[1:] == [
        "heat_capacity_per_atom",
        "vibrational_internal_energy_per_atom",
        "vibrational_entropy_per_atom",
        "vibrational_free_energy_per_atom",
        "heat_capacity_per_atom_std",
    ]
