"""Read the crystals in a JSON document: of pymatgen, of ASE, or of an OPTIMADE provider, alone, in entries or lists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from cloud_model.crystal.conversions import from_ase, from_pymatgen_dict
from cloud_model.crystal.crystal import Crystal, check_number_of_atoms
from cloud_model.crystal.optimade import from_optimade
from cloud_model.crystal.reading import Reading, malformed
from cloud_model.crystal.stated import (
    check_count,
    check_formula,
    check_positions,
    check_volume,
    contradiction,
)
from cloud_model.errors import CrystalError, first_line
from cloud_model.untrusted_json import parse_json

_DEEPEST = 4  # levels of lists and documents around a crystal
_DTYPES = ("bool", *(f"{kind}{bits}" for kind in ("int", "float") for bits in (32, 64)))
_OCCUPANCIES = ("occupancy", "occupancies", "spacegroup_kinds")  # arrays of Atoms that tell of disorder
_COMPOSITIONS = (
    "composition",
    "composition_reduced",
    "formula_pretty",
    "pretty_formula",
)  # of Materials Project
_INNER = ("structure", "structures", "entries", "data")


def read_json(content: bytes, label: str) -> Iterator[Reading]:
    """Read a JSON document, or one on each line."""
    text = content.decode("utf-8-sig", errors="replace")
    try:
        document = parse_json(text)
    except ValueError as error:
        try:
            first, *others = (line for line in text.splitlines() if line.strip())
            document = [parse_json(line) for line in (first, *others)] if others else None
        except ValueError:
            document = None
        if document is None:
            raise CrystalError(
                label, f"it is not JSON: {first_line(error)}", "Check that it is complete."
            ) from None
    yield from crystals_of(document, label)


def crystals_of(document: Any, label: str) -> Iterator[Reading]:
    """Find the crystals of a parsed document.

    Raises
    ------
    CrystalError
        If there are none.
    """
    rows = document.get("ids") if isinstance(document, dict) and "nextid" in document else None
    missing = [row for row in rows if str(row) not in document] if isinstance(rows, list) else []
    if missing:
        raise CrystalError(
            label, f"it lists the row {missing[0]!r:.20}, but does not hold it", "Complete it."
        )
    found = False
    for reading in _found(document, _DEEPEST):
        found = True
        yield reading
    if not found:
        raise CrystalError(
            label,
            "its JSON holds no crystal of pymatgen, ASE or OPTIMADE",
            "Write what Structure.as_dict() gives.",
        )


def _found(document: Any, depth: int) -> Iterator[Reading]:
    if isinstance(document, list) and depth:
        for entry in document:
            yield from _found(entry, depth - 1)
    if not isinstance(document, dict):
        return
    if "sites" in document:
        yield partial(from_pymatgen_dict, document)
    elif "attributes" in document:
        yield partial(from_optimade, document["attributes"])
    elif "cartesian_site_positions" in document:
        yield partial(from_optimade, document)
    elif "numbers" in document and "positions" in document:
        yield partial(_from_ase_json, document)
    elif isinstance(document.get("atoms_json"), str):  # MSONAtoms of pymatgen
        yield partial(_from_ase_json, parse_json(document["atoms_json"]))
    elif depth:
        inner = [document[key] for key in _INNER if key in document]
        for entry in inner or [entry for entry in document.values() if isinstance(entry, dict)]:
            for reading in _found(entry, depth - 1):
                yield partial(_read_and_compare, reading, document) if "structure" in document else reading


def _read_and_compare(reading: Reading, document: dict[str, Any], label: str) -> Crystal:
    """Read the structure of an entry, and compare it with the composition that the entry states."""
    crystal = reading(label)
    with malformed(label, "its composition or formula is malformed", "Correct it."):
        for key in _COMPOSITIONS:
            check_formula(crystal, document.get(key), key, label)
    return crystal


def _from_ase_json(atoms: dict[str, Any], label: str) -> Crystal:
    """Convert the JSON of ``ase.io.write`` or of ``Atoms.todict``."""
    from ase import Atoms

    with malformed(label, "it is not the JSON of Atoms", "Write it with ase.io.write."):
        cell = atoms["cell"]
        stated = _array(atoms["numbers"])
        numbers = stated.astype(int)
        if not np.array_equal(numbers, stated):
            raise ValueError("atomic numbers are not whole")
        check_number_of_atoms(len(numbers), label)
        lattice = _array(cell["array"] if isinstance(cell, dict) and "array" in cell else cell)
        info = atoms.get("info")
        noted = info.get("occupancy") if isinstance(info, dict) else None
        made = Atoms(
            numbers=numbers,
            positions=_array(atoms["positions"]).astype(float),
            cell=lattice.astype(float),
            pbc=_array(atoms["pbc"]).astype(bool),
            info={"occupancy": noted} if noted else None,
        )
        for name in _OCCUPANCIES:
            if name in atoms:
                made.set_array(name, _array(atoms[name]))
        crystal = from_ase(made, label)
        check_count(len(numbers), atoms.get("natoms"), "natoms", label)
        check_formula(crystal, atoms.get("formula"), "formula", label)
        check_volume(crystal.lattice, atoms.get("volume"), "volume", label)
        for key in ("symbols", "chemical_symbols"):
            symbols = atoms.get(key)
            if isinstance(symbols, str):
                check_formula(crystal, symbols, key, label)
            elif symbols is not None and list(symbols) != made.get_chemical_symbols():
                raise contradiction(label, f"the atoms {crystal.formula} by its numbers", f"others as {key}")
        if "scaled_positions" in atoms:
            places = _array(atoms["scaled_positions"]).astype(float).reshape(-1, 3)
            check_positions(
                crystal.lattice, made.get_scaled_positions(wrap=False), places, "scaled_positions", label
            )
    return crystal


def _array(value: Any) -> Any:
    """An array, perhaps in the notation of ASE."""
    if isinstance(value, dict):
        shape, dtype, values = value["__ndarray__"]
        if dtype not in _DTYPES:  # one such as S2000000000 would take its size in memory
            raise ValueError(f"{dtype!r:.20} is no type of numbers")
        return np.array(values, dtype).reshape(shape)
    return np.array(value)
