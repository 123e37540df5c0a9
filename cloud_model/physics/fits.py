"""Polynomials of thermochemical tables through a curve at constant pressure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cloud_model.errors import ArgumentError
from cloud_model.physics.debye import R
from cloud_model.physics.thermodynamics import Thermodynamics

Array = NDArray[np.float64]
Form = Literal["shomate", "nasa9"]

ROOM = 298.15  # K, where enthalpies count from

_NAMES: dict[Form, tuple[str, ...]] = {
    "shomate": ("A", "B", "C", "D", "E", "F", "G"),
    "nasa9": ("a1", "a2", "a3", "a4", "a5", "a6", "a7", "b1", "b2"),
}
_POWERS: dict[Form, tuple[int, ...]] = {"shomate": (0, 1, 2, 3, -2), "nasa9": (-2, -1, 0, 1, 2, 3, 4)}
_UNITS: dict[Form, tuple[float, float]] = {"shomate": (1000.0, 1.0), "nasa9": (1.0, R)}


@dataclass(frozen=True)
class HeatCapacityFit:
    """A polynomial in the temperature, per mole of formula units.

    ``shomate`` is that of the NIST WebBook: with t = T / 1000 K, Cp = A + B t + C t^2 + D t^3 + E / t^2 in J/(mol K),
    H - H(298.15 K) = A t + B t^2 / 2 + C t^3 / 3 + D t^4 / 4 - E / t + F in kJ/mol, and
    S = A ln t + B t + C t^2 / 2 + D t^3 / 3 - E / (2 t^2) + G in J/(mol K). ``nasa9`` is that of McBride, Zehe and
    Gordon, NASA/TP-2002-211556: Cp / R = a1 / T^2 + a2 / T + a3 + a4 T + a5 T^2 + a6 T^3 + a7 T^4, with b1 such that
    H(298.15 K) = 0 and b2 for the entropy. Add the enthalpy of formation at 298.15 K in kJ/mol to F, or over R to b1.

    Attributes
    ----------
    form : {'shomate', 'nasa9'}
        Which polynomial.
    coefficients : dict of str to float
        Coefficients by their names in the tables.
    lowest, highest : float
        Temperatures between which it holds, K.
    largest_deviation : float
        Largest deviation of the heat capacity from the curve, J/(mol K).
    atoms : int
        In a formula unit.
    """

    form: Form
    coefficients: dict[str, float]
    lowest: float
    highest: float
    largest_deviation: float
    atoms: int

    def heat_capacity(self, temperatures: Array) -> Array:
        """Heat capacity of the polynomial, J/(mol K)."""
        unit, scale = _UNITS[self.form]
        t = np.asarray(temperatures, dtype=float)[:, None] / unit
        powers = np.array(_POWERS[self.form])
        found: Array = scale * t**powers @ np.array([*self.coefficients.values()])[: len(powers)]
        return found


def fit_heat_capacity(curve: Thermodynamics, form: Form, atoms: int = 1) -> HeatCapacityFit:
    """Fit a polynomial to the heat capacity at constant pressure by least squares.

    Parameters
    ----------
    curve : Thermodynamics
        At 298.15 K and at many other temperatures; its range is that of the fit.
    form : {'shomate', 'nasa9'}
        Which polynomial.
    atoms : int
        In the formula unit that the coefficients are for.

    Returns
    -------
    HeatCapacityFit

    Raises
    ------
    ArgumentError
        If the form is unknown, or the temperatures are too few, reach below 100 K or do not hold 298.15 K.
    """
    if form not in _NAMES:
        raise ArgumentError(f"form {form!r}", "is unknown", f"Choose one of {', '.join(_NAMES)}.")
    T, powers = curve.temperatures, np.array(_POWERS[form], dtype=float)
    if len(T) < 3 * len(powers) or T.min() < 100 or not np.isclose(T, ROOM).any():
        raise ArgumentError(
            "temperatures",
            f"are {len(T)} from {T.min():g} K",
            "Fit at 298.15 K and many others from 100 K on.",
        )
    unit, scale = _UNITS[form]
    t, room = T / unit, ROOM / unit
    measured = atoms * curve.isobaric_heat_capacity_per_atom / scale
    design = t[:, None] ** powers
    sizes = design.max(axis=0)
    fitted = np.linalg.lstsq(design / sizes / measured[:, None], np.ones_like(T), rcond=None)[0] / sizes
    enthalpy = sum(
        c * (np.log(room) if p == -1 else room ** (p + 1) / (p + 1))
        for c, p in zip(fitted, powers, strict=True)
    )
    entropy = sum(c * (np.log(room) if p == 0 else room**p / p) for c, p in zip(fitted, powers, strict=True))
    at_room = atoms * curve.isobaric_entropy_per_atom[np.isclose(T, ROOM)][0] / scale
    values = [*fitted.tolist(), float(-enthalpy), float(at_room - entropy)]
    coefficients = dict(zip(_NAMES[form], values, strict=True))
    deviation = scale * np.abs(design @ fitted - measured).max()
    return HeatCapacityFit(form, coefficients, float(T.min()), float(T.max()), float(deviation), atoms)
