"""Analyse a crystal for the page."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from cloud_model.confined import confined
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.crystal.files import open_crystals
from cloud_model.crystal.formula import reduced_formula
from cloud_model.errors import CloudError, CloudWarning, CrystalError
from cloud_model.model import CloudModel
from cloud_model.physics.thermodynamics import Thermodynamics
from cloud_model.properties.catalogue import THERMODYNAMICS, imaginary_modes_warning
from cloud_model.scope.description import Dialect
from cloud_model.scope.explanation import explain
from cloud_model.scope.string import Scope
from cloud_model.stability.distances import stability

TEMPERATURE = 300.0  # K, of the properties
TEMPERATURES = np.linspace(0, 1000, 201)  # K, of the curve
MAX_ATOMS = 2000
"""Most atoms of a cell that is uploaded."""

_LONGEST_NAME = 80


@dataclass(frozen=True)
class Analysis:
    """A crystal and the predictions of a model for it.

    Attributes
    ----------
    name : str
        Name of the file.
    crystal : Crystal
    scope : Scope
        In the dialect of the model.
    properties : dict of str to dict
        Name -> value and standard error, at 300 K, and what is known of the property.
    thermodynamics : Thermodynamics or None
        0 to 1000 K, if the model has any.
    out_of_domain : bool or None
        Whether the crystal is unlike those that the model was trained on; None if it cannot tell.
    stability : dict or None
        Row of `cloud_model.stability.distances.stability`; None if the distance from the hull cannot be told.
    notes : sequence of str
        Warnings about the crystal.
    index, total : int
        Which crystal of the file it is, and how many there are.
    """

    name: str
    crystal: Crystal
    scope: Scope
    properties: dict[str, dict[str, Any]]
    thermodynamics: Thermodynamics | None
    out_of_domain: bool | None
    stability: dict[str, Any] | None = None
    notes: Sequence[str] = ()
    index: int = 0
    total: int = 1

    @property
    def formula(self) -> str:
        """The reduced formula."""
        numbers = Counter(self.crystal.numbers.tolist())
        return reduced_formula({SYMBOLS[number - 1]: count for number, count in numbers.items()})

    @property
    def single_debye(self) -> Thermodynamics | None:
        """The single Debye spectrum of the same zero-point energy."""
        if self.thermodynamics is None:
            return None
        mean = self.thermodynamics.weights @ self.thermodynamics.debye_temperatures
        return Thermodynamics(self.thermodynamics.temperatures, np.array([mean]), np.ones(1))

    def to_dict(self, model: CloudModel) -> dict[str, Any]:
        """Everything as plain numbers, lists and strings, ready for JSON."""
        curve = self.thermodynamics
        return {
            "name": self.name,
            "formula": self.formula,
            "n_atoms": len(self.crystal),
            "scope": str(self.scope),
            "space_group": self.scope.space_group,
            "explanation": [row._asdict() for row in explain(str(self.scope))],
            "model": model.name,
            "temperature": TEMPERATURE,
            "properties": self.properties,
            "out_of_domain": self.out_of_domain,
            "stability": self.stability,
            "notes": list(self.notes),
            "index": self.index,
            "total": self.total,
            "thermodynamics": None if curve is None else curve.to_frame().to_dict("list"),
        }


def analyse(content: bytes, name: str, model: CloudModel, index: int = 0) -> Analysis:
    """Read a crystal from an uploaded file and predict.

    Parameters
    ----------
    content : bytes
    name : str
        Name of the file, as its user calls it. Only its last part counts, and it becomes no path.
    model : CloudModel
    index : int
        Which crystal of the file.

    Raises
    ------
    CloudError
        If it holds no crystal that the model can read, or exceeds a limit; the message names the file as its user
        does.
    """
    name = PurePath(name.replace("\\", "/")).name[-_LONGEST_NAME:] or "crystal"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", CloudWarning)
        try:
            crystal, scope, total = confined(_read, content, name, index, model.dialect, model.symprec)
            analysis = _analyse(crystal, scope, name, model)
        except (TimeoutError, MemoryError) as error:
            raise CloudError(f"{name}: it cannot be read: {error}") from error
        except CloudError as error:
            message = str(error)
            raise CloudError(message if message.startswith(name) else f"{name}: {message}") from error
    notes = list(dict.fromkeys(str(warning.message) for warning in caught))
    return replace(analysis, notes=[*notes, *analysis.notes], index=index, total=total)


def _read(
    content: bytes, name: str, index: int, dialect: Dialect, symprec: float
) -> tuple[Crystal, Scope, int]:
    """Read and describe a crystal, and count those in its file."""
    opened = open_crystals(content, name, name=name)
    total = len(opened)
    crystal = (replace(opened, selection=index) if total > 1 else opened).only()
    if len(crystal) > MAX_ATOMS:
        raise CrystalError(
            name,
            f"its cell has {len(crystal)} atoms, and this page takes {MAX_ATOMS}",
            "Use 'cloud predict'.",
        )
    return crystal, Scope.from_crystal(crystal, dialect, symprec), total


def _analyse(crystal: Crystal, scope: Scope, name: str, model: CloudModel) -> Analysis:
    row = model.predict(scope, temperature=TEMPERATURE).to_dict("records")[0]
    per_cell = {name for name, info in THERMODYNAMICS.items() if info.basis == "cell"}
    properties = {
        key: {
            "value": row[key],
            "error": row[f"{key}_std"],
            "unit": info.unit,
            "basis": info.basis,
            "description": info.description,
            "theory": info.theory,
            "experiment_ratio": info.experiment_ratio,
            "positive": info.positive,
            "test_error": info.test_error,
        }
        for key, info in model.properties.items()
        if key not in per_cell
    }
    has_thermodynamics = not THERMODYNAMICS.keys().isdisjoint(properties)
    imaginary = imaginary_modes_warning(row.get("dynamic_stability", 1.0)) if has_thermodynamics else None
    return Analysis(
        name,
        crystal,
        scope,
        properties,
        model.thermodynamics(scope, TEMPERATURES) if has_thermodynamics else None,
        bool(row["out_of_domain"]) if "out_of_domain" in row else None,
        _stability(crystal, model),
        [f"{name}: {imaginary}"] if imaginary else [],
    )


def _stability(crystal: Crystal, model: CloudModel) -> dict[str, Any] | None:
    try:
        (row,) = stability(crystal, model=model).to_dict("records")
    except CloudError:  # no energy in the model, or no reference for an element
        return None
    return {name: value for name, value in row.items() if name not in ("out_of_domain", "error")}
