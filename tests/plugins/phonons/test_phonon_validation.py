from __future__ import annotations

import json

import numpy as np
import pytest
from known_model import KnownModel
from numpy.testing import assert_allclose
from scipy.constants import R

from cloud_model.errors import ArgumentError
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_plugins.phonopy import validate_heat_capacity
from cloud_plugins.phonopy.comparison import HeatCapacityValidation
from cloud_plugins.phonopy.spectrum import PhononSpectrum

T = np.array([0.0, 25.0, 50.0, 100.0, 200.0, 300.0, 600.0])


def debye_solid(*debye_temperatures: float) -> PhononSpectrum:
    debye = KnownModel(*debye_temperatures).thermodynamics("", T)
    grid = np.linspace(0, 1.001 * debye.cutoff_frequencies.max(), 20_000)
    return PhononSpectrum.from_density_of_states(grid, debye.density_of_states(grid))


def compare(phonons: PhononSpectrum, *debye_temperatures: float) -> HeatCapacityValidation:
    cloud = KnownModel(*debye_temperatures).thermodynamics("", T)
    return HeatCapacityValidation("made up", "nowhere", phonons, cloud)


@pytest.fixture
def result(copper, model) -> HeatCapacityValidation:
    return validate_heat_capacity(copper, model=model, temperatures=T)


def test_a_perfect_prediction_has_no_error():
    result = compare(debye_solid(250.0, 600.0), 250.0, 600.0)
    assert result.mae < 1e-3
    assert result.cloud_debye_temperature == pytest.approx(result.debye_temperature, abs=0.1)


def test_one_debye_temperature_fits_a_debye_solid():
    result = compare(debye_solid(400.0), 500.0)
    assert result.debye_temperature == pytest.approx(400, abs=0.2)
    assert result.best_debye_temperature == pytest.approx(400, abs=0.2)
    assert result.cloud_debye_temperature == pytest.approx(500, abs=1e-6)
    assert result.debye_floor < 1e-3


def test_floor_is_the_least_error_of_one_debye_temperature():
    result = compare(debye_solid(150.0, 900.0), 500.0)
    assert result.debye_floor > 0.3
    for theta in np.linspace(100, 1000, 37):
        single = Thermodynamics(T, np.array([theta]), np.array([1.0])).heat_capacity_per_atom
        assert np.abs(single - result.harmonic_heat_capacity).mean() >= result.debye_floor - 1e-9


def test_errors_are_of_the_heat_capacity_per_atom(result):
    frame = result.to_frame()
    error = frame.cloud_heat_capacity - frame.harmonic_heat_capacity
    assert result.mae == pytest.approx(error.abs().mean())
    assert result.max_error == pytest.approx(error.abs().max())
    assert result.max_error_temperature == frame.temperature[error.abs().idxmax()]


def test_both_sides_are_thermodynamically_consistent(copper, model):
    fine = np.linspace(50, 400, 351)
    frame = validate_heat_capacity(copper, model=model, temperatures=fine).to_frame()
    for side in ("harmonic", "cloud"):
        cv, energy, entropy, free = (
            frame[f"{side}_{name}"].to_numpy()
            for name in ("heat_capacity", "thermal_energy", "entropy", "free_energy")
        )
        zero_point = (free + fine * entropy - energy)[0]
        assert_allclose(np.gradient(energy, fine)[2:-2], cv[2:-2], rtol=2e-3)
        assert_allclose(fine[2:-2] * np.gradient(entropy, fine)[2:-2], cv[2:-2], rtol=5e-3)
        assert_allclose(free, zero_point + energy - fine * entropy, rtol=1e-9)


def test_frame_has_the_documented_columns(result):
    assert list(result.to_frame().columns) == [
        "temperature",
        "harmonic_heat_capacity",
        "cloud_heat_capacity",
        "debye_floor_heat_capacity",
        "harmonic_thermal_energy",
        "cloud_thermal_energy",
        "harmonic_entropy",
        "cloud_entropy",
        "harmonic_free_energy",
        "cloud_free_energy",
    ]
    assert_allclose(result.to_frame().iloc[0, 1:8], 0, atol=1e-12)


def test_dictionary_is_json(result):
    parsed = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert parsed["formula"] == "Cu"
    assert parsed["table"]["temperature"] == T.tolist()
    assert sum(spectrum["weight"] for spectrum in parsed["cloud_spectra"]) == pytest.approx(1)
    assert parsed["mesh_change"] < 1e-3
    assert parsed["stable"] is True


def test_basis_that_is_not_known_is_refused(result):
    with pytest.raises(ArgumentError, match="basis"):
        result.to_frame("mole")


def test_default_temperatures_reach_the_classical_limit(copper, model):
    result = validate_heat_capacity(copper, model=model)
    assert (result.temperatures[0], result.temperatures[-1]) == (0, 1000)
    assert result.harmonic_heat_capacity[-1] == pytest.approx(3 * R, rel=0.02)


def test_temperatures_of_any_order_and_a_single_one(copper, model):
    backwards = validate_heat_capacity(copper, model=model, temperatures=T[::-1])
    alone = validate_heat_capacity(copper, model=model, temperatures=300)
    assert backwards.harmonic_heat_capacity[1] == pytest.approx(alone.harmonic_heat_capacity[0], rel=1e-3)


def test_figures_have_units_on_their_axes(result):
    heat_capacity, differences = result.plot(experiment=([100.0, 300.0], [16.0, 24.4])).axes
    assert heat_capacity.get_ylabel() == "Heat capacity (J/(mol-atom K))"
    assert differences.get_xlabel() == "Temperature (K)"
    labels = [text.get_text() for text in heat_capacity.get_legend().get_texts()]
    curves = {"CLOUD, constant volume", "harmonic phonons", "best single Debye temperature", "experiment"}
    assert curves <= set(labels)
    (density,) = result.plot_density_of_states().axes
    assert density.get_xlabel() == "Frequency (THz)"


def test_shipped_kind_of_model(copper, tiny_model, tiny_checkpoint):
    result = validate_heat_capacity(copper, model=tiny_model, temperatures=T)
    assert result.cloud.heat_capacity_per_atom_std[0] == 0
    assert (result.cloud.heat_capacity_per_atom_std[1:] > 0).all()
    assert validate_heat_capacity(copper, model=tiny_checkpoint, temperatures=T).mae == result.mae
    assert result.n_atoms_cell == 4
    assert np.isfinite(result.mae)
