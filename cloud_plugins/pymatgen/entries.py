"""Predictions as pymatgen's entries, entries as references, and phase diagrams of both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition
from pymatgen.core.structure import IStructure, Structure
from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry

from cloud_model.crystal.batches import crystal_list, is_collection
from cloud_model.crystal.formula import parse_formula, reduced_formula
from cloud_model.errors import ArgumentError, BatchError, CloudError, DataError, shortly
from cloud_model.model import CloudModel
from cloud_model.physics.conditions import checked_temperature
from cloud_model.scope.string import Scope
from cloud_model.stability.distances import competing_phases, distances, formation_energy, read
from cloud_model.stability.distances import stability as _stability
from cloud_model.stability.hull import Hull
from cloud_model.stability.references import ENERGIES, References, Scheme

if TYPE_CHECKING:
    import pandas as pd

Entry = ComputedEntry | PDEntry
ReferenceSource = References | PhaseDiagram | Sequence[Entry] | str | os.PathLike[str]

_MODEL = "cloud_model"  # parameter of entries whose energies are predicted formation energies
_SCHEMES: dict[str, Scheme] = {
    "MaterialsProjectCompatibility": "2018",
    "MaterialsProject2020Compatibility": "2020",
}
_FUNCTIONALS = {"GGA", "GGA+U", "GGA_U", "PBE", "PBE+U", "PBE_U"}


def stability(
    crystals: Any,
    references: ReferenceSource | None = None,
    temperature: float | None = None,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
) -> pd.DataFrame:
    """Compute energies above the hull of the known phases, decompositions and probabilities of being stable.

    Parameters
    ----------
    crystals : crystal or collection of crystals
        As `CloudModel.predict` takes them.
    references : PhaseDiagram, list of entries, References, str or path-like, optional
        Phases that crystals may decompose into: a phase diagram or the entries of one, with the energies of PBE and
        PBE+U and the corrections of the Materials Project; a CSV file, as
        `cloud_model.stability.references.References.load` reads it; or such `References`, whose ``join`` adds phases
        to others. Left out, those of the Materials Project of 2018 that ship, with the energies that were published.
    temperature : float, optional
        Add the vibrations of all phases at this temperature, K.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.

    Returns
    -------
    DataFrame
        That of `cloud_model.stability.distances.stability`.

    Raises
    ------
    CloudError
        If a single crystal cannot be read or has an element without reference; bad crystals of a collection are
        reported in the column ``error``.
    DataError
        If the references are of another functional or correction scheme, or lack an element.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> nacl = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> found = stability(nacl).iloc[0]
    >>> found.decomposition, found.known
    ({'Cl': 0.5, 'Na': 0.5}, 'mp-22862')
    """
    if references is not None:
        references = references_from(references)
    return _stability(crystals, references, temperature, model=model)


def predicted_entries(
    crystals: Any,
    temperature: float | None = None,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
) -> list[ComputedEntry]:
    """Entries for pymatgen's phase diagrams, with predicted formation energies.

    Parameters
    ----------
    crystals : crystal or collection of crystals
        As `CloudModel.predict` takes them.
    temperature : float, optional
        Add the vibrations at this temperature, K; see `phase_diagram` for references that have them too.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.

    Returns
    -------
    list of ComputedEntry
        `ComputedStructureEntry` for structures. ``energy`` is that of formation from the elements, in eV, with the
        corrections of the Materials Project of 2018, so it goes with references from `phase_diagram`, or with any
        entries whose elements have the energy zero. ``data`` holds the SCOPE string and ``cloud_energy_std``, the
        standard error of ``energy`` in eV.

    Raises
    ------
    CloudError
        If a crystal cannot be read; for a collection a `BatchError`.
    """
    loaded = CloudModel.from_pretrained(model)
    batch = crystal_list(crystals) if is_collection(crystals) else [crystals]
    described, competing = _described(batch, None, temperature, loaded)
    rows = distances(described, competing, temperature, loaded)
    name = competing.property_of(loaded)
    errors = loaded.predict_arrays([scope.to(loaded.dialect) for scope in described], [name])[f"{name}_std"]
    return [
        _entry(crystal, scope, formation_energy(row), float(error), loaded.name, temperature)
        for crystal, scope, row, error in zip(batch, described, rows, errors, strict=True)
    ]


def phase_diagram(
    of: str | Iterable[str] | Sequence[Entry],
    references: ReferenceSource | None = None,
    temperature: float | None = None,
    *,
    model: str | os.PathLike[str] | CloudModel | None = None,
) -> PhaseDiagram:
    """Make pymatgen's phase diagram of reference phases, and of entries among them.

    Parameters
    ----------
    of : str, list of str or list of entries
        A chemical system, ``"Li-Mn-O"`` or ``["Li", "Mn", "O"]``; or entries. Those of `predicted_entries` join the
        references of their elements; those of one's own replace the references.
    references : PhaseDiagram, list of entries, References, str or path-like, optional
        As for `stability`. Left out, the phases that ship.
    temperature : float, optional
        Add the vibrations of the references at this temperature, K.
    model : str, path-like or CloudModel, optional
        Name or directory of a checkpoint, or a loaded model; the default checkpoint if left out.

    Returns
    -------
    PhaseDiagram
        The energies of its entries are formation energies, eV for the whole entry; Gibbs energies of formation if there
        is a temperature.

    Raises
    ------
    DataError
        If an element is unknown or has no reference, there are none, or the references are of another scheme.

    Examples
    --------
    >>> diagram = phase_diagram("Na-Cl")
    >>> sorted(entry.reduced_formula for entry in diagram.stable_entries)
    ['Cl2', 'Na', 'NaCl']
    """
    items = of.split("-") if isinstance(of, str) else list(of) if isinstance(of, Iterable) else [of]
    if strange := [item for item in items if not isinstance(item, str | Entry)]:
        raise ArgumentError(
            f"item {shortly(strange[0])}",
            "is neither an element nor an entry of pymatgen",
            "Give elements, or what predicted_entries makes of crystals.",
        )
    entries = [item for item in items if not isinstance(item, str)]
    elements = [item for item in items if isinstance(item, str)]
    if entries and elements:
        raise ArgumentError("phase_diagram", "got elements and entries", "Give one or the other.")
    own = [entry for entry in entries if not _is_predicted(entry)]
    if own and references is not None:
        raise ArgumentError(
            own[0].composition.reduced_formula,
            "is not an entry of predicted_entries, and there are references already",
            "Give entries of your own as references.",
        )
    source = own or references
    phases = References.load() if source is None else references_from(source)
    predicted = [entry for entry in entries if _is_predicted(entry)]
    phases = phases.within(elements or {str(element) for entry in entries for element in entry.composition})
    if temperature is not None:
        phases = phases.at_temperature(CloudModel.from_pretrained(model), checked_temperature(temperature))
    return PhaseDiagram([*reference_entries(phases), *predicted])


def reference_entries(phases: References) -> list[ComputedEntry]:
    """Entries of references, with energies of formation from their elements in eV."""
    return [
        ComputedEntry(
            Composition(formula), energy * sum(parse_formula(formula).values()), entry_id=identifier
        )
        for identifier, formula, energy in zip(
            phases.ids, phases.formulas, Hull(phases).formation_energies().tolist(), strict=True
        )
    ]


def references_from(source: ReferenceSource) -> References:
    """References of a phase diagram, of entries, of a CSV file, or as they are.

    Raises
    ------
    DataError
        If an element has no entry of its own, or the energies are of another functional or correction scheme.
    """
    if isinstance(source, References):
        return source
    if isinstance(source, str | os.PathLike):
        references = References.load(source)
    else:
        entries = list(source.all_entries if isinstance(source, PhaseDiagram) else source)
        references = _references_of_entries(entries)
    references.check_energies(References.load())
    return references


def _references_of_entries(entries: Sequence[Entry]) -> References:
    if not entries:
        raise DataError("The references", "hold no entries", "Give at least one for each element.")
    scheme = _scheme(entries)
    elements: dict[str, float] = {}
    for entry in entries:
        if entry.composition.is_element:
            symbol = str(entry.composition.elements[0])
            elements[symbol] = min(entry.energy_per_atom, elements.get(symbol, np.inf))
    missing = {str(element) for entry in entries for element in entry.composition} - elements.keys()
    if missing:
        raise DataError(
            ", ".join(sorted(missing)), "has no entry of its own among the references", "Add the elements."
        )
    records = [_record(entry, elements, ENERGIES[scheme]) for entry in entries]
    return References.from_records("the entries given", records, scheme)


def _record(entry: Entry, elements: dict[str, float], name: str) -> dict[str, Any]:
    counts = {str(element): amount for element, amount in entry.composition.items()}
    if any(amount != round(amount) for amount in counts.values()):
        raise DataError(entry.composition.formula, "has fractions of atoms", "Give ordered compositions.")
    whole = {element: round(amount) for element, amount in counts.items()}
    reference = sum(number * elements[element] for element, number in whole.items())
    structure = getattr(entry, "structure", None)
    data = getattr(entry, "data", {})
    scope = data.get("scope", "") if structure is None else str(Scope.from_crystal(structure, "sites"))
    return {
        "id": getattr(entry, "entry_id", None) or getattr(entry, "name", None),
        "formula": reduced_formula(whole),
        name: (entry.energy - reference) / sum(whole.values()),
        "scope": scope,
    }


def _scheme(entries: Sequence[Entry]) -> Scheme:
    """Correction scheme that the entries say of themselves; that of 2018 if they say nothing."""
    schemes: set[Scheme] = set()
    for entry in entries:
        run_type = getattr(entry, "parameters", {}).get("run_type")
        if run_type is not None and run_type not in _FUNCTIONALS:
            raise DataError(
                f"{entry.composition.reduced_formula}",
                f"was calculated with {run_type}",
                "Give entries of PBE and PBE+U, which the model was trained on.",
            )
        for adjustment in getattr(entry, "energy_adjustments", ()):
            origin = adjustment.cls.get("@class") if isinstance(adjustment.cls, dict) else None
            if origin is not None and origin not in _SCHEMES:
                raise DataError(
                    f"{entry.composition.reduced_formula}",
                    f"was corrected by {origin}",
                    f"Use one of {', '.join(_SCHEMES)}.",
                )
            if origin is not None:
                schemes.add(_SCHEMES[origin])
    if len(schemes) > 1:
        raise DataError(
            "The references", "mix the Materials Project's corrections of 2018 and 2020", "Use one of them."
        )
    return schemes.pop() if schemes else "2018"


def _is_predicted(entry: Entry) -> bool:
    return _MODEL in getattr(entry, "parameters", {})


def _described(
    batch: list[Any], references: References | None, temperature: float | None, model: CloudModel
) -> tuple[list[Scope], References]:
    good, failures = read(batch, model, references or References.load())
    if failures:
        single: CloudError | None = failures.get(0) if len(batch) == 1 else None
        raise single or BatchError(failures, len(batch))
    described = list(good.values())
    return described, competing_phases(described, references, temperature, model)


def _entry(
    crystal: Any, scope: Scope, energy: float, error: float, model: str, temperature: float | None
) -> ComputedEntry:
    structure: Any = crystal.structure if isinstance(crystal, ComputedStructureEntry) else crystal
    parameters = {_MODEL: model, "temperature": temperature}
    data: dict[str, Any] = {"scope": str(scope)}
    if isinstance(structure, IStructure):
        structure = Structure.from_sites(structure)
        n_atoms = len(structure)
        data["cloud_energy_std"] = error * n_atoms
        return ComputedStructureEntry(structure, energy * n_atoms, parameters=parameters, data=data)
    n_atoms = sum(parse_formula(scope.formula).values())
    data["cloud_energy_std"] = error * n_atoms
    return ComputedEntry(Composition(scope.formula), energy * n_atoms, parameters=parameters, data=data)
