"""pymatgen plugin: structures and entries that carry predictions, phase diagrams, stability and screening."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloud_plugins.pymatgen.entries import phase_diagram as phase_diagram
    from cloud_plugins.pymatgen.entries import predicted_entries as predicted_entries
    from cloud_plugins.pymatgen.entries import stability as stability
    from cloud_plugins.pymatgen.predictions import with_predictions as with_predictions
    from cloud_plugins.pymatgen.screening import screen as screen

_HOME = {
    "phase_diagram": "entries",
    "predicted_entries": "entries",
    "screen": "screening",
    "stability": "entries",
    "with_predictions": "predictions",
}

__all__ = ["phase_diagram", "predicted_entries", "screen", "stability", "with_predictions"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
