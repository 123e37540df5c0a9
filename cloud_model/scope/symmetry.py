"""Space group and Wyckoff positions of a crystal, by moyopy or spglib."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from cloud_model.arguments import checked_number
from cloud_model.bounded_cache import BoundedCache
from cloud_model.confined import confined
from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.elements import SYMBOLS
from cloud_model.errors import CrystalError, SymmetryError, check_choice
from cloud_model.scope.primitive import primitive_cell
from cloud_model.scope.space_groups import space_group

Array = NDArray[np.float64]
Engine = Literal["moyopy", "spglib"]
Search = Callable[[Crystal, float], "Symmetry"]
_ENGINES = get_args(Engine)
DEFAULT_ENGINE: Engine = "moyopy"

MAX_ATOMS: dict[Engine, int] = {"moyopy": 15_000, "spglib": 500}
"""Atoms of the largest cell without a smaller one that an engine searches; its time grows as their square. A cell of
1,000 atoms with a vacancy takes moyopy 1 s and spglib 14 s."""

LARGEST_TOLERANCE = 1.0
"""Largest tolerance of a search in Angstrom, of the length of a bond."""

SMALLEST_SUPERCELL = 128
"""Atoms from which a cell is reduced to its primitive one before the search."""

SAME_PLACE = 0.1
"""Tolerance of that in those of the search: what is less periodic is left to the engine."""

CONFINED = 256
"""Atoms from which a search is done in a process of its own, which can be ended."""

FOUND: BoundedCache[tuple[bytes, float, str], Symmetry] = BoundedCache(4096)
"""Results of the latest searches, by geometry, tolerance and name. Clear it to time a search."""


class _Ours(threading.local):
    """Whether this thread is in a search of ours."""

    searching = False


_ours = _Ours()
# moyo warns of operations that a supercell does not share with its primitive cell, which SCOPE does not use
logging.getLogger("moyo").addFilter(lambda record: record.levelno != logging.WARNING or not _ours.searching)


class Symmetry(NamedTuple):
    """Result of a symmetry search.

    Attributes
    ----------
    number : int
        International number of the space group.
    letters : str
        Wyckoff letter of each atom of the crystal.
    n_conventional : int
        Number of atoms in the conventional cell.
    """

    number: int
    letters: str
    n_conventional: int


def check_search(symprec: Any, engine: str) -> None:
    """Raise an `ArgumentError` unless these are a positive length and the name of an engine."""
    check_choice("engine", engine, _ENGINES)
    checked_number(
        "symprec", symprec, 0, "Give a length in Angstrom, such as 0.01.", above=True, most=LARGEST_TOLERANCE
    )


def find_symmetry(crystal: Crystal, symprec: float, engine: Engine = DEFAULT_ENGINE) -> Symmetry:
    """Search the highest symmetry of a crystal within a tolerance.

    Both engines answer the same question, by moyopy's criterion: an operation, its translation fitted to all atoms,
    takes each atom to within ``symprec`` of a like one. spglib by itself fixes the translation by one atom, so that
    its answer to borderline cases depends on the choice of cell and origin; here it gets the primitive cell, searches
    up to twice the tolerance, and what it finds is held against the criterion. Where moyopy finds no group at this
    tolerance and would lower it (0.3% of crystals of the Materials Project), spglib decides as well.

    Parameters
    ----------
    crystal : Crystal
    symprec : float
        Tolerance in Angstrom.
    engine : {'moyopy', 'spglib'}

    Raises
    ------
    CrystalError
        If the cell has more than ``MAX_ATOMS`` atoms.
    SymmetryError
        If the engine fails.
    """
    search = _search_with_spglib if engine == "spglib" else _search_with_moyopy
    if len(crystal) < SMALLEST_SUPERCELL:
        return search(crystal, symprec)
    reduced, images = primitive_cell(crystal, SAME_PLACE * symprec)
    _check_size(reduced, engine)
    found = _bounded(search, reduced, symprec)
    return found._replace(letters="".join(found.letters[image] for image in images))


def find_published_symmetry(crystal: Crystal, symprec: float) -> Symmetry:
    """Search the symmetry as the published code of CLOUD does: plain spglib with the settings of pymatgen.

    Raises
    ------
    CrystalError, SymmetryError
        As `find_symmetry`.
    """
    _check_size(crystal, "spglib")
    return _bounded(_search_as_published, crystal, symprec)


def _search_as_published(crystal: Crystal, symprec: float) -> Symmetry:
    dataset = _spglib(crystal, symprec, angle_tolerance=5.0)
    return Symmetry(dataset.number, "".join(dataset.wyckoffs), len(dataset.std_types))


def recall_symmetry(search: Search, crystal: Crystal, symprec: float, name: str) -> Symmetry:
    """Do a search, unless the one of this name was done for the same geometry.

    Elements enter by the order of their numbers alone: a crystal with others in their places has the same symmetry.
    """
    key = _geometry(crystal), symprec, name
    found = FOUND.get(key)
    if found is None:
        found = FOUND[key] = search(crystal, symprec)
    return found


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


def _geometry(crystal: Crystal) -> bytes:
    """Digest of what a symmetry search sees: the cell, the positions, and which atoms are of one element."""
    numbers = crystal.numbers.tolist()
    ranks = {number: rank for rank, number in enumerate(sorted(set(numbers)))}
    kinds = bytes([ranks[number] for number in numbers])
    return blake2b(crystal.lattice.tobytes() + crystal.positions.tobytes() + kinds, digest_size=16).digest()


def _bounded(search: Search, crystal: Crystal, symprec: float) -> Symmetry:
    """Do a search of a large cell in a process that can be ended."""
    if len(crystal) < CONFINED:
        return search(crystal, symprec)
    try:
        found: Symmetry = confined(search, crystal, symprec)
    except (TimeoutError, MemoryError) as error:
        raise SymmetryError(
            crystal.name,
            f"the symmetry of its {len(crystal)} atoms cannot be found: {error}",
            "Use its primitive cell, and no small displacements.",
        ) from None
    return found


def _search_with_moyopy(crystal: Crystal, symprec: float) -> Symmetry:
    import moyopy

    cell = moyopy.Cell(crystal.lattice.tolist(), crystal.positions.tolist(), crystal.numbers.tolist())
    try:
        _ours.searching = True
        dataset = moyopy.MoyoDataset(cell, symprec=symprec)
    except ValueError as error:
        raise _failure(crystal, str(error)) from None
    finally:
        _ours.searching = False
    if dataset.symprec < symprec and len(crystal) <= MAX_ATOMS["spglib"]:
        return _search_with_spglib(crystal, symprec)
    return Symmetry(dataset.number, "".join(dataset.wyckoffs), dataset.std_cell.num_atoms)


def _search_with_spglib(crystal: Crystal, symprec: float) -> Symmetry:
    reduced, images = primitive_cell(
        crystal, symprec
    )  # as moyopy does, whose operations are those of mean places
    for step in range(10):
        with suppress(SymmetryError):  # it may fail at one tolerance and not at the next
            dataset = _spglib(reduced, 2 * symprec * 0.75**step)
            if _fits(reduced, dataset, symprec):
                letters = "".join(dataset.wyckoffs[image] for image in images)
                return Symmetry(dataset.number, letters, len(dataset.std_types))
    raise _failure(crystal, "spglib finds no symmetry that fits")


def _spglib(crystal: Crystal, symprec: float, angle_tolerance: float = -1.0) -> Any:
    import spglib

    cell: Any = (crystal.lattice, crystal.positions, crystal.numbers)
    try:
        with warnings.catch_warnings():  # that it will raise an error instead of returning None
            warnings.simplefilter("ignore", DeprecationWarning)
            dataset = spglib.get_symmetry_dataset(cell, symprec, angle_tolerance)
    except spglib.SpglibError as error:
        raise _failure(crystal, str(error)) from None
    if dataset is None:
        raise _failure(crystal, "spglib found none")
    return dataset


def _fits(crystal: Crystal, dataset: Any, symprec: float) -> bool:
    """Whether the operations that spglib found hold within the tolerance: one of each rotation, all translations."""
    from moyopy import minkowski_reduce

    rotations, where = np.unique(dataset.rotations, axis=0, return_index=True)
    to_cartesian = crystal.lattice.T
    cartesian = to_cartesian @ rotations @ np.linalg.inv(to_cartesian)
    basis = np.array(minkowski_reduce(dataset.primitive_lattice.tolist())[0])
    pure = np.flatnonzero((dataset.rotations == np.eye(3)).all(axis=(1, 2)))
    chosen = np.union1d(where, pure)
    return _lattice_fits(basis, cartesian, symprec) and _atoms_fit(
        crystal, dataset.rotations[chosen], dataset.translations[chosen], symprec
    )


def _lattice_fits(basis: Array, rotations: Array, symprec: float) -> bool:
    """Whether rotations keep the lengths of lattice vectors, and their angles times the lengths."""
    images = basis @ rotations.transpose(0, 2, 1)
    first, second = [0, 1, 2], [1, 2, 0]

    def lengths_and_angles(vectors: Array) -> tuple[Array, Array]:
        lengths = np.linalg.norm(vectors, axis=-1)
        dots = (vectors[..., first, :] * vectors[..., second, :]).sum(axis=-1)
        return lengths, np.arccos(np.clip(dots / (lengths[..., first] * lengths[..., second]), -1, 1))

    lengths, angles = lengths_and_angles(basis)
    image_lengths, image_angles = lengths_and_angles(images)
    turns = np.sin(image_angles - angles) * (lengths[first] + lengths[second]) / 2
    return bool((np.abs(image_lengths - lengths) <= symprec).all() and (np.abs(turns) <= symprec).all())


def _atoms_fit(crystal: Crystal, rotations: Array, translations: Array, symprec: float) -> bool:
    """Whether operations, their translations fitted, take each atom to near a like one."""
    from scipy.spatial import cKDTree

    positions = crystal.positions
    tree = cKDTree(positions % 1 % 1, boxsize=1)  # -1e-20 % 1 is 1
    for rotation, translation in zip(rotations, translations, strict=True):
        images = positions @ rotation.T + translation
        nearest = tree.query(images % 1 % 1)[1]
        offsets = images - positions[nearest]
        vectors = (offsets - np.rint(offsets)) @ crystal.lattice
        misses = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        if misses.max() > symprec or (crystal.numbers[nearest] != crystal.numbers).any():
            return False
    return True


def _check_size(crystal: Crystal, engine: Engine) -> None:
    if len(crystal) > MAX_ATOMS[engine]:
        raise CrystalError(
            crystal.name,
            f"its cell has {len(crystal)} atoms and {engine} can search {MAX_ATOMS[engine]}",
            "Use its primitive cell.",
        )


def _failure(crystal: Crystal, reason: str) -> SymmetryError:
    return SymmetryError(
        crystal.name, f"the symmetry search failed: {reason}", "Try another symprec, or the other engine."
    )
