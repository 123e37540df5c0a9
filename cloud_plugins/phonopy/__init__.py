"""phonopy plugin: CLOUD's heat capacity against harmonic phonons."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_plugins.phonopy.comparison import HeatCapacityValidation as HeatCapacityValidation
    from cloud_plugins.phonopy.validation import validate_heat_capacity as validate_heat_capacity

_HOME = {"HeatCapacityValidation": "comparison", "validate_heat_capacity": "validation"}

__all__ = ["HeatCapacityValidation", "validate_heat_capacity"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
