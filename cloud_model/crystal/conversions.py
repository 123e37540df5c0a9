"""Crystals from the objects of ASE and pymatgen."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.crystal import (
    Crystal,
    formula_of,
    no_atoms,
    no_element,
    no_volume,
    volume_and_normals,
)
from cloud_model.crystal.elements import ATOMIC_NUMBERS
from cloud_model.errors import CloudWarning, CrystalError, DisorderedCrystalError

_STRUCTURE = ("pymatgen.core.structure", "IStructure")


def from_object(crystal: Any) -> Crystal:
    """Convert a crystal of another library, without importing that library.

    Parameters
    ----------
    crystal : ase.Atoms, pymatgen Structure, its dict, or ComputedStructureEntry
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
    if _is_disordered(atoms):
        raise disordered(label or formula_of(atoms.numbers))
    lattice = atoms.cell.array
    volume, normals = volume_and_normals(lattice.tolist())
    if not volume:
        raise no_volume(label or formula_of(atoms.numbers)) if len(atoms) else no_atoms(label or "Atoms")
    with np.errstate(all="ignore"):  # values that are not finite are found below
        positions = atoms.positions @ (np.array(normals) / volume).T
    crystal = Crystal(lattice, positions, atoms.numbers, label)
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
    shares = [share for site in structure for share in site.species.items()]
    if len(shares) != len(structure) or any(amount != 1 for _, amount in shares):
        raise disordered(label or structure.formula)
    numbers = _atomic_numbers([species.symbol for species, _ in shares], label)
    crystal = Crystal(structure.lattice.matrix, structure.frac_coords, numbers, label)
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
    try:
        lattice = np.array(structure["lattice"]["matrix"], dtype=float).reshape(3, 3)
        positions = np.array([site["abc"] for site in structure["sites"]], dtype=float).reshape(-1, 3)
        species = [site["species"] for site in structure["sites"]]
        ordered = all(len(shared) == 1 and shared[0]["occu"] == 1 for shared in species)
        symbols = [str(shared[0]["element"]) for shared in species]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise CrystalError(
            label or "dict",
            f"it is not a pymatgen Structure: {error!r}",
            "Pass what Structure.as_dict() gives.",
        ) from None
    if not ordered:
        raise disordered(label or "dict")
    return Crystal(lattice, positions, _atomic_numbers(symbols, label), label)


def disordered(label: str) -> DisorderedCrystalError:
    """Return the error about a crystal with partial occupancies."""
    return DisorderedCrystalError(
        label,
        "some sites are partly occupied or shared by elements, which SCOPE cannot describe",
        "Order it first, for example with OrderDisorderedStructureTransformation of "
        "pymatgen.transformations.standard_transformations.",
    )


def _is_disordered(atoms: Any) -> bool:
    """Whether a reader of ASE noted partial occupancies, in ``info`` or as an array."""
    sites = atoms.info.get("occupancy")
    if isinstance(sites, dict) and any(
        len(site) != 1 or abs(sum(site.values()) - 1) > 1e-3 for site in sites.values()
    ):
        return True
    arrays = [atoms.arrays[name] for name in ("occupancy", "occupancies") if name in atoms.arrays]
    return any(not (np.abs(array - 1) <= 1e-3).all() for array in arrays)


def _is_instance(crystal: object, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(crystal, getattr(loaded, name))


def _atomic_numbers(symbols: list[str], label: str) -> NDArray[np.int64]:
    try:
        return np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols], dtype=np.int64)
    except KeyError as error:
        raise no_element(label or "crystal", str(error.args[0])) from None


def _warn_unless_periodic(crystal: Crystal, periodic: Sequence[bool]) -> None:
    if not all(periodic):
        warnings.warn(
            f"{crystal.name}: it is not periodic along every axis; CLOUD describes it as a bulk crystal.",
            CloudWarning,
            stacklevel=2,
        )
