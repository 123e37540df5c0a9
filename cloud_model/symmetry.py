"""Space group and Wyckoff positions of a crystal, by moyopy or spglib."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from math import isfinite
from typing import Any, Literal, NamedTuple, get_args

from cloud_model.crystals import Crystal
from cloud_model.elements import SYMBOLS
from cloud_model.errors import ArgumentError, CrystalError, SymmetryError
from cloud_model.space_groups import space_group

Engine = Literal["moyopy", "spglib"]
DEFAULT_ENGINE: Engine = "moyopy"

MAX_ATOMS: dict[Engine, int] = {"moyopy": 15_000, "spglib": 5_000}
"""Atoms in the largest cell that an engine searches within about a minute; its time grows as their square."""

# operations that a supercell does not share with its primitive cell, which SCOPE does not use
logging.getLogger("moyo").setLevel(logging.ERROR)


class Symmetry(NamedTuple):
    """Result of a symmetry search.

    Attributes
    ----------
    number : int
        International number of the space group.
    letters : list of str
        Wyckoff letter of each atom of the crystal.
    n_conventional : int
        Number of atoms in the conventional cell.
    """

    number: int
    letters: list[str]
    n_conventional: int


def check_search(symprec: float, engine: str) -> None:
    """Raise an `ArgumentError` unless these are a positive length and the name of an engine."""
    if engine not in get_args(Engine):
        raise ArgumentError(
            f"engine {engine!r}", "it is unknown", f"Choose one of {', '.join(get_args(Engine))}."
        )
    if not (symprec > 0 and isfinite(symprec)):
        raise ArgumentError(
            f"symprec {symprec!r}", "it is not positive", "Give a length in Angstrom, such as 0.01."
        )


def find_symmetry(
    crystal: Crystal, symprec: float, engine: Engine = DEFAULT_ENGINE, angle_tolerance: float = -1.0
) -> Symmetry:
    """Search the symmetry of a crystal.

    Parameters
    ----------
    crystal : Crystal
    symprec : float
        How far atoms and lattice vectors may be from where symmetry puts them, in Angstrom.
    engine : {'moyopy', 'spglib'}
    angle_tolerance : float
        Of lattice angles, in degrees; used by spglib, which derives it from ``symprec`` if negative.

    Raises
    ------
    CrystalError
        If the cell has more than ``MAX_ATOMS`` atoms.
    SymmetryError
        If the engine fails.
    """
    if len(crystal) > MAX_ATOMS[engine]:
        raise CrystalError(
            crystal.name,
            f"its cell has {len(crystal)} atoms and {engine} can search {MAX_ATOMS[engine]}",
            "Use its primitive cell.",
        )
    if engine == "moyopy":
        return _moyopy(crystal, symprec)
    return _spglib(crystal, symprec, angle_tolerance)


def orbits_of(crystal: Crystal, symmetry: Symmetry) -> list[tuple[str, str]]:
    """Return Wyckoff letter and element of each orbit, repeats kept.

    Raises
    ------
    SymmetryError
        If the letters that the engine gave to the atoms do not make whole orbits.
    """
    number, letters, n_conventional = symmetry
    multiplicities = space_group(number).multiplicities
    found: list[tuple[str, str]] = []
    for (letter, z), count in Counter(zip(letters, crystal.numbers.tolist(), strict=True)).items():
        n_orbits, rest = divmod(count * n_conventional, multiplicities[letter] * len(crystal))
        if rest:
            raise _failure(crystal, f"position {letter} of space group {number} is partly filled")
        found += [(letter, SYMBOLS[z - 1])] * n_orbits
    return found


def _moyopy(crystal: Crystal, symprec: float) -> Symmetry:
    from moyopy import Cell, MoyoDataset

    cell = Cell(crystal.lattice.tolist(), crystal.positions.tolist(), crystal.numbers.tolist())
    try:
        dataset = MoyoDataset(cell, symprec=symprec)
    except ValueError as error:
        raise _failure(crystal, str(error)) from None
    return Symmetry(dataset.number, dataset.wyckoffs, dataset.std_cell.num_atoms)


def _spglib(crystal: Crystal, symprec: float, angle_tolerance: float) -> Symmetry:
    import spglib

    cell: Any = (crystal.lattice, crystal.positions, crystal.numbers)
    try:
        with warnings.catch_warnings():  # that it will raise an error instead of returning None
            warnings.simplefilter("ignore", DeprecationWarning)
            dataset = spglib.get_symmetry_dataset(cell, symprec, angle_tolerance)
    except spglib.SpglibError as error:
        raise _failure(crystal, str(error)) from None
    if dataset is None:
        raise _failure(crystal, spglib.get_error_message())
    return Symmetry(dataset.number, dataset.wyckoffs, len(dataset.std_types))


def _failure(crystal: Crystal, reason: str) -> SymmetryError:
    return SymmetryError(
        crystal.name, f"the symmetry search failed: {reason}", "Try another symprec, or the other engine."
    )
