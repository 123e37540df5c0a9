"""pymatgen plugin: structures and entries that carry predictions.

SCOPE strings and predictions need no plugin: ``Scope.from_crystal`` and ``CloudModel.predict`` read `Structure`,
`SymmetrizedStructure` and `ComputedStructureEntry`. Here the predictions go into pymatgen's own place for data of a
structure, its ``properties``, which survive ``as_dict``, ``to(fmt="json")`` and the conversion to ASE.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pymatgen.core.structure import IStructure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.errors import ArgumentError
from cloud_model.model import CloudModel
from cloud_model.physics.conditions import checked_temperature

PREFIX = "cloud_"

Carrier = IStructure | ComputedStructureEntry


def with_predictions(
    crystals: Any,
    properties: str | Sequence[str] | None = None,
    temperature: float = 300.0,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
) -> Carrier | list[Carrier]:
    """Copy structures or entries, with predictions in the ``properties`` of the structure.

    Parameters
    ----------
    crystals : Structure, ComputedStructureEntry or collection of them
        Left as they are.
    properties : str or sequence of str, optional
        Names from ``CloudModel.properties``; all if left out.
    temperature : float
        Temperature for thermodynamic properties (K).
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.

    Returns
    -------
    Structure, ComputedStructureEntry or list of them
        Copies of the same types. ``properties`` has ``cloud_<name>`` in the unit of the property,
        ``cloud_<name>_std``, its standard error, ``cloud_model`` and ``cloud_temperature`` (K).

    Raises
    ------
    CloudError
        If a structure cannot be described; for a collection a `BatchError`, whose ``failures`` names each.
        Disordered structures must be ordered first.
    ArgumentError
        If something else is among them, or the temperature is not a number from 0 to 1,000,000 K.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> nacl = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> sorted(with_predictions(nacl, "band_gap").properties)
    ['cloud_band_gap', 'cloud_band_gap_std', 'cloud_model', 'cloud_out_of_domain', 'cloud_temperature']
    """
    loaded = CloudModel.from_pretrained(model)
    temperature = checked_temperature(temperature)
    batch = crystal_list(crystals) if is_collection(crystals) else [crystals]
    for crystal in batch:
        if not isinstance(crystal, Carrier):
            raise ArgumentError(
                type(crystal).__name__,
                "is neither a Structure nor a ComputedStructureEntry, so it cannot carry predictions",
                "Convert it, or use CloudModel.predict.",
            )
    rows = loaded.predict(
        batch if is_collection(crystals) else crystals, properties, temperature, errors="raise"
    ).drop(columns="error")
    common = {"model": loaded.name, "temperature": temperature}
    results = [row | common for row in rows.to_dict("records")]
    if not is_collection(crystals):
        return _copy(crystals, results[0])
    return [_copy(crystal, result) for crystal, result in zip(batch, results, strict=True)]


def _copy(crystal: Carrier, results: dict[str, Any]) -> Carrier:
    copied = crystal.copy()
    structure = copied.structure if isinstance(copied, ComputedStructureEntry) else copied
    structure.properties = structure.properties | {PREFIX + name: value for name, value in results.items()}
    return copied
