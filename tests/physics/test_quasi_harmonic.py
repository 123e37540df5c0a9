"""The free energy F(V, T): whatever its parameters, everything is its derivative, and nothing runs away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk
from scipy.constants import N_A, R

from cloud_model.errors import ArgumentError
from cloud_model.network.heads import EXPANSION, KNOWN, ExpansionHead, Prediction, with_calculated
from cloud_model.physics.isobaric import IsobaricCrystals, UncertainExpansion
from cloud_model.physics.mixture import Spectra
from cloud_model.physics.quasi_harmonic import GPA_CUBIC_ANGSTROM, Expansion, equilibrium

T = torch.tensor([0.0, 0.01, 3.0, 40.0, 150.0, 300.0, 900.0, 2500.0, 6000.0], dtype=torch.float64)
WARM = T[3:]
STEP = 1e-4


def random_crystals(seed: int, count: int = 12) -> tuple[Spectra, Expansion]:
    """What heads of random weights say of random crystals."""
    torch.manual_seed(seed)
    head = ExpansionHead(8).double()
    torch.nn.init.normal_(head.output, std=3.0)
    learned = head(3 * torch.randn(count, 8, dtype=torch.float64))
    volume, modulus = torch.exp(8 * torch.randn(2, count, dtype=torch.float64))
    calculated = {"volume_per_atom": Prediction(volume, volume), "bulk_modulus": Prediction(modulus, modulus)}
    logarithms = with_calculated(learned, calculated).logarithms.detach()
    theta = torch.exp(torch.empty(count, 3, dtype=torch.float64).uniform_(np.log(15), np.log(6000)))
    weights = torch.randn(count, 3, dtype=torch.float64).softmax(-1)
    none = torch.zeros(count, dtype=torch.float64)
    return Spectra(theta, weights, none, none), Expansion(*logarithms.exp().unbind(-1))


@pytest.fixture(scope="module", params=[0, 1])
def crystals(request):
    return random_crystals(request.param)


@pytest.mark.parametrize("pressure", [0.0, 7.0, 30.0])
def test_every_crystal_has_one_volume_and_finite_functions(crystals, pressure):
    state = equilibrium(*crystals, T, pressure)
    assert (state.slope.abs() < 1e-12 * (state._cold_stiffness + state._work)).all()
    assert (state.stiffness > 0).all()
    for name in (
        *("free_energy", "gibbs_energy", "enthalpy", "entropy", "volume", "bulk_modulus"),
        *("isobaric_heat_capacity", "isochoric_heat_capacity", "thermal_expansion", "adiabatic_bulk_modulus"),
    ):
        assert getattr(state, name).isfinite().all(), name
    more = equilibrium(*crystals, T, pressure + 0.1)
    assert (more.volume < state.volume).all()


@pytest.mark.parametrize("pressure", [0.0, 10.0])
def test_everything_is_a_derivative_of_one_function(crystals, pressure):
    state = equilibrium(*crystals, WARM, pressure)
    above, below = (equilibrium(*crystals, WARM * (1 + sign * STEP), pressure) for sign in (1, -1))
    change = 2 * STEP * WARM

    def slope(name):
        return (getattr(above, name) - getattr(below, name)) / change

    close = {"rtol": 3e-6, "atol": 1e-9}
    torch.testing.assert_close(-slope("gibbs_energy"), state.entropy, **close)
    torch.testing.assert_close(slope("enthalpy"), state.isobaric_heat_capacity, **close)
    torch.testing.assert_close(WARM * slope("entropy"), state.isobaric_heat_capacity, **close)
    torch.testing.assert_close(slope("volume") / state.volume, state.thermal_expansion, rtol=3e-6, atol=1e-12)
    torch.testing.assert_close(state.gibbs_energy, state.enthalpy - WARM * state.entropy)
    excess = GPA_CUBIC_ANGSTROM * state.thermal_expansion**2 * state.bulk_modulus * state.volume * WARM
    torch.testing.assert_close(
        state.isobaric_heat_capacity - state.isochoric_heat_capacity, excess, rtol=1e-9, atol=1e-11
    )
    assert (excess >= 0).all()
    ratio = state.isobaric_heat_capacity / state.isochoric_heat_capacity
    torch.testing.assert_close(state.adiabatic_bulk_modulus / state.bulk_modulus, ratio)


def test_volume_and_stiffness_are_derivatives_by_the_pressure(crystals):
    state, above, below = (equilibrium(*crystals, WARM, pressure) for pressure in (4.0, 4.001, 3.999))
    volume = (above.gibbs_energy - below.gibbs_energy) / (0.002 * GPA_CUBIC_ANGSTROM)
    torch.testing.assert_close(volume, state.volume, rtol=1e-6, atol=0)
    stiffness = -0.002 / (above.strain - below.strain)
    torch.testing.assert_close(stiffness, state.bulk_modulus, rtol=1e-5, atol=0)


def test_heat_capacity_at_constant_volume_is_that_of_the_helmholtz_energy(crystals):
    state = equilibrium(*crystals, WARM)

    def energy(temperature):
        return type(state)(*crystals, temperature, state.P, state.strain).free_energy

    h = 1e-3 * WARM
    curvature = (energy(WARM + h) - 2 * energy(WARM) + energy(WARM - h)) / h**2
    torch.testing.assert_close(-WARM * curvature, state.isochoric_heat_capacity, rtol=1e-4, atol=1e-4)


def test_autograd_agrees_with_the_closed_forms(crystals):
    temperature = WARM.clone().requires_grad_()
    state = equilibrium(*crystals, temperature, 2.0)
    for name, expected in (("gibbs_energy", -state.entropy), ("enthalpy", state.isobaric_heat_capacity)):
        (slope,) = torch.autograd.grad(getattr(state, name).sum(), temperature, retain_graph=True)
        torch.testing.assert_close(slope, expected.sum(0))


def test_limits(crystals):
    cold = equilibrium(*crystals, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    for name in ("isobaric_heat_capacity", "thermal_expansion", "entropy"):
        values = getattr(cold, name)
        assert (values[:, 0] == 0).all()
    stiff = crystals[0].debye_temperatures.min(-1).values * cold._scale[:, 0] > 30
    assert stiff.sum() > 3
    ratio = cold.isobaric_heat_capacity[stiff, 2] / cold.isobaric_heat_capacity[stiff, 1]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 8.0), rtol=0.02, atol=0)  # T^3
    harmonic = crystals[1]._replace(anharmonicity=torch.zeros_like(crystals[1].anharmonicity))
    hot = equilibrium(crystals[0], harmonic, torch.tensor([1e5], dtype=torch.float64))
    torch.testing.assert_close(
        hot.isochoric_heat_capacity, torch.full_like(hot.strain, 3 * R), rtol=1e-3, atol=0
    )


def test_unit_of_pressure_times_volume():
    assert pytest.approx(1e9 * 1e-30 * N_A) == GPA_CUBIC_ANGSTROM


def test_salt_expands_as_measured():
    """NaCl: V0, B0 and γ of the textbooks give the measured expansion and Cp - Cv at 298 K."""
    one = torch.ones(1, dtype=torch.float64)
    spectra = Spectra(torch.tensor([[281.0]]).double(), one[None], 0 * one, 0 * one)
    salt = Expansion(one, 21.8 * one, 27.0 * one, 1.6 * one, 0 * one)
    state = equilibrium(spectra, salt, 298.15)
    assert state.thermal_expansion.item() == pytest.approx(119e-6, rel=0.1)
    assert (state.isobaric_heat_capacity - state.isochoric_heat_capacity).item() == pytest.approx(
        1.4, abs=0.25
    )
    assert state.bulk_modulus.item() == pytest.approx(23.8, rel=0.05)
    assert (state.adiabatic_bulk_modulus / state.bulk_modulus).item() == pytest.approx(1.06, abs=0.01)


def test_standard_errors_are_those_of_independent_parameters():
    spectra, expansion = random_crystals(3, count=2)
    logarithms = torch.stack(expansion, dim=-1).log()
    errors = torch.tensor([0.03, 0.02, 0.1, 0.2, 0.4], dtype=torch.float64).expand_as(logarithms)
    crystals = IsobaricCrystals(spectra, UncertainExpansion(logarithms, errors), WARM)
    value, error = crystals("isobaric_heat_capacity")
    draws = logarithms + 0.01 * errors * torch.randn(4000, 1, 5, dtype=torch.float64)
    sampled = equilibrium(spectra, Expansion(*draws.exp().unbind(-1)), WARM).isobaric_heat_capacity
    torch.testing.assert_close(sampled.std(0) / 0.01, error, rtol=0.06, atol=1e-6)
    torch.testing.assert_close(value, equilibrium(spectra, expansion, WARM).isobaric_heat_capacity)
    frozen = IsobaricCrystals(spectra, UncertainExpansion(logarithms, errors), 0 * WARM)
    for value in (
        *frozen("enthalpy"),
        *frozen("gibbs_energy"),
    ):  # from which they count, whatever the parameters
        assert (value == 0).all()


def test_the_spread_of_the_spectra_is_an_error_of_their_scale():
    spectra, expansion = random_crystals(3, count=2)
    logarithms = torch.stack(expansion, dim=-1).log()
    errors = torch.zeros_like(logarithms)
    errors[:, 0], spread = 0.03, torch.full((2,), 0.04, dtype=torch.float64)
    _, both = IsobaricCrystals(spectra._replace(spread=spread), UncertainExpansion(logarithms, errors), WARM)(
        "entropy"
    )
    errors[:, 0] = 0.05
    _, one = IsobaricCrystals(spectra, UncertainExpansion(logarithms, errors), WARM)("entropy")
    torch.testing.assert_close(both, one)
    assert (one > 0).all()


def test_head_stays_within_its_ranges():
    _, expansion = random_crystals(5)
    for name, (middle, reach) in EXPANSION.items():
        values = getattr(expansion, name)
        assert ((values / middle).log().abs() <= reach * (1 + 1e-9)).all()


def test_model_at_a_pressure(tiny_model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    free, pressed = (tiny_model.thermodynamics(salt, [0.0, 300.0], pressure=p) for p in (0.0, 5.0))
    np.testing.assert_allclose(
        free.gibbs_energy, free.enthalpy - free.temperatures * free.isobaric_entropy, atol=1e-6
    )
    np.testing.assert_array_equal(free.heat_capacity, pressed.heat_capacity)
    assert (pressed.volume_per_atom < free.volume_per_atom).all()
    assert (pressed.gibbs_energy_per_atom > free.gibbs_energy_per_atom).all()
    assert free.enthalpy[0] == 0.0
    np.testing.assert_allclose(free.isobaric_heat_capacity, 2 * free.isobaric_heat_capacity_per_atom)


def test_static_volume_and_bulk_modulus_are_the_properties(tiny_model):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    found = tiny_model.predict(salt, [name for name, _ in KNOWN.values()])
    curve = tiny_model.thermodynamics(salt, [300.0])
    for field, (name, theory) in KNOWN.items():
        column = [*EXPANSION].index(field)
        middle, reach = EXPANSION[field]
        value = float(np.clip(found[name].iloc[0], middle * np.exp(-reach), middle * np.exp(reach)))
        assert float(curve.expansion.logarithms[0, column].exp()) == pytest.approx(value)
        relative = found[f"{name}_std"].iloc[0] / value
        assert float(curve.expansion.errors[0, column]) == pytest.approx(np.hypot(relative, theory))


@pytest.mark.parametrize("pressure", [-1.0, 31.0, np.nan, "high"])
def test_pressures_out_of_range_are_refused(tiny_model, pressure):
    with pytest.raises(ArgumentError, match="at most 30"):
        tiny_model.thermodynamics(bulk("Cu"), [300.0], pressure=pressure)
