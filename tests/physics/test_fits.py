"""Polynomials of thermochemical tables through our curves."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.constants import R

from cloud_model.errors import ArgumentError
from cloud_model.physics.fits import ROOM, fit_heat_capacity


@pytest.fixture(scope="module")
def curve(tiny_model):
    return tiny_model.thermodynamics(bulk("NaCl", "rocksalt", a=5.64), np.linspace(ROOM, 1200.0, 61))


def test_shomate_gives_enthalpy_and_entropy_of_the_curve(curve):
    found = fit_heat_capacity(curve, "shomate", 2)
    A, B, C, D, E, F, G = found.coefficients.values()
    t = curve.temperatures / 1000
    enthalpy = A * t + B * t**2 / 2 + C * t**3 / 3 + D * t**4 / 4 - E / t + F
    entropy = A * np.log(t) + B * t + C * t**2 / 2 + D * t**3 / 3 - E / (2 * t**2) + G
    expected = (curve.enthalpy - curve.enthalpy[0]) / 1000
    np.testing.assert_allclose(enthalpy, expected, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(entropy, curve.isobaric_entropy, rtol=1e-3)
    off = np.abs(found.heat_capacity(curve.temperatures) - curve.isobaric_heat_capacity).max()
    assert off == pytest.approx(found.largest_deviation)
    assert off < 0.005 * curve.isobaric_heat_capacity[-1]
    assert (found.lowest, found.highest, found.atoms) == (ROOM, 1200.0, 2)


def test_nasa9_gives_enthalpy_and_entropy_of_the_curve(curve):
    found = fit_heat_capacity(curve, "nasa9")
    a1, a2, a3, a4, a5, a6, a7, b1, b2 = found.coefficients.values()
    T = curve.temperatures
    enthalpy = (
        -a1 / T + a2 * np.log(T) + a3 * T + a4 * T**2 / 2 + a5 * T**3 / 3 + a6 * T**4 / 4 + a7 * T**5 / 5
    )
    entropy = (
        -a1 / T**2 / 2 - a2 / T + a3 * np.log(T) + a4 * T + a5 * T**2 / 2 + a6 * T**3 / 3 + a7 * T**4 / 4
    )
    expected = curve.enthalpy_per_atom - curve.enthalpy_per_atom[0]
    np.testing.assert_allclose(R * (enthalpy + b1), expected, rtol=1e-3, atol=0.1)
    np.testing.assert_allclose(R * (entropy + b2), curve.isobaric_entropy_per_atom, rtol=1e-3)
    assert found.largest_deviation < 0.05


def test_fits_that_cannot_be_are_refused(curve):
    with pytest.raises(ArgumentError, match=r"form 'cubic' is unknown.*shomate, nasa9"):
        fit_heat_capacity(curve, "cubic")


@pytest.mark.parametrize(
    ("temperatures", "refused"),
    [
        (np.linspace(10.0, 900.0, 90), True),
        (np.linspace(99.9, ROOM, 50), True),
        (np.linspace(100.0, ROOM, 50), False),
        (np.linspace(100.0, ROOM, 14), True),
        (np.linspace(100.0, ROOM, 15), False),
        (np.linspace(300.0, 900.0, 90), True),
    ],
)
def test_a_fit_takes_room_temperature_and_many_others_from_100_K_on(tiny_model, temperatures, refused):  # noqa: N802
    curve = tiny_model.thermodynamics(bulk("Cu"), temperatures)
    if not refused:
        assert fit_heat_capacity(curve, "shomate").lowest == 100.0
        return
    with pytest.raises(ArgumentError, match=rf"temperatures are {len(temperatures)} from .* Fit at 298.15 K"):
        fit_heat_capacity(curve, "shomate")
