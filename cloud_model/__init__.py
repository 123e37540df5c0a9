"""CLOUD: crystals as SCOPE strings, embeddings, properties and Debye thermodynamics.

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloud_model.process import limit_spinning
from cloud_model.version import __version__

if TYPE_CHECKING:
    from cloud_model.model import CloudModel as CloudModel
    from cloud_model.scope.string import Scope as Scope

limit_spinning()

_HOME = {"CloudModel": "cloud_model.model", "Scope": "cloud_model.scope.string"}
_MODULES = {"debye", "errors", "training"}

__all__ = ["CloudModel", "Scope", "__version__", "debye", "errors"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"cloud_model.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
