"""Crystals from the objects of ASE, pymatgen and phonopy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cell import volume_and_normals
from cloud_model.crystal.crystal import (
    Crystal,
    check_coordinates,
    formula_of,
    no_atoms,
    no_element,
    no_volume,
)
from cloud_model.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from cloud_model.crystal.occupancies import filled_sites, shared_sites, sole_element
from cloud_model.crystal.reading import malformed
from cloud_model.crystal.stated import VOLUME, check_positions, check_volume, contradiction
from cloud_model.errors import CrystalError, DisorderedCrystalError, warn_user

_NOTES = {"occupancy", "occupancies"}  # names under which readers of ASE note them
_STRUCTURE = ("pymatgen.core.structure", "IStructure")


def from_object(crystal: Any) -> Crystal:
    """Convert a crystal of another library, without importing that library.

    Parameters
    ----------
    crystal : ase.Atoms, pymatgen Structure, its dict, ComputedStructureEntry, or PhonopyAtoms
        Or a `Crystal`, which is returned.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        If it is not a crystal, or not a physical one.
    """
    if isinstance(crystal, Crystal):
        return crystal
    if _is_instance(crystal, "ase.atoms", "Atoms"):
        return from_ase(crystal)
    if _is_instance(crystal, *_STRUCTURE):
        return from_pymatgen(crystal)
    if _is_instance(entry_structure := getattr(crystal, "structure", None), *_STRUCTURE):
        return from_pymatgen(entry_structure)
    if _is_instance(crystal, "phonopy.structure.atoms", "PhonopyAtoms"):
        return Crystal(crystal.cell, crystal.scaled_positions, np.array(crystal.numbers, dtype=np.int64))
    if isinstance(crystal, dict):
        return from_pymatgen_dict(crystal)
    raise CrystalError(
        f"an object of type {type(crystal).__name__}",
        "it is not a crystal",
        "Pass ASE Atoms, a pymatgen Structure, a file name or a SCOPE string.",
    )


def from_ase(atoms: Any, label: str = "") -> Crystal:
    """Convert ``ase.Atoms``.

    Raises
    ------
    DisorderedCrystalError
        If ASE noted partial occupancies; of such sites it keeps the majority element only.
    CrystalError
        As `Crystal` does, and if there is no cell.
    """
    lattice = atoms.cell.array
    volume, normals = volume_and_normals(lattice.tolist())
    if not volume:
        raise no_volume(label or formula_of(atoms.numbers)) if len(atoms) else no_atoms(label or "Atoms")
    inverse = np.array([[x / volume for x in normal] for normal in normals]).T
    with np.errstate(over="ignore", invalid="ignore"):  # values that are not finite are found below
        positions = atoms.positions.dot(inverse)
    numbers = atoms.numbers
    if shares := _noted_occupancies(atoms, label):
        check_coordinates(positions, label or formula_of(numbers))
        rows, shares = shared_sites(positions, shares, lattice)
        positions, numbers = filled_sites(lattice, positions[rows], shares, label or formula_of(numbers))
    crystal = Crystal(lattice, positions, numbers, label)
    _warn_unless_periodic(crystal, atoms.pbc)
    return crystal


def from_pymatgen(structure: Any, label: str = "") -> Crystal:
    """Convert a pymatgen ``Structure``.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        As `Crystal` does.
    """
    name = label or ("Structure" if structure.is_ordered else structure.formula)
    shares = [
        _shares([(species.symbol, amount) for species, amount in site.species.items()], name)
        for site in structure
    ]
    lattice = structure.lattice.matrix
    crystal = Crystal(lattice, *filled_sites(lattice, structure.frac_coords, shares, name), label)
    _warn_unless_periodic(crystal, structure.lattice.pbc)
    return crystal


def from_pymatgen_dict(structure: dict[str, Any], label: str = "") -> Crystal:
    """Convert the ``as_dict()`` of a pymatgen ``Structure``.

    Raises
    ------
    DisorderedCrystalError
        If a site is not fully occupied by one element.
    CrystalError
        As `Crystal` does, and if it is another dictionary.
    """
    name = label or "dict"
    with malformed(name, "it is not a pymatgen Structure", "Pass what Structure.as_dict() gives."):
        lattice = np.array(structure["lattice"]["matrix"], dtype=float).reshape(3, 3)
        positions = np.array([site["abc"] for site in structure["sites"]], dtype=float).reshape(-1, 3)
        shares = [
            [(share["element"], float(share["occu"])) for share in site["species"]]
            for site in structure["sites"]
        ]
        sites = filled_sites(lattice, positions, [_shares(site, name) for site in shares], name)
        crystal = Crystal(lattice, *sites, label)
        _compare(lattice, positions, structure, name)
        _warn_unless_periodic(crystal, structure["lattice"].get("pbc", ()))
    return crystal


def _compare(
    lattice: NDArray[np.float64], positions: NDArray[np.float64], structure: dict[str, Any], label: str
) -> None:
    """Compare cell and positions with what the dictionary says twice; labels are free names."""
    cell = structure["lattice"]
    if "a" in cell:
        lengths = np.linalg.norm(lattice, axis=1)
        stated = np.array([cell["a"], cell["b"], cell["c"]], dtype=float)
        if (np.abs(stated - lengths) > VOLUME * lengths).any():
            raise contradiction(
                label, f"lattice vectors of {_words(lengths)} Angstrom", f"{_words(stated)} as a, b and c"
            )
    check_volume(lattice, cell.get("volume"), "volume", label)
    places = [site["xyz"] for site in structure["sites"] if "xyz" in site]
    if len(places) == len(positions):
        stated = np.linalg.solve(lattice.T, np.array(places, dtype=float).T).T
        check_positions(lattice, positions, stated, "xyz", label)


def _words(numbers: NDArray[np.float64]) -> str:
    return " ".join(f"{number:.4g}" for number in numbers.tolist())


def _shares(shares: list[tuple[Any, float]], label: str) -> list[tuple[int, float]]:
    """Atomic numbers and occupancies of a site by its symbols."""
    for symbol, _ in shares:
        if not isinstance(symbol, str) or symbol not in ATOMIC_NUMBERS:
            raise no_element(label, str(symbol))
    return [(ATOMIC_NUMBERS[symbol], amount) for symbol, amount in shares]


def _noted_occupancies(atoms: Any, label: str) -> list[list[tuple[int, float]]]:
    """Elements and occupancies of each atom, if a reader of ASE noted them in ``info`` or as an array."""
    if isinstance(atoms.info, dict) and _NOTES.isdisjoint((*atoms.info, *atoms.arrays)):
        return []
    with malformed(
        label or formula_of(atoms.numbers),
        "its occupancies, in atoms.info or atoms.arrays, are not numbers for each atom",
        "Correct or remove them.",
    ):
        return _read_occupancies(atoms, label)


def _read_occupancies(atoms: Any, label: str) -> list[list[tuple[int, float]]]:
    kinds = atoms.info.get("occupancy")
    if isinstance(kinds, dict):
        label = label or formula_of(atoms.numbers)
        shares = {
            str(kind): [(number, float(amount)) for number, amount in _shares(list(site.items()), label)]
            for kind, site in kinds.items()
        }
        of_atoms = [str(kind) for kind in atoms.arrays.get("spacegroup_kinds", ())]
        if of_atoms and shares.keys() >= set(of_atoms):
            noted = [
                _site(number, shares[kind], label)
                for number, kind in zip(atoms.numbers.tolist(), of_atoms, strict=True)
            ]
            full = [[(number, 1.0)] for number in atoms.numbers.tolist()]
            return noted if noted != full else []
        for site in shares.values():  # of which atoms is not known
            sole_element(site, label)
    for name in sorted(_NOTES):
        if name in atoms.arrays:
            pairs = zip(atoms.numbers.tolist(), atoms.arrays[name].tolist(), strict=True)
            return [[(number, float(amount))] for number, amount in pairs]
    return []


def _site(number: int, noted: list[tuple[int, float]], label: str) -> list[tuple[int, float]]:
    """Elements and occupancies of an atom by a note, which outlives that another element is put in its place."""
    try:
        sole_element(noted, label)
    except DisorderedCrystalError:
        if number in dict(noted):
            return noted
        elements = " and ".join(SYMBOLS[element - 1] for element, _ in noted)
        raise CrystalError(
            label,
            f"an atom is {SYMBOLS[number - 1]} where atoms.info['occupancy'] has {elements}",
            "Remove the note if the atoms are right.",
        ) from None
    return [(number, 1.0)]


def _is_instance(crystal: object, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(crystal, getattr(loaded, name))


def _warn_unless_periodic(crystal: Crystal, periodic: Sequence[bool]) -> None:
    if not all(periodic):
        warn_user(
            f"{crystal.name}: it is not periodic along every axis; CLOUD describes it as a bulk crystal."
        )
