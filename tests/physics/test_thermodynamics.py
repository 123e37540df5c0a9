from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.constants import R
from scipy.integrate import trapezoid

from cloud_model.errors import PropertyError
from cloud_model.physics.thermodynamics import STATE_QUANTITIES, Thermodynamics
from cloud_model.properties.catalogue import HARMONIC, THERMODYNAMICS


@pytest.fixture
def mixture() -> Thermodynamics:
    return Thermodynamics(
        temperatures=np.array([0.0, 50.0, 300.0, 1e5]),
        debye_temperatures=np.array([200.0, 700.0]),
        weights=np.array([0.25, 0.75]),
        n_atoms=8,
    )


def test_limits(mixture):
    assert mixture.heat_capacity_per_atom[0] == mixture.vibrational_entropy_per_atom[0] == 0
    assert mixture.heat_capacity_per_atom[-1] == pytest.approx(3 * R, rel=1e-5)
    energies = mixture.vibrational_internal_energy_per_atom, mixture.vibrational_free_energy_per_atom
    assert energies[0][0] == energies[1][0] == pytest.approx(mixture.zero_point_energy_per_atom)


def test_free_energy_is_energy_less_temperature_times_entropy(mixture):
    for suffix in ("", "_per_atom"):
        U, S, F = (
            getattr(mixture, f"vibrational_{name}{suffix}")
            for name in ("internal_energy", "entropy", "free_energy")
        )
        np.testing.assert_allclose(F, U - mixture.temperatures * S, rtol=1e-12)


def test_density_of_states_counts_three_modes_an_atom(mixture):
    frequencies = np.linspace(-1, 20, 200_001)
    density = mixture.density_of_states(frequencies)
    assert (density[frequencies < 0] == 0).all()
    assert trapezoid(density, frequencies) == pytest.approx(3, rel=1e-4)


NAMES = ["heat_capacity", "vibrational_internal_energy", "vibrational_entropy", "vibrational_free_energy"]


def with_errors(names: list[str]) -> list[str]:
    return [column for name in names for column in (name, f"{name}_std")]


def test_cell_columns_are_the_atom_columns_times_the_atoms(mixture):
    frame = mixture.to_frame()
    per_atom = [f"{name}_per_atom" for name in NAMES]
    assert list(frame.columns) == ["temperature", *with_errors(per_atom), *with_errors(NAMES)]
    for name in NAMES:
        np.testing.assert_array_equal(frame[name], 8 * frame[f"{name}_per_atom"])
        np.testing.assert_array_equal(frame[f"{name}_std"], 8 * frame[f"{name}_per_atom_std"])


def test_attributes_columns_and_properties_have_the_same_names(mixture, tiny_model):
    assert set(mixture.to_frame().columns) - {"temperature"} == set(with_errors(list(HARMONIC)))
    crystal = bulk("NaCl", "rocksalt", a=5.64)
    predicted = tiny_model.predict(crystal, list(THERMODYNAMICS), temperature=123.0).iloc[0]
    curve = tiny_model.thermodynamics(crystal, [123.0])
    columns = set(curve.to_frame().columns) - {"temperature"} - set(with_errors(list(STATE_QUANTITIES)))
    assert columns == set(with_errors(list(THERMODYNAMICS)))
    for name in columns:
        np.testing.assert_array_equal(getattr(curve, name), curve.to_frame()[name])
        assert getattr(curve, name)[0] == pytest.approx(predicted[name], rel=1e-12)


def test_without_a_cell_there_are_only_atom_quantities():
    bare = Thermodynamics(np.array([300.0]), np.array([400.0]), np.array([1.0]))
    assert list(bare.to_frame().columns)[1:] == with_errors([f"{name}_per_atom" for name in NAMES])
    assert np.isnan(bare.heat_capacity_per_atom_std).all()
    with pytest.raises(PropertyError, match="Use heat_capacity_per_atom"):
        _ = bare.heat_capacity
