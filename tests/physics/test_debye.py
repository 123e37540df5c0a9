from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.constants import R

from cloud_model.physics import debye

FUNCTIONS = [debye.heat_capacity, debye.internal_energy, debye.entropy, debye.free_energy]
RATIOS = torch.cat([torch.logspace(-4, 6, 81, dtype=torch.float64), torch.tensor([1.999999, 2.0, 2.000001])])

thetas = st.floats(1.0, 3000.0)
temperatures = st.floats(0.5, 3000.0)


def exact(x: float) -> dict[str, float]:
    """All four functions at T = 1 K and theta = x K, by integration with 30 digits."""
    with mpmath.workdps(30):
        x, r = mpmath.mpf(x), mpmath.mpf(R)
        ends = [0, *(x * f for f in (0.01, 0.1, 0.5) if x * f < 60), min(x, mpmath.mpf(90))]
        integral = mpmath.quad(lambda t: t**3 / mpmath.expm1(t) if t else mpmath.mpf(0), ends)
        d = 3 * integral / x**3
        logarithm = mpmath.log(-mpmath.expm1(-x))
        return {
            "heat_capacity": float(3 * r * (4 * d - 3 * x / mpmath.expm1(x))),
            "internal_energy": float(r * (9 * x / 8 + 3 * d)),
            "entropy": float(r * (4 * d - 3 * logarithm)),
            "free_energy": float(r * (9 * x / 8 + 3 * logarithm - d)),
        }


@pytest.fixture(scope="module")
def references() -> list[dict[str, float]]:
    return [exact(float(x)) for x in RATIOS]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_agrees_with_quadrature(function, references):
    expected = torch.tensor([row[function.__name__] for row in references], dtype=torch.float64)
    computed = function(RATIOS, torch.ones_like(RATIOS))
    torch.testing.assert_close(computed, expected, rtol=1e-12, atol=0)
    single = function(RATIOS.float(), torch.ones(len(RATIOS)))
    torch.testing.assert_close(single, expected.float(), rtol=1e-5, atol=1e-5)


def test_debye_function_of_abramowitz_and_stegun():
    x = torch.tensor([1e-9, 0.1, 1.0, 10.0], dtype=torch.float64)
    tabulated = torch.tensor(
        [1.0, 0.962999892, 0.674415564, 0.019295766], dtype=torch.float64
    )  # Abramowitz & Stegun 27.1
    torch.testing.assert_close(debye.debye_function(x), tabulated, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_derivatives_are_finite(function, dtype):
    ratio = torch.logspace(-6, 12, 1801, dtype=torch.float64)
    for scale in (1e-2, 1.0, 1e4):
        theta = torch.full_like(ratio, scale).to(dtype).requires_grad_()
        T = (scale / ratio).to(dtype).requires_grad_()
        value = function(theta, T)
        gradients = torch.autograd.grad(value.sum(), (theta, T), create_graph=True)
        curvatures = torch.autograd.grad(sum(g.sum() for g in gradients), (theta, T))
        assert all(torch.isfinite(x).all() for x in (value, *gradients, *curvatures))


@given(thetas)
def test_zero_temperature_is_exact(theta):
    theta = torch.tensor([theta], dtype=torch.float64, requires_grad=True)
    T = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    zero_point = (9 / 8 * R * theta).detach()
    assert debye.heat_capacity(theta, T) == 0
    assert debye.entropy(theta, T) == 0
    torch.testing.assert_close(debye.internal_energy(theta, T).detach(), zero_point)
    torch.testing.assert_close(debye.free_energy(theta, T).detach(), zero_point)
    for function in FUNCTIONS:
        by_theta, by_temperature = torch.autograd.grad(function(theta, T).sum(), (theta, T))
        assert by_temperature == 0
        assert torch.isfinite(by_theta).all()


@given(thetas)
def test_limits(theta):
    theta = torch.tensor(theta, dtype=torch.float64)
    torch.testing.assert_close(debye.heat_capacity(theta, 1e4 * theta).item(), 3 * R, rtol=1e-9, atol=0)
    T = theta / 100
    cubic = 12 * math.pi**4 / 5 * R * (T / theta) ** 3
    torch.testing.assert_close(debye.heat_capacity(theta, T), cubic)


def mixture(function, theta, weights, T):
    return (weights * function(theta, T)).sum()


@given(st.lists(st.tuples(thetas, st.floats(0.01, 1)), min_size=1, max_size=5), temperatures)
def test_identities_hold_for_mixtures(spectra, T):
    theta, weights = torch.tensor(spectra, dtype=torch.float64).unbind(1)
    weights = weights / weights.sum()
    T = torch.tensor(T, dtype=torch.float64, requires_grad=True)
    cv, u, s, f = (mixture(function, theta, weights, T) for function in FUNCTIONS)
    (du,) = torch.autograd.grad(u, T, retain_graph=True)
    (ds,) = torch.autograd.grad(s, T, retain_graph=True)
    (df,) = torch.autograd.grad(f, T, retain_graph=True)
    assert 0 <= cv <= 3 * R
    torch.testing.assert_close(du, cv, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(T * ds, cv, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(-df, s, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(f, u - T * s, rtol=1e-13, atol=1e-9)


def test_broadcasts_over_spectra_and_temperatures():
    theta = torch.tensor([[100.0], [400.0]])
    T = torch.linspace(0, 600, 7)
    for function in FUNCTIONS:
        table = function(theta, T)
        assert table.shape == (2, 7)
        torch.testing.assert_close(table[1, 3], function(torch.tensor(400.0), 300.0))
