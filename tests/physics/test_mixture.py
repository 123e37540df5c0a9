"""Mixtures of Debye spectra against numerical derivatives and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.constants import R

from cloud_model.physics import debye
from cloud_model.physics.mixture import FLOOR, DebyeMixture, Spectra

FUNCTIONS = ("heat_capacity", "internal_energy", "entropy", "free_energy")
TEMPERATURES = torch.tensor([0.0, 3.0, 30.0, 77.0, 300.0, 1000.0, 1e4], dtype=torch.float64)


def spectra(theta=((120.0, 480.0, 900.0), (300.0, 310.0, 2200.0)), spread=(0.03, 0.2), floor=0.0) -> Spectra:
    weights = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], dtype=torch.float64)
    theta, spread = (torch.tensor(part, dtype=torch.float64) for part in (theta, spread))
    return Spectra(theta, weights, spread, torch.full_like(spread, floor))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_are_the_weighted_means_of_the_spectra(function):
    mixtures = spectra()
    expected = [
        sum(w * getattr(debye, function)(t, TEMPERATURES) for t, w in zip(theta, weights, strict=True))
        for theta, weights in zip(mixtures.debye_temperatures, mixtures.weights, strict=True)
    ]
    value = getattr(DebyeMixture(mixtures, TEMPERATURES), function)
    torch.testing.assert_close(value, torch.stack(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("crystals", [2, 3, 8, 37])
def test_values_and_errors_are_the_same_to_the_last_bit_in_any_batch(function, crystals):
    generator = torch.Generator().manual_seed(0)
    theta, weights = (
        torch.rand(crystals, 3, generator=generator, dtype=torch.float64) + 0.1 for _ in range(2)
    )
    batch = Spectra(700 * theta, weights / weights.sum(-1, keepdim=True), weights[:, 0], weights[:, 1])
    together = DebyeMixture(batch, TEMPERATURES)
    for row in range(crystals):
        alone = DebyeMixture(batch.each(lambda part, row=row: part[row : row + 1].clone()), TEMPERATURES)
        assert torch.equal(getattr(together, function)[row], getattr(alone, function)[0])
        assert torch.equal(together.standard_error(function)[row], alone.standard_error(function)[0])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_derivative_is_the_numerical_one(function):
    step = 1e-4
    mixtures = spectra()
    above, below = (
        getattr(
            DebyeMixture(
                mixtures._replace(debye_temperatures=factor * mixtures.debye_temperatures), TEMPERATURES
            ),
            function,
        )
        for factor in (np.exp(step), np.exp(-step))
    )
    derivative = DebyeMixture(mixtures, TEMPERATURES).derivative(function)
    torch.testing.assert_close(derivative, (above - below) / (2 * step), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_derivative_is_that_of_autograd(function):
    scale = torch.zeros(2, 1, dtype=torch.float64, requires_grad=True)
    mixtures = spectra()
    for T in TEMPERATURES[1:]:
        moved = mixtures._replace(debye_temperatures=mixtures.debye_temperatures * scale.exp())
        (gradient,) = torch.autograd.grad(getattr(DebyeMixture(moved, float(T)), function).sum(), scale)
        derivative = DebyeMixture(mixtures, float(T)).derivative(function)
        torch.testing.assert_close(derivative, gradient[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_standard_error_is_what_uncertain_debye_temperatures_make_of_it(function):
    """Against the spread of the function over random relative errors, small enough to be linear."""
    spread = 1e-3
    mixture = spectra(spread=(spread, spread))
    factors = torch.from_numpy(np.exp(spread * np.random.default_rng(0).normal(size=(4000, 1))))
    error = DebyeMixture(mixture, 77.0).standard_error(function)
    for row in range(2):
        drawn = Spectra(factors * mixture.debye_temperatures[row], mixture.weights[row], factors, factors)
        values = getattr(DebyeMixture(drawn, 77.0), function)
        assert error[row].item() == pytest.approx(values.std().item(), rel=0.05)


def test_the_floor_is_a_share_of_soft_modes():
    exact = DebyeMixture(spectra(spread=(0.0, 0.0), floor=FLOOR), TEMPERATURES)
    heat_capacity = exact.standard_error("heat_capacity")
    assert (heat_capacity[:, 0] == 0).all()  # the third law
    assert (exact.standard_error("entropy")[:, 0] == 0).all()
    torch.testing.assert_close(heat_capacity[:, 3:], torch.full((2, 4), 0.02).double(), rtol=2e-3, atol=0)
    assert pytest.approx(0.02) == 3 * R * FLOOR


def test_the_floor_of_an_energy_leaves_out_the_zero_point():
    """Soft modes have U = 3RT when they are warm, nothing when they are cold, and F = U - TS."""
    floor = 0.01
    mixture = DebyeMixture(spectra(spread=(0.0, 0.0), floor=floor), TEMPERATURES)
    energy, entropy, free = (
        mixture.standard_error(name)[0] for name in ("internal_energy", "entropy", "free_energy")
    )
    assert max(energy[0], free[0]) < 1e-12
    assert energy[-1].item() == pytest.approx(floor * 3 * R * 1e4, rel=2e-3)
    torch.testing.assert_close(free, TEMPERATURES * entropy - energy, rtol=1e-9, atol=1e-9)


def test_calibration_multiplies_every_error():
    plain = spectra(floor=FLOOR)
    for function in FUNCTIONS:
        errors = (
            DebyeMixture(part, 77.0).standard_error(function) for part in (plain, plain.calibrated(1.7))
        )
        first, second = errors
        torch.testing.assert_close(second, 1.7 * first, rtol=1e-12, atol=0)


def test_shapes_follow_the_temperatures():
    batch = spectra()
    one = batch.each(lambda part: part[0])
    table = torch.stack([TEMPERATURES, 2 * TEMPERATURES])
    for T, shape in ((300.0, (2,)), (TEMPERATURES, (2, 7)), (table, (2, 7))):
        mixture = DebyeMixture(batch, T)
        assert mixture.heat_capacity.shape == mixture.standard_error("entropy").shape == shape
    assert DebyeMixture(one, TEMPERATURES).standard_error("entropy").shape == (7,)
    torch.testing.assert_close(
        DebyeMixture(one, 2 * TEMPERATURES).heat_capacity, DebyeMixture(batch, table[1]).heat_capacity[0]
    )


def test_members_of_an_ensemble_are_averaged():
    first, second = (
        spectra(),
        spectra(theta=((100.0, 200.0, 300.0), (400.0, 500.0, 600.0)), spread=(0.1, 0.4)),
    )
    both = Spectra.together([first, second])
    mean = sum(DebyeMixture(member, TEMPERATURES).heat_capacity for member in (first, second)) / 2
    torch.testing.assert_close(DebyeMixture(both, TEMPERATURES).heat_capacity, mean)
    torch.testing.assert_close(both.spread, torch.tensor([0.065, 0.3], dtype=torch.float64))


def test_the_floors_of_an_ensemble_are_averaged_by_crystal():
    members = [
        spectra()._replace(floor=torch.tensor(floor)) for floor in ([0.1, 0.5], [0.3, 0.7], [0.2, 0.0])
    ]
    torch.testing.assert_close(Spectra.together(members).floor, torch.tensor([0.2, 0.4]))


def test_single_precision_is_finite_everywhere():
    T = torch.tensor([0.0, 1e-3, 1.0, 300.0, 1e5])
    theta = torch.tensor([[15.0, 350.0, 6000.0]]).repeat(2, 1).requires_grad_()
    mixture = DebyeMixture(
        spectra(floor=FLOOR).each(torch.Tensor.float)._replace(debye_temperatures=theta), T
    )
    for function in FUNCTIONS:
        error = mixture.standard_error(function)
        assert error.isfinite().all()
        (gradient,) = torch.autograd.grad(error.sum(), theta, retain_graph=True)
        assert gradient.isfinite().all()
