"""CLOUD inside ASE, matminer, pymatgen, scikit-learn and phonopy.

Importing this package imports none of them; each name below imports its own host when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import cloud_model  # noqa: F401  # before torch, whose threads it makes wait without spinning

if TYPE_CHECKING:
    from cloud_plugins.ase import CloudCalculator as CloudCalculator
    from cloud_plugins.matminer import CloudFeaturizer as CloudFeaturizer
    from cloud_plugins.matminer import CloudPropertyFeaturizer as CloudPropertyFeaturizer
    from cloud_plugins.phonopy import validate_heat_capacity as validate_heat_capacity
    from cloud_plugins.phonopy import validate_quasi_harmonic as validate_quasi_harmonic
    from cloud_plugins.sklearn import CloudDebyeRegressor as CloudDebyeRegressor
    from cloud_plugins.sklearn import CloudEmbedder as CloudEmbedder
    from cloud_plugins.sklearn import CloudRegressor as CloudRegressor

_HOME = {
    "CloudCalculator": "ase",
    "CloudDebyeRegressor": "sklearn",
    "CloudEmbedder": "sklearn",
    "CloudFeaturizer": "matminer",
    "CloudPropertyFeaturizer": "matminer",
    "CloudRegressor": "sklearn",
    "validate_heat_capacity": "phonopy",
    "validate_quasi_harmonic": "phonopy",
}

__all__ = [
    "CloudCalculator",
    "CloudDebyeRegressor",
    "CloudEmbedder",
    "CloudFeaturizer",
    "CloudPropertyFeaturizer",
    "CloudRegressor",
    "validate_heat_capacity",
    "validate_quasi_harmonic",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"cloud_plugins.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
