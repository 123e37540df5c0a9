"""phonopy plugin: CLOUD against harmonic phonons, and against quasi-harmonic ones at constant pressure."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_plugins.phonopy.comparison import HeatCapacityValidation as HeatCapacityValidation
    from cloud_plugins.phonopy.quasi_harmonic import QuasiHarmonicValidation as QuasiHarmonicValidation
    from cloud_plugins.phonopy.quasi_harmonic import validate_quasi_harmonic as validate_quasi_harmonic
    from cloud_plugins.phonopy.validation import validate_heat_capacity as validate_heat_capacity

_HOME = {
    "HeatCapacityValidation": "comparison",
    "QuasiHarmonicValidation": "quasi_harmonic",
    "validate_heat_capacity": "validation",
    "validate_quasi_harmonic": "quasi_harmonic",
}

__all__ = [
    "HeatCapacityValidation",
    "QuasiHarmonicValidation",
    "validate_heat_capacity",
    "validate_quasi_harmonic",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
