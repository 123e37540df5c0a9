"""`CloudCalculator`: what its results mean, and what it refuses."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, make_supercell
from ase.calculators.calculator import PropertyNotImplementedError

from cloud_model import CloudModel
from cloud_model.errors import ArgumentError, CheckpointError, CloudWarning, VocabularyError
from cloud_model.properties.catalogue import ISOBARIC, SCALARS, THERMODYNAMICS
from cloud_model.stability.distances import stability
from cloud_model.stability.references import References
from cloud_plugins import CloudCalculator

PER_CELL = [name for name, info in THERMODYNAMICS.items() if info.basis == "cell"]


@pytest.fixture
def calculator(tiny_model) -> CloudCalculator:
    return CloudCalculator(tiny_model)


@pytest.fixture
def nacl() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.64)


def test_energy_is_the_formation_energy_of_the_cell(calculator, nacl, tiny_model):
    nacl.calc = calculator
    per_atom = tiny_model.predict(nacl)["formation_energy_per_atom"][0]
    assert nacl.get_potential_energy() == pytest.approx(2 * per_atom)
    assert calculator.get_formation_energy(nacl) == nacl.get_potential_energy()
    assert calculator.get_formation_energy(nacl, per_atom=True) == per_atom


def test_results_are_the_columns_of_predict(calculator, nacl, tiny_model):
    frame = tiny_model.predict(nacl).drop(columns="error")
    for name in frame:
        assert calculator.get_property(name, nacl) == frame[name][0]
    assert set(calculator.implemented_properties) == {"energy", "energy_std", *frame.columns}


@pytest.mark.parametrize("name", ["energy", *PER_CELL])
def test_extensive_results_scale_with_the_cell(calculator, nacl, name):
    supercell = nacl.repeat((2, 2, 2))
    assert calculator.get_property(name, supercell) == pytest.approx(8 * calculator.get_property(name, nacl))
    error = f"{name}_std"
    assert calculator.get_property(error, supercell) == pytest.approx(
        8 * calculator.get_property(error, nacl)
    )


@pytest.mark.parametrize("name", [*SCALARS, *sorted(set(THERMODYNAMICS) - set(PER_CELL))])
def test_intensive_results_do_not(calculator, nacl, name):
    skewed = make_supercell(nacl, [[2, 1, 0], [0, 2, 0], [0, 0, 1]])
    assert calculator.get_property(name, skewed) == pytest.approx(calculator.get_property(name, nacl))


@pytest.mark.parametrize("name", [*SCALARS, *THERMODYNAMICS])
def test_getters(calculator, nacl, name):
    getter = getattr(calculator, f"get_{name}")
    assert getter(nacl) == calculator.get_property(name, nacl)
    assert f"get_{name}" in dir(calculator)
    assert THERMODYNAMICS.get(name, SCALARS.get(name)).unit in getter.__doc__
    if name in PER_CELL:
        assert getter(nacl) == pytest.approx(2 * getter(nacl, per_atom=True))
    else:
        with pytest.raises(TypeError, match="per_atom"):
            getter(nacl, per_atom=True)


def test_getters_of_a_finetuned_checkpoint(tiny_model, nacl):
    config = tiny_model.checkpoint.config
    targets, properties = (
        {"hardness" if name == "band_gap" else name: value for name, value in mapping.items()}
        for mapping in (config.targets, config.properties)
    )
    renamed = replace(config, targets=targets, properties=properties)
    calculator = CloudCalculator(CloudModel(replace(tiny_model.checkpoint, config=renamed)))
    assert calculator.get_hardness(nacl) == calculator.get_property("hardness", nacl)
    assert "get_hardness" in dir(calculator)
    assert not hasattr(calculator, "get_band_gap")
    with pytest.raises(AttributeError, match="get_band_gap"):
        copy.copy(calculator).get_band_gap(nacl)


def test_temperature_is_a_parameter(calculator, nacl):
    nacl.calc = calculator
    assert calculator.get_heat_capacity(nacl) < 2 * 24.95
    calculator.set(temperature=1e5)
    assert calculator.get_heat_capacity(nacl, per_atom=True) == pytest.approx(24.943, abs=1e-2)
    calculator.set(temperature=0)
    assert calculator.get_heat_capacity(nacl) == 0


def test_thermodynamics_over_temperature(calculator, nacl):
    calculator.set(temperature=150)
    curve = calculator.get_thermodynamics(nacl, [100, 150])
    assert curve.heat_capacity_per_atom[1] == pytest.approx(calculator.get_heat_capacity(nacl, per_atom=True))


@pytest.mark.parametrize("method", ["get_forces", "get_stress"])
def test_derivatives_are_refused_with_the_reason(calculator, nacl, method):
    nacl.calc = calculator
    with pytest.raises(PropertyNotImplementedError, match=r"SCOPE.*no coordinates"):
        getattr(nacl, method)()


@pytest.mark.parametrize(
    "parameters", [{"temperature": -1}, {"temperature": np.nan}, {"temperature": "hot"}, {"cutoff": 5.0}]
)
def test_bad_parameters_are_refused(calculator, parameters):
    with pytest.raises(ArgumentError):
        calculator.set(**parameters)


def test_unknown_keywords_are_refused():
    with pytest.raises(TypeError, match="cutoff"):
        CloudCalculator(cutoff=5.0)


def test_unknown_model_is_refused():
    with pytest.raises(CheckpointError, match="no-such-model"):
        CloudCalculator("no-such-model")


def test_unknown_elements_are_refused_when_the_calculator_is_attached(calculator):
    with pytest.raises(VocabularyError, match="Th"):
        bulk("Th", "fcc", a=5.08).calc = calculator


def test_no_atoms(calculator):
    with pytest.raises(ArgumentError, match="no atoms"):
        calculator.get_band_gap()


def test_many_crystals_at_once(calculator, nacl):
    images = [nacl, bulk("Cu", cubic=True), bulk("MgO", "rocksalt", a=4.21)]
    frame = calculator.predict_many(iter(images))
    for atoms, (_, row) in zip(images, frame.iterrows(), strict=True):
        assert row["energy"] == pytest.approx(calculator.get_formation_energy(atoms))
        assert row["heat_capacity"] == pytest.approx(calculator.get_heat_capacity(atoms))
        assert row["error"] is None


def test_bad_crystals_of_a_batch_are_reported_in_their_row(calculator, nacl):
    with pytest.warns(CloudWarning, match="1 of 2"):
        frame = calculator.predict_many([nacl, bulk("Th", "fcc", a=5.08)])
    assert frame["error"][0] is None
    assert "Th" in frame["error"][1]
    assert np.isnan(frame["energy"][1])


def test_the_energy_above_the_hull_is_that_of_stability(calculator, nacl, tiny_model):
    expected = stability(nacl, model=tiny_model)["energy_above_hull"][0]
    nacl.calc = calculator
    assert calculator.get_energy_above_hull(nacl) == pytest.approx(expected)
    nacl.get_potential_energy()
    assert calculator.get_energy_above_hull() == pytest.approx(expected)


def test_references_make_a_phase_diagram_of_ase():
    from ase.phasediagram import PhaseDiagram

    references = References.load().within(["Na", "Cl"])
    diagram = PhaseDiagram(references.energies_of_formulas(), verbose=False)
    energy, _, _ = diagram.decompose("Na2Cl")
    assert energy == pytest.approx(2 * references.ground_states["NaCl"], abs=1e-6)


def test_crystal_thermo_has_the_functions_of_the_mixture(tiny_model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    calculator = CloudCalculator(model=tiny_model)
    thermo = calculator.get_crystal_thermo(salt, potential_energy=-1.0)
    curve = calculator.get_thermodynamics(salt, [300.0])
    joules = units.kJ / units.mol / 1000  # eV
    found = thermo.get_internal_energy(300.0, verbose=False) + 1.0
    assert found == pytest.approx(joules * curve.vibrational_internal_energy[0], rel=2e-3)
    found = thermo.get_entropy(300.0, verbose=False)
    assert found == pytest.approx(joules * curve.vibrational_entropy[0], rel=2e-3)


def test_values_and_parameters_belong_together(tiny_model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    cold = CloudCalculator(tiny_model, temperature=50).write_results(salt.copy())
    warm = CloudCalculator(tiny_model, temperature=300)
    expected = warm.write_results(salt.copy())
    copied = copy.copy(warm)
    copied.set(temperature=50)
    assert copied.write_results(salt.copy()) == cold
    assert warm.write_results(salt.copy()) == expected
    warm.parameters["temperature"] = 50
    assert warm.write_results(salt.copy()) == cold
    warm.parameters["temperature"] = -1
    with pytest.raises(ArgumentError, match="temperature"):
        warm.write_results(salt.copy())


def test_one_crystal_is_a_table_of_one_row(tiny_model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    calculator = CloudCalculator(tiny_model)
    assert calculator.predict_many(salt).equals(calculator.predict_many([salt]))


def test_properties_at_constant_pressure_are_there_when_asked_for():
    """They take as long as all others together, so that an energy does not wait for them."""
    calculator = CloudCalculator()
    atoms = bulk("NaCl", "rocksalt", 5.64)
    energy = calculator.get_property("energy", atoms)
    assert ISOBARIC.keys().isdisjoint(calculator.results)
    for name in ISOBARIC:
        value = calculator.get_property(f"{name}_std", atoms)
        assert value == calculator.model.predict(atoms)[f"{name}_std"].item()
        assert calculator.results["energy"] == energy
