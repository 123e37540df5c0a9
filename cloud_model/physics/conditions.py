"""Temperatures and pressures that users give, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloud_model.arguments import checked_number
from cloud_model.errors import ArgumentError

MAX_PRESSURE = 30.0
"""GPa; the cold energy of `cloud_model.physics.quasi_harmonic`, with one B' for all crystals, is not meant for more."""

MAX_TEMPERATURE = 1e6
"""K, where every heat capacity has long reached its classical limit, and no crystal is left."""


def checked_temperature(value: Any) -> float:
    """Temperature in K, or an `ArgumentError`."""
    return checked_number("temperature", value, 0, "Give a temperature in K.", most=MAX_TEMPERATURE)


def checked_temperatures(values: ArrayLike) -> NDArray[np.float64]:
    """Temperatures in K, shape (nT,), or an `ArgumentError`."""
    try:
        grid = np.atleast_1d(values if isinstance(values, np.ndarray) else np.array(values, dtype=object))
    except (TypeError, ValueError, OverflowError):
        grid = np.empty(0)
    if grid.ndim != 1 or not grid.size:
        raise ArgumentError(
            "temperatures", "are not numbers in one dimension, at least one", "Give temperatures in K."
        )
    return np.array([checked_temperature(value) for value in grid.tolist()])


def checked_pressure(value: Any) -> float:
    """Pressure in GPa, or an `ArgumentError`."""
    return checked_number("pressure", value, 0, "Give a pressure in GPa.", most=MAX_PRESSURE)
