"""The symmetry operations that a CIF states: listed, or those of a space group by number or symbol.

A number and most symbols leave open the axes or the origin. The cell decides first; what it leaves open is for the
atoms to decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud_model.crystal.cif_syntax import UNKNOWN, Block, MalformedCifError, first_words
from cloud_model.crystal.settings import (
    Tiers,
    chosen,
    setting_name,
    setting_operations,
    settings,
    settings_named,
    settings_of_hall_symbol,
    settings_of_number,
    settings_of_operations,
)
from cloud_model.crystal.symmetry_operations import IDENTITY, STRAIN, Operations, read_operations

_LISTED = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_CENTRINGS = "_space_group_symop_magn_centering_xyz"
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number", "_symmetry_group_it_number")
_SYMBOLS = (
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h-m",
)
_HALL_SYMBOLS = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_CODE = "_space_group_it_coordinate_system_code"
_NAMES = (*_NUMBERS, *_SYMBOLS, *_HALL_SYMBOLS)
_MODULATED = (
    "_cell_modulation_dimension",
    "_cell_wave_vector_",
    "_space_group_ssg_",
    "_space_group_symop_ssg_",
    "_atom_site_fourier_",
    "_atom_site_displace_",
    "_atom_site_occ_",
    "_cell_subsystem",
)
_STRICT = STRAIN / 5  # for the cell to prefer a setting

LIST_OPERATIONS = "Listing its symmetry operations (_space_group_symop_operation_xyz) always helps."


class Candidate(NamedTuple):
    """Operations that a CIF may mean.

    Attributes
    ----------
    name : str
        Name of their setting; empty if they are listed, or none are stated.
    operations : Operations
    """

    name: str
    operations: Operations


def stated_symmetry(block: Block, lattice: NDArray[np.float64]) -> list[Candidate]:
    """Find the operations that a CIF may mean: more than one if it leaves open the axes or the origin.

    Parameters
    ----------
    block : dict
    lattice : array of float (3, 3)

    Returns
    -------
    list of Candidate
        None if the file says nothing about symmetry.

    Raises
    ------
    MalformedCifError
        If it contradicts itself, or the cell does not have the symmetry.
    """
    if any(tag.startswith(_MODULATED) and set(block[tag]) - {*UNKNOWN, "0"} for tag in block):
        raise MalformedCifError(
            "it describes a modulated structure, which has no cell", "Pass a commensurate approximant of it."
        )
    operations = _listed(block)
    if operations is None and any(tag.startswith("_space_group_magn_") for tag in block):
        raise MalformedCifError("it names a magnetic group without its operations", LIST_OPERATIONS)
    if {word.replace(" ", "").lower() for word in first_words(block, _NAMES)} <= {"p1", "1"}:
        tiers: Tiers = ()
        if operations is None and first_words(block, _NAMES):
            operations = IDENTITY
        elif operations is not None and first_words(block, _NAMES) and _MAGNETIC not in block:
            tiers = settings_of_number(1) if operations.number > 1 else ()
    else:
        tiers = () if _MAGNETIC in block else _named(block, operations is not None)
    if operations is not None:
        _compare(operations, tiers)
        if len(operations.rotations) > 1 and not operations.keep(lattice):
            raise _not_of_cell(f"space group {operations.number}, whose operations it lists")
        return [Candidate("", operations)]
    if not tiers:
        return []
    kept = next(
        (kept for strain in (_STRICT, STRAIN) for tier in tiers if (kept := _kept(tier, lattice, strain))), []
    )
    if not kept:
        raise _not_of_cell(f"space group {_name(tiers[0])}")
    return kept


def _listed(block: Block) -> Operations | None:
    """Operations that are listed; those of a magnetic group without their reversals of time."""
    if _MAGNETIC in block:
        return _read(
            *([text.rpartition(",")[0] for text in block.get(tag, ())] for tag in (_MAGNETIC, _CENTRINGS))
        )
    found = [_read(block[tag]) for tag in _LISTED if set(block.get(tag, ())) - set(UNKNOWN)]
    if len(found) == 2 and found[0].codes() != found[1].codes():
        raise MalformedCifError("it lists two different sets of symmetry operations", "Remove the wrong one.")
    return found[0] if found else None


def _read(listed: Iterable[str], centrings: Iterable[str] = ()) -> Operations:
    try:
        return read_operations(tuple(listed), tuple(centrings))
    except ValueError as error:
        raise MalformedCifError(
            str(error), "Correct its list; each is a value of its own, in quotes, such as '-x, y+1/2, -z'."
        ) from None


def _named(block: Block, has_operations: bool) -> Tiers:
    """Settings that all numbers and symbols of a CIF allow."""
    numbers, symbols, hall = (
        {word: find(word) for word in first_words(block, tags)}
        for tags, find in (
            (_NUMBERS, _settings_of_number),
            (_SYMBOLS, settings_named),
            (_HALL_SYMBOLS, settings_of_hall_symbol),
        )
    )
    named = [*numbers.items(), *symbols.items(), *hall.items()]
    known = [tiers for _, tiers in named if tiers]
    for word, tiers in named:
        another_spelling = word in hall and known and "(" not in word  # of which a Hall symbol has many
        if not tiers and (word in numbers or not (has_operations or another_spelling)):
            raise MalformedCifError(
                f"its space group {word[:80]!r} does not exist, or not by this name", LIST_OPERATIONS
            )
    groups = {settings()[min(tiers[0]) - 1].number for tiers in known}
    if len(groups) > 1:
        raise MalformedCifError(
            f"it states several space groups: {', '.join(map(str, sorted(groups)))}", "Remove the wrong one."
        )
    common = tuple(
        frozenset.intersection(*(tiers[min(i, len(tiers) - 1)] for tiers in known))
        for i in range(max(map(len, known), default=0))
    )
    for code in first_words(block, [_CODE]):
        common = chosen(common, code) or common
    if known and not any(common) and not has_operations:
        names = ", ".join(repr(word[:80]) for word, _ in named)
        raise MalformedCifError(
            f"its names of the space group contradict each other: {names}", "Remove the wrong one."
        )
    return tuple(filter(None, common))


def _settings_of_number(word: str) -> Tiers:
    return settings_of_number(int(word) if word.isdecimal() and len(word) < 4 else 0)


def _compare(operations: Operations, tiers: Tiers) -> None:
    """Compare operations that are listed with the settings that are named."""
    if not tiers:
        return
    number = settings()[min(tiers[-1]) - 1].number
    if number != operations.number:
        raise MalformedCifError(
            f"its {len(operations.rotations)} symmetry operations are not those of space group {number}, which it "
            f"states, but of {operations.number}",
            "Correct the one or the other.",
        )
    found = settings_of_operations(operations) if number > 2 else frozenset()
    if found and not found & tiers[-1]:
        raise MalformedCifError(
            f"its symmetry operations are those of {_name(found)}, but it states {_name(tiers[-1])}",
            "Correct the one or the other.",
        )


def _kept(tier: Iterable[int], lattice: NDArray[np.float64], strain: float) -> list[Candidate]:
    """Settings that a cell allows, one of those with the same operations."""
    distinct = {setting_operations(i).codes(): i for i in sorted(tier, reverse=True)}
    kept = sorted(i for i in distinct.values() if setting_operations(i).keep(lattice, strain))
    return [Candidate(_name([i]), setting_operations(i)) for i in kept]


def _name(found: Iterable[int]) -> str:
    return repr(setting_name(min(found)))


def _not_of_cell(group: str) -> MalformedCifError:
    return MalformedCifError(
        f"its cell does not have the symmetry of {group}",
        "Correct its lengths and angles, or name the setting that they have.",
    )
