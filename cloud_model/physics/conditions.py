"""Temperatures and pressures that users give, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloud_model.errors import ArgumentError, shortly

MAX_PRESSURE = 30.0
"""GPa; the cold energy of `cloud_model.physics.quasi_harmonic`, with one B' for all crystals, is not meant for more."""


def checked_temperature(value: Any) -> float:
    """Temperature in K, or an `ArgumentError`."""
    try:
        temperature = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(
            f"temperature {shortly(value)}",
            "is not a number",
            "Give a temperature in K.",
        ) from None
    if not 0 <= temperature < np.inf:
        raise ArgumentError(
            f"temperature {shortly(value)}", "is not a finite number >= 0", "Give a temperature in K."
        )
    return temperature


def checked_temperatures(values: ArrayLike) -> NDArray[np.float64]:
    """Temperatures in K, shape (nT,), or an `ArgumentError`."""
    try:
        grid = np.atleast_1d(np.asarray(values, dtype=float))
    except (TypeError, ValueError, OverflowError):
        grid = np.array([np.nan])
    if grid.ndim != 1 or not grid.size or not (np.isfinite(grid) & (grid >= 0)).all():
        raise ArgumentError(
            "temperatures",
            "are not finite numbers >= 0 in one dimension, at least one",
            "Give temperatures in K.",
        )
    return grid


def checked_pressure(value: Any) -> float:
    """Pressure in GPa, or an `ArgumentError`."""
    try:
        pressure = float(value)
    except (TypeError, ValueError, OverflowError):
        pressure = np.nan
    if not 0 <= pressure <= MAX_PRESSURE:
        raise ArgumentError(
            f"pressure {shortly(value)}", f"is not between 0 and {MAX_PRESSURE:g}", "Give a pressure in GPa."
        )
    return pressure
